"""A task's part of a build of several: a build folder of its own, `tasks/NAME`, with what asking it takes.

Everything that asks, scores or looks at a build works on it as on a build of one task. Pictures stay in
images/ of the whole build, and what is trained is the whole.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson
import polars as pl

from datakit.artifacts import names
from datakit.artifacts.build_draft import BuildDraft
from datakit.artifacts.emitted import Emitted, EmittedFile
from datakit.artifacts.manifest import Manifest
from datakit.artifacts.report import BuildReport, StepReport
from datakit.core.plain_yaml import dump
from datakit.core.record import COLUMNS
from datakit.core.task_blocks import TASK

_UP = "../../"
"""From the folder of a task to that of the build."""
_PATHS = ("output_dir", "export_dir", "adapter_name_or_path", "model_name_or_path", "deepspeed")
"""Keys of the trainer that may be paths, which start from the build's folder."""


@dataclass(frozen=True)
class TaskDraft(BuildDraft):
    """The folder of one task, while the whole build is written."""

    def fill(self, whole: BuildDraft, numbers: Mapping[int, int]) -> None:
        """Writes all but recipe, labels and answer format. `numbers`: step in the whole -> step here."""
        task = self.path.name
        ids = self._write_records(whole, numbers)
        shutil.copytree(whole.path / names.TEMPLATES, self.path / names.TEMPLATES)
        shutil.copyfile(whole.path / names.INPUTS, self.path / names.INPUTS)
        if whole.compared is not None:
            own = whole.compared.filter(pl.col("id").is_in(ids.implode())).collect()
            own.write_parquet(self.path / names.COMPARED)
        lines = [line for line in whole.reject_lines() if line["step"] in numbers]
        data = b"".join(orjson.dumps({**line, "step": numbers[line["step"]]}) + b"\n" for line in lines)
        self._write(names.REJECTS, data)
        steps = [step for step in whole.report.steps if step.number in numbers]
        self._write_account(whole, [_renumbered(step, numbers) for step in steps], task)
        if whole.suspects is not None and any(step.name == "curate.suspects" for step in steps):
            own_suspects = [one.model_dump() for one in whole.suspects if one.task == task]
            self.write_suspects({"": own_suspects})
        if whole.emitted is not None:
            self._write_rows(whole.emitted, whole, set(ids))
        for name in (names.TRAINING, names.EXPORT):
            if (whole.path / name).is_file():
                self._write(name, dump(_from_here(whole._yaml(name))).encode())
        manifest: Manifest = whole.manifest.model_copy(
            update={
                "name": f"{whole.manifest.name}.{task}",
                "steps": [
                    {**step, "number": numbers[step["number"]]}
                    for step in whole.manifest.steps
                    if step["number"] in numbers
                ],
                "records": {},
                "artifacts": {},
            }
        )
        self.write_manifest(manifest)

    def _write_records(self, whole: BuildDraft, numbers: Mapping[int, int]) -> pl.Series:
        """Writes the records of the task; their ids. Columns that only other tasks have are left out."""
        frame = pl.read_parquet(whole.records_file).filter(pl.col(TASK) == self.path.name)
        kept = {}
        for name in frame.columns:
            number, _, step = name.removeprefix("@").partition(".")
            if not name.startswith("@"):
                if name in COLUMNS or (name != TASK and frame[name].null_count() < frame.height):
                    kept[name] = name
            elif int(number) in numbers:
                kept[name] = f"@{numbers[int(number)]}.{step}"
        frame.select(pl.col(old).alias(new) for old, new in kept.items()).write_parquet(self.records_file)
        return frame["id"]

    def _write_account(self, whole: BuildDraft, steps: list[StepReport], task: str) -> None:
        report = whole.report
        name = f"{report.name}.{task}"
        own = BuildReport(name=name, recipe=report.recipe, steps=steps, notes=report.notes)
        self.write_report(own)

    def _write_rows(self, emitted: Emitted, whole: BuildDraft, ids: set[str]) -> None:
        """Writes the rows of the task, each once, with the places of their pictures from here."""
        files: dict[str, EmittedFile] = {}
        for name, file in emitted.files.items():
            rows = list(_rows(whole, file.file, ids))
            if rows and file.part != "general":
                lines = ",\n".join(json.dumps(row, ensure_ascii=False) for row in rows)
                self._write(file.file, f"[\n{lines}\n]\n".encode())
                counts = {"records": len(rows), "rows": len(rows)}
                files[name] = file.model_copy(update=counts)
        self.write_emitted(emitted.model_copy(update={"files": files}))


def _rows(whole: BuildDraft, file: str, ids: set[str]) -> Iterator[dict[str, Any]]:
    left = set(ids)
    for row in whole.lines(file):
        if row["id"] in left:
            left.discard(row["id"])
            yield {**row, "images": [f"{_UP}{path}" for path in row.get("images") or ()]}


def _renumbered(step: StepReport, numbers: Mapping[int, int]) -> StepReport:
    return step.model_copy(update={"number": numbers[step.number], "task": ""})


def _from_here(keys: Mapping[str, Any]) -> dict[str, Any]:
    """The trainer's keys with relative paths from the task's folder."""
    return {
        key: f"{_UP}{value}" if key in _PATHS and str(value).startswith(("./", "../")) else value
        for key, value in keys.items()
    }


def task_draft(whole: BuildDraft, task: str) -> TaskDraft:
    """The empty folder of a task in a build that is written."""
    place: Path = whole.path / names.TASKS / task
    place.mkdir(parents=True)
    return TaskDraft(place)
