"""Runs the transform of a case as a build would, each time with a store and a folder of its own."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import polars as pl

from datakit.artifacts.report import StepReport
from datakit.core.outcome import Reject
from datakit.core.settings import LlmSettings, RunSettings
from datakit.core.step_context import StepContext
from datakit.core.transform import Artifact, Emitter, Reader, Transform
from datakit.recipe.recipe import Step
from datakit.run.engine import Engine
from datakit.run.record_frames import RecordFrames
from datakit.run.store import Store
from datakit.testing._case import Case
from datakit.testing._model import answering
from datakit.testing._records import HeldRecords

PLACE = "case.yaml:1:1"
WHOLE = 4096
NOBODY = "http://127.0.0.1:9/v1"
"""Where nobody listens: for what a step says of itself, which asks nothing."""


@dataclass(frozen=True)
class Ran:
    """What came of a run."""

    frame: pl.DataFrame
    rejects: list[dict[str, Any]]
    report: StepReport


class Bench:
    """One case, and what all of its checks share."""

    def __init__(self, case: Case) -> None:
        self.case = case

    @cached_property
    def transform(self) -> Transform:
        return self.case.made()

    @cached_property
    def records(self) -> pl.DataFrame:
        return self.case.frame()

    @cached_property
    def _scratch(self) -> tempfile.TemporaryDirectory[str]:
        return tempfile.TemporaryDirectory(prefix="datakit-testing-")  # gone with the bench

    @cached_property
    def folder(self) -> Path:
        """Where the files of the case lie, from which the step's paths start."""
        folder = Path(self._scratch.name).resolve() / "files"
        folder.mkdir()
        if self.case.write_files is not None:
            self.case.write_files(folder)
        return folder

    def context(self, batch_rows: int = WHOLE, folder: Path | None = None, **changes: Any) -> StepContext:
        """The surroundings of the step."""
        offline, nobody = LlmSettings(provider="offline"), LlmSettings(provider="openai", base_url=NOBODY)
        settings = {"llm": offline if self.case.answers is None else nobody, **changes}
        place = folder or self.folder
        return StepContext(
            base=place,
            project=place,
            labels=self.case.labels,
            run=RunSettings(batch_rows=batch_rows, workers=1),
            **settings,
        )

    @contextmanager
    def working(self, batch_rows: int = WHOLE) -> Iterator[tuple[StepContext, Path]]:
        """Surroundings in which a model answers as the case says, and an empty folder to work in."""
        with tempfile.TemporaryDirectory(dir=self.folder.parent, prefix="work-") as place:
            if self.case.answers is None:
                yield self.context(batch_rows), Path(place)
                return
            with answering(self.case.answers) as llm:
                yield self.context(batch_rows, llm=llm), Path(place)

    def run(self, records: pl.DataFrame | None = None, batch_rows: int = WHOLE) -> Ran:
        """What the step makes of these records; a reader takes none."""
        with self.working(batch_rows) as (context, place):
            frames = None
            if records is not None:
                frames = RecordFrames(place / "given", dict(records.schema))
                for batch in records.iter_slices(batch_rows):
                    frames.append(batch)
            store = Store(place / "store")
            try:
                engine = Engine(context, store, place / "work")
                stage = engine.run([Step(1, self.transform, PLACE)], frames)
                file = engine.rejects_file
                lines = file.read_text("utf-8").splitlines() if file.exists() else []
                (report,) = engine.reports
                return Ran(stage.lazy().collect(), [json.loads(line) for line in lines], report)
            finally:
                store.close()

    @cached_property
    def whole(self) -> Ran:
        """What the step makes of all records of its case: run once, compared with many times."""
        return self.run(None if isinstance(self.transform, Reader) else self.records)

    def emit(
        self,
        records: pl.DataFrame | None = None,
        emitter: Transform | None = None,
        name: str = "build",
        left_out: list[Reject] | None = None,
    ) -> tuple[list[Artifact], dict[str, bytes]]:
        """What an emitter says that it wrote, and every file that stands there then.

        `left_out` takes the records that it has no place for.
        """
        step = emitter or self.transform
        assert isinstance(step, Emitter)
        with self.working() as (context, place):
            folder = place / name
            folder.mkdir()
            held = HeldRecords(self.records if records is None else records)
            left_out = [] if left_out is None else left_out
            artifacts = step.write(held, folder, context.for_step(step).changed(left_out=left_out))
            beside = sorted(path.name for path in place.iterdir() if path != folder)
            if beside:
                raise AssertionError(f"it writes beside the build's folder: {', '.join(beside)}")
            files = {path.relative_to(folder).as_posix(): path for path in sorted(folder.rglob("*"))}
            return artifacts, {file: path.read_bytes() for file, path in files.items() if path.is_file()}


def plain(frame: pl.DataFrame) -> pl.DataFrame:
    """Without the engine's trace columns."""
    return frame.select([name for name in frame.columns if not name.startswith("@")])
