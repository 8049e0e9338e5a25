"""Real builds over tiny pictures, of any columns, prompt, answer and emitter."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import polars as pl
from PIL import Image, ImageDraw

from datakit.artifacts.build_folder import BuildFolder
from datakit.artifacts.report import Finding
from datakit.library import build
from datakit.verdict import records_of, verdict


@dataclass
class Toy:
    """A project of one recipe; tests say what differs from a classifier."""

    folder: Path
    prompt: str = "{{ text }}"
    answer: Any = "label_only"
    steps: Sequence[str] = ()
    """Between the reader and the renderer, as YAML."""
    render: dict[str, Any] = field(default_factory=dict)
    emit: str = "llamafactory: {}"

    def picture(self, name: str, seed: int, **save: Any) -> str:
        """A picture of its own look for each seed."""
        path = self.folder / name
        image = Image.new("RGB", (96, 128), ((seed * 53) % 200, (seed * 97) % 200, (seed * 31) % 200))
        draw = ImageDraw.Draw(image)
        for at in range(60):
            x, y = (seed * 37 + at * 29) % 90, (seed * 71 + at * at * 13) % 120
            draw.rectangle(
                (x, y, x + 9, y + 5), fill=((at * 40) % 255, (seed * at * 7) % 255, (at * 91) % 255)
            )
        image.save(path, **save)
        return name

    def build(self, rows: Sequence[dict[str, Any]]) -> BuildFolder:
        templates = self.folder / "templates"
        templates.mkdir(exist_ok=True)
        ask = "" if "<image>" in self.prompt else "{% for _ in images %}<image>{% endfor %}"
        stated = "{{ answer_format }}"
        (templates / "p.j2").write_text(
            f"{ask}{self.prompt}\n常量提示词请根据以下内容作答。\n{stated}", "utf-8"
        )
        lines = "\n".join(json.dumps({"id": f"r{at:03d}", **row}) for at, row in enumerate(rows))
        (self.folder / "d.jsonl").write_text(lines, "utf-8")
        render = {"prompt": "p.j2", "answer": self.answer, **self.render}
        steps = ["read.jsonl: {path: d.jsonl}", *self.steps, f"render.chat: {json.dumps(render)}"]
        (self.folder / "r.yaml").write_text(
            "name: toy\nsteps:\n" + "".join(f"  - {step}\n" for step in steps) + f"emit:\n  - {self.emit}\n"
            "run: {store: .store, max_reject_rate: 1, workers: 1}\n",
            "utf-8",
        )
        return BuildFolder(build(self.folder / "r.yaml", card=False, check=False).folder)


def finding(folder: BuildFolder, kind: str) -> tuple[Finding, list[str]]:
    """What the verdict says of a kind, and the ids of the records that show it."""
    line, records = records_of(folder, kind)
    assert line == next((other for other in verdict(folder) if other.kind == kind), line)
    frame = records.collect() if records is not None else pl.DataFrame(schema={"id": pl.String})
    return line, sorted(frame["id"].to_list())
