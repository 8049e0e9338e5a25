"""A finished build as the card reads it: report, manifest, recipe, labels and records."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path, PurePosixPath
from typing import Any

import orjson
import polars as pl
import yaml

from datakit.core.errors import UserError
from datakit.core.labels import LabelSet, load_labels
from datakit.core.record import COLUMNS, GENERAL, TRAIN
from datakit.run.kept_files import LABELS
from datakit.run.manifest import Manifest
from datakit.run.report import BuildReport

PART_NAMES = {"train": "training", "val": "validation", "general": "general data"}
"""Part of a data set -> how the card calls it, in order."""

_ABSOLUTE = re.compile(r"(?<![\w.:/<])/(?:[^\s/:'\"`|<>,;()]+/)+([^\s/:'\"`|<>,;()]+)")
_BACK = re.compile(r"[^\s/]+(?<!\.\.)/\.\./")
"""A step into a folder and out again, as paths relative to a recipe have."""
_REJECT = {
    "id": pl.String(),
    "step": pl.Int64(),
    "name": pl.String(),
    "state": pl.String(),
    "reason": pl.String(),
    "detail": pl.String(),
    "source_file": pl.String(),
    "source_line": pl.Int64(),
}


@dataclass(frozen=True)
class BuildFolder:
    """A build folder. Raises UserError when it holds no finished build."""

    path: Path
    projects: tuple[Path, ...] = ()
    """Folders in which the recipe and its label file may be found, the likeliest first."""

    def __post_init__(self) -> None:
        for name in ("report.json", "manifest.json", "records.parquet"):
            if not (self.path / name).is_file():
                raise UserError(
                    f"{self.path} is no finished build: {name} is missing",
                    remedy="Make it with `datakit build RECIPE`.",
                )

    @cached_property
    def report(self) -> BuildReport:
        return BuildReport.load(self.path / "report.json")

    @cached_property
    def manifest(self) -> Manifest:
        found = Manifest.load(self.path)
        if found is None:
            raise UserError(f"{self.path / 'manifest.json'} cannot be read", remedy="Build again: --force")
        return found

    @cached_property
    def recipe(self) -> dict[str, Any]:
        """The recipe as it was run; empty when the build has none."""
        try:
            document = yaml.safe_load((self.path / "recipe.yaml").read_text("utf-8"))
        except OSError:
            return {}
        return document if isinstance(document, dict) else {}

    def parameters(self, step: str) -> dict[str, Any]:
        """The recipe's parameters of the first step of this name; empty when there is none."""
        for entry in (*self.recipe.get("steps", ()), *self.recipe.get("emit", ())):
            if isinstance(entry, dict):
                name, values = next(iter(entry.items()))
                if name == step or f"emit.{name}" == step:
                    return values if isinstance(values, dict) else {}
        return {}

    def has_step(self, step: str) -> bool:
        return any(report.name == step for report in self.report.steps)

    def notes(self, step: str) -> dict[str, Any]:
        """What the first step of this name noted down."""
        return next((report.notes for report in self.report.steps if report.name == step), {})

    def rung(self, number: int) -> str:
        """How far a prompt was shortened: render.chat cuts each column of `shrink`, then drops it."""
        columns = self.parameters("render.chat").get("shrink") or []
        if not number:
            return "whole"
        column, dropped = divmod(number - 1, 2)
        name = columns[column] if column < len(columns) else f"column {column + 1} of shrink"
        return f"{name} {'dropped' if dropped else 'cut'}"

    @cached_property
    def labels(self) -> LabelSet | None:
        """The label set as it was built with; of an older build that of the project. None without one."""
        if (self.path / LABELS).is_file():
            return load_labels(self.path / LABELS)
        name = self.recipe.get("labels")
        if not isinstance(name, str):
            return None
        for project in self.projects:
            path = (project / self.report.recipe).parent / name
            if path.is_file():
                return load_labels(path)
        return None

    @cached_property
    def records(self) -> pl.LazyFrame:
        """All records, scanned lazily; `part` says where each belongs, absent columns have their default."""
        frame = pl.scan_parquet(self.path / "records.parquet")
        have = frame.collect_schema().names()
        absent = {"split": TRAIN, "repeat": 1, "set": "", "label": None, "images": []}
        frame = frame.with_columns(
            pl.lit(value, COLUMNS[name]).alias(name) for name, value in absent.items() if name not in have
        )
        general = pl.col("set").fill_null("") == GENERAL
        return frame.with_columns(
            part=pl.when(general).then(pl.lit(GENERAL)).otherwise(pl.col("split").fill_null(TRAIN)),
            rows=pl.when(pl.col("split") == TRAIN).then(pl.col("repeat").fill_null(1)).otherwise(1),
        )

    @cached_property
    def columns(self) -> dict[str, Any]:
        """Name -> dtype of the records' columns."""
        return dict(self.records.collect_schema())

    @property
    def main(self) -> pl.LazyFrame:
        """The records of the task itself, without general data."""
        return self.records.filter(pl.col("part") != GENERAL)

    @cached_property
    def rejects(self) -> pl.LazyFrame:
        """The rejected records, scanned lazily."""
        path = self.path / "rejects.jsonl"
        if not path.is_file() or path.stat().st_size == 0:
            return pl.LazyFrame(schema=_REJECT)
        return pl.scan_ndjson(path, schema=_REJECT)

    @cached_property
    def emitted(self) -> dict[str, dict[str, Any]]:
        """Entry -> file, part, records and rows, as the emitter for LLaMA-Factory noted them; else empty."""
        try:
            summary = orjson.loads((self.path / "emitted.json").read_bytes())
        except (OSError, orjson.JSONDecodeError):
            return {}
        files = summary.get("files", {})
        return {name: facts for name, facts in files.items() if (self.path / facts["file"]).is_file()}

    def lines(self, file: str) -> Iterator[dict[str, Any]]:
        """The rows of a data file (a JSON array, one row a line), from the first on."""
        with open(self.path / file, "rb") as stream:
            for line in stream:
                text = line.strip().rstrip(b",")
                if text.startswith(b"{"):
                    yield orjson.loads(text)

    def place(self, path: str) -> str:
        """A file's path relative to the project; its name alone when it lies elsewhere."""
        path = posixpath.normpath(path) if path else path
        for project in self.projects:
            if PurePosixPath(path).is_relative_to(project.as_posix()):
                return PurePosixPath(path).relative_to(project.as_posix()).as_posix()
        return PurePosixPath(path).name if path.startswith("/") else path

    def clean(self, text: str) -> str:
        """`text` without this machine's paths: relative to the project, or the file's name alone."""
        for project in self.projects:
            text = text.replace(f"{project.as_posix()}/", "")
        text = _BACK.sub("", text)
        return _ABSOLUTE.sub(r"\1", text)


def open_build(build: Path, folder: Path) -> BuildFolder:
    """The build at `build`, whose card goes to `folder`: both lie in the project by custom."""
    build, folder = build.absolute(), folder.absolute()
    near = [*build.parents, *folder.parents]
    projects = [path for path in near if (path / "recipes").is_dir() or (path / ".datakit").is_dir()]
    return BuildFolder(build, tuple(dict.fromkeys([*projects, build])))
