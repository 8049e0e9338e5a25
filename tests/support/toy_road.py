"""A road whose stages write small files: what each has made depends on what the one before has made."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from datakit.core.errors import UserError
from datakit.handoff import digests
from datakit.handoff.road import Address, Ended, Progress, Road
from datakit.handoff.stages import EXPORT, GONE, PREDICT, TRAIN, UNKNOWN

FILES = {"train": "trained", "export": "served", "predict": "answers", "evaluate": "scores"}
FROM = {"train": "settings", "export": "trained", "predict": "served", "evaluate": "answers"}


class ToyRoad(Road):
    """`events` lists what was done, in order; `fails` maps a stage to what it raises."""

    def __init__(self, folder: Path, *, elsewhere: str = "", rank: int = 0, server: str = "") -> None:
        self.folder, self.command, self.elsewhere, self.rank = (
            folder,
            "datakit handoff build/toy",
            elsewhere,
            rank,
        )
        self.server = server
        """Weights that a server which ran already has loaded, if there is one; UNKNOWN counts."""
        self.has_server = False
        self.events: list[str] = []
        self.fails: dict[str, BaseException] = {}
        self.during: dict[str, Callable[[], None]] = {}
        folder.mkdir(exist_ok=True)
        if not (folder / "settings").exists():
            self.write("settings", "lr 1")

    def write(self, name: str, text: str) -> None:
        (self.folder / name).write_text(text)

    def text(self, name: str) -> str:
        return (self.folder / name).read_text()

    def _digest(self, name: str) -> str:
        path = self.folder / name
        return digests.of(path.read_text()) if path.exists() else GONE

    def inputs(self, stage: str) -> dict[str, str]:
        if stage == PREDICT and self.elsewhere:
            return {"served weights": UNKNOWN, "prompts": "p"}
        if stage != TRAIN and not (self.folder / FROM[stage]).exists():
            raise UserError(f"there is no {FROM[stage]}", remedy="Make it first.")
        name = "served weights" if stage == PREDICT else FROM[stage]
        return {name: self._digest(FROM[stage])}

    def outputs(self, stage: str) -> dict[str, str]:
        return {FILES[stage]: self._digest(FILES[stage])}

    def stands(self, stage: str) -> bool:
        return stage in (TRAIN, EXPORT) and (self.folder / FILES[stage]).exists()

    def _make(self, stage: str, note: str = "") -> Ended:
        self.events.append(stage + note)
        if stage in self.fails:
            raise self.fails[stage]
        self.during.get(stage, lambda: None)()
        self.write(FILES[stage], f"{stage} of {self.text(FROM[stage]) if not self.elsewhere else 'there'}")
        return Ended(f"{stage} is made")

    def check(self) -> Ended:
        self.events.append("check")
        if "check" in self.fails:
            raise self.fails["check"]
        return Ended("all is right")

    def train(self, *, anew: bool) -> Ended:
        return self._make("train", " anew" if anew else "")

    def export(self) -> Ended:
        return self._make("export")

    @contextmanager
    def serving(self) -> Iterator[Address]:
        self.events.append("serve")
        if "serve" in self.fails:
            raise self.fails["serve"]
        weights = self.server if self.has_server else self._digest("served")
        try:
            yield Address("http://toy/v1", UNKNOWN if self.elsewhere else weights)
        finally:
            self.events.append("stopped")

    def serve_until_ended(self, address: Address) -> Ended:
        return Ended("the server has ended")

    def predict(self, address: Address, *, anew: bool) -> Ended:
        return self._make("predict", " anew" if anew else "")

    def evaluate(self) -> Ended:
        return self._make("evaluate")

    def scores(self) -> Ended:
        return Ended(f"accuracy of {self.text('scores')}", figures={"accuracy": 0.5})

    def progress(self, stage: str) -> Progress:
        return Progress(3, 12, 90.0) if stage == TRAIN else Progress()
