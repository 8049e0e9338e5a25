"""A build folder: everything that stands in it, read in one place and by one rule."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import orjson
import polars as pl

from datakit.artifacts import names, predictions, run_ids
from datakit.artifacts.checked import CheckReport
from datakit.artifacts.data_set import DataSet
from datakit.artifacts.document import REMEDY
from datakit.artifacts.emitted import Emitted
from datakit.artifacts.format_version import NewerFormat
from datakit.artifacts.manifest import Manifest
from datakit.artifacts.place import await_build
from datakit.artifacts.predictions import Prediction
from datakit.artifacts.rejects import read_rejects, scan_rejects
from datakit.artifacts.report import BuildReport
from datakit.artifacts.run_ids import RUNS
from datakit.artifacts.run_owner import runs_beside
from datakit.artifacts.serving import Serving
from datakit.artifacts.suspects import Suspect, read_suspects
from datakit.artifacts.tables import scan_table
from datakit.artifacts.told_paths import shared_folder, told_place, without_folders
from datakit.artifacts.written_card import WrittenCard
from datakit.core.errors import UserError
from datakit.core.labels import LabelSet, load_labels
from datakit.core.plain_yaml import YamlFault, parse
from datakit.core.record import COLUMNS, GENERAL, TRAIN
from datakit.core.regular_files import read_regular, read_regular_text
from datakit.core.task_blocks import flat_steps, task_names

IMAGE_DIGESTS = {"path": pl.String(), "sha256": pl.String()}
_MAKE = "Make it: datakit build recipes/<name>.yaml"


@dataclass(frozen=True)
class BuildFolder(DataSet):
    """A build folder. What it lacks or is damaged is told by a UserError where it is asked for; `open` asks
    for the whole. Files that only some builds have (`emitted`, `check`, `serving`, `labels`) are None else.
    """

    near: Path | None = None
    """A further folder in whose project the recipe and its label file may be found, such as that of cards."""

    def __post_init__(self) -> None:
        if not self.path.exists():
            await_build(self.path)

    @classmethod
    def open(cls, path: str | Path, near: Path | None = None) -> BuildFolder:
        """A finished build. Raises UserError for any other folder."""
        build = cls(Path(path).absolute(), near)
        for name in (names.REPORT, names.MANIFEST, names.RECORDS):
            if not (build.path / name).is_file():
                raise UserError(
                    f"{build.path} is no finished build: {name} is missing",
                    remedy="Make it with `datakit build RECIPE`.",
                )
        return build

    @cached_property
    def tasks(self) -> tuple[BuildFolder, ...]:
        """The folders of its tasks, where it has several; each is a build of that task alone."""
        order = [name for name in task_names(self.recipe) if (self.path / names.TASKS / name).is_dir()]
        return tuple(BuildFolder(self.path / names.TASKS / name, self.near) for name in order)

    @property
    def whole(self) -> BuildFolder | None:
        """The build that this one is a task of; None for a build of its own."""
        folder = self.path.absolute()
        is_task = folder.parent.name == names.TASKS and (folder.parents[1] / names.MANIFEST).is_file()
        return BuildFolder(folder.parents[1], self.near) if is_task else None

    @property
    def is_finished(self) -> bool:
        """Whether the manifest, which is written last, and the records are there."""
        return all((self.path / name).is_file() for name in (names.MANIFEST, names.RECORDS))

    @property
    def has_report(self) -> bool:
        return (self.path / names.REPORT).is_file()

    @cached_property
    def report(self) -> BuildReport:
        return BuildReport.load(self.path / names.REPORT)

    @cached_property
    def manifest(self) -> Manifest:
        return Manifest.load(self.path / names.MANIFEST)

    def find_manifest(self) -> Manifest | None:
        """The manifest; None where there is none or it is damaged. Raises NewerFormat."""
        try:
            return self.manifest
        except NewerFormat:
            raise
        except UserError:
            return None

    @property
    def manifest_file(self) -> Path:
        return self.path / names.MANIFEST

    @property
    def made_at(self) -> float:
        """When its manifest was written, in seconds since the epoch."""
        return (self.path / names.MANIFEST).stat().st_mtime

    def fingerprint(self) -> bytes:
        """What tells this build from any other: its manifest as it stands."""
        return read_regular(self.path / names.MANIFEST)

    @cached_property
    def recipe(self) -> dict[str, Any]:
        """The recipe as it was run. Raises UserError for a folder without one: it is no build."""
        if not self.path.is_dir():
            raise UserError(f"there is no build at {self.path}", remedy=_MAKE)
        if not self.recipe_file.is_file():
            raise UserError(f"{self.path} is no build ({names.RECIPE} is missing)", remedy=_MAKE)
        return self._yaml(names.RECIPE)

    @property
    def recipe_file(self) -> Path:
        return self.path / names.RECIPE

    def parameters(self, step: str) -> dict[str, Any]:
        """The recipe's parameters of the first step of this name; empty when there is none."""
        for entry in (*(row for _, row in flat_steps(self.recipe)), *self.recipe.get("emit", ())):
            if isinstance(entry, dict):
                name, values = next(iter(entry.items()))
                if name == step or f"emit.{name}" == step:
                    return values if isinstance(values, dict) else {}
        return {}

    def section(self, name: str) -> dict[str, Any]:
        """A section of the recipe, such as `train`; empty when it has none."""
        section = self.recipe.get(name)
        return section if isinstance(section, dict) else {}

    def has_step(self, step: str) -> bool:
        return any(report.name == step for report in self.report.steps)

    def notes(self, step: str) -> dict[str, Any]:
        """What the first step of this name noted down."""
        return next((report.notes for report in self.report.steps if report.name == step), {})

    @property
    def labels_file(self) -> Path | None:
        """The label file that the build keeps; None where its recipe names none, or in older builds."""
        path = self.path / names.LABELS
        return path if path.is_file() else None

    @property
    def templates_folder(self) -> Path | None:
        path = self.path / names.TEMPLATES
        return path if path.is_dir() else None

    @cached_property
    def labels(self) -> LabelSet | None:
        """The label set as it was built with; of an older build that of the project. None without one."""
        if self.labels_file is not None:
            return load_labels(self.labels_file)
        name = self.recipe.get("labels")
        if not isinstance(name, str):
            return None
        for project in self.projects:
            path = (project / self.report.recipe).parent / name
            if path.is_file():
                return load_labels(path)
        return None

    @property
    def records_file(self) -> Path:
        return self.path / names.RECORDS

    @cached_property
    def records(self) -> pl.LazyFrame:
        """All records, scanned lazily; `part` says where each belongs, absent columns have their default."""
        frame = scan_table(self.records_file, "id")
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

    def stored_keys(self) -> set[bytes]:
        """The keys of the results in the store that the records rest on; none in a folder without records."""
        if not self.records_file.is_file():
            return set()
        frame = scan_table(self.records_file)
        keys: set[bytes] = set()
        for name in frame.collect_schema().names():
            if name.startswith("@"):
                column = frame.select(pl.col(name).struct.field("key")).collect().to_series()
                keys.update(column.drop_nulls())
        return keys

    @cached_property
    def rejects(self) -> pl.LazyFrame:
        """The rejected records, scanned lazily."""
        return scan_rejects(self.rejects_file)

    @property
    def rejects_file(self) -> Path:
        return self.path / names.REJECTS

    def reject_lines(self) -> Iterator[dict[str, Any]]:
        return read_rejects(self.rejects_file)

    @property
    def images_folder(self) -> Path:
        return self.path / names.IMAGES

    @cached_property
    def suspects(self) -> list[Suspect] | None:
        """The records whose label is doubted, the most doubted first, those that later steps rejected too;
        None where nobody was asked (curate.suspects)."""
        path = self.path / names.SUSPECTS
        return list(read_suspects(path)) if path.is_file() else None

    def emitted_for(self, need: str) -> Emitted:
        """What emit.llamafactory wrote. Raises UserError that says `need` where there is none."""
        if self.emitted is None:
            raise UserError(
                f"{self.path} holds no data set for LLaMA-Factory ({names.EMITTED} is missing)", remedy=need
            )
        return self.emitted

    @property
    def has_data_set(self) -> bool:
        """Whether LLaMA-Factory finds its index here."""
        return (self.path / names.DATASET_INFO).is_file()

    @cached_property
    def entries(self) -> dict[str, str]:
        """Entry of the trainer's index -> data file, in its order."""
        index = orjson.loads(read_regular(self.path / names.DATASET_INFO))
        return {name: str(entry["file_name"]) for name, entry in index.items()}

    @property
    def training_file(self) -> Path | None:
        """LLaMA-Factory's configuration; None where the recipe has no `train:` section."""
        path = self.path / names.TRAINING
        return path if path.is_file() else None

    @cached_property
    def training(self) -> dict[str, Any]:
        """LLaMA-Factory's keys of the training. Raises UserError where there are none."""
        return self._trainer_keys(names.TRAINING)

    @cached_property
    def export(self) -> dict[str, Any]:
        """LLaMA-Factory's keys of the export. Raises UserError where there are none."""
        return self._trainer_keys(names.EXPORT)

    def exported(self) -> Path | None:
        """The folder that the training's export fills; None where it holds no model yet."""
        if not (self.path / names.EXPORT).is_file():
            return None
        folder = (self.path / str(self.export["export_dir"])).resolve()
        return folder if (folder / "config.json").is_file() else None

    @cached_property
    def check(self) -> CheckReport | None:
        """What the trainer would do with every row; None where the build was not checked."""
        path = self.path / names.CHECK
        return CheckReport.load(path) if path.is_file() else None

    def written_card(self) -> WrittenCard | None:
        """Which pages are the build's card; None where none was written, or nobody can tell."""
        try:
            return WrittenCard.load(self.path / names.CARD)
        except UserError:
            return None

    @cached_property
    def serving(self) -> Serving | None:
        """The serving plan; None where none was made."""
        path = self.path / names.SERVING
        return Serving.load(path) if path.is_file() else None

    @property
    def serve_script(self) -> Path | None:
        path = self.path / names.SERVE_SCRIPT
        return path if path.is_file() else None

    @property
    def ask_programs(self) -> tuple[Path, Path] | None:
        """The programs that ask the served model, by OpenAI's client and by curl; None in older builds."""
        programs = self.path / names.ASK_PYTHON, self.path / names.ASK_SCRIPT
        return programs if all(path.is_file() for path in programs) else None

    def input_images(self) -> list[str] | None:
        """The paths of every picture that the sources name; None where the build does not say."""
        try:
            return pl.read_parquet(self.path / names.INPUTS, columns=["path"])["path"].to_list()
        except (OSError, pl.exceptions.PolarsError):
            return None

    @cached_property
    def image_digests(self) -> pl.LazyFrame | None:
        """Path and sha256 of every picture; None in builds that do not say."""
        path = self.path / names.INPUTS
        frame = scan_table(path) if path.is_file() else None
        return frame if frame is not None and dict(frame.collect_schema()) == IMAGE_DIGESTS else None

    @cached_property
    def compared(self) -> pl.LazyFrame | None:
        """What each record asks and answers, in the columns of core.compared; None in older builds."""
        path = self.path / names.COMPARED
        return scan_table(path) if path.is_file() else None

    @property
    def runs(self) -> Path:
        """Folder of trainings, answers and evaluations, beside the build so that a new one keeps them."""
        if (whole := self.whole) is not None:
            of_whole = whole.runs
            return of_whole.with_name(f"{of_whole.name.removesuffix(RUNS)}.{self.path.name}{RUNS}")
        return runs_beside(self.path.absolute(), lambda: str(self.training["output_dir"]))

    def predictions_file(self, split: str, run: str = "") -> Path:
        """Where the answers of a run to a split are written if no other place is named.

        Without a run it is where earlier versions wrote them.
        """
        if run:
            return run_ids.predictions_file(self.runs, split, run)
        stem, _, suffix = names.PREDICTIONS.rpartition(".")
        return self.runs / f"{stem}_{split}.{suffix}"

    def answer_files(self, split: str) -> list[Path]:
        """The files of answers to a split, in the build's folder and in its runs."""
        return run_ids.answer_files([self.path, self.runs], split)

    def predictions(self, split: str) -> Iterator[Prediction]:
        """The answers to a split, in its order. Raises UserError where there are none, or of several runs."""
        paths = self.answer_files(split) or [self.predictions_file(split)]
        if len(paths) > 1:
            raise UserError(
                f"there are {len(paths)} files of answers to the split `{split}` of {self.path}",
                remedy="Name one: " + ", ".join(str(path) for path in paths),
            )
        return predictions.read(paths[0])

    @cached_property
    def projects(self) -> tuple[Path, ...]:
        """Folders in which recipe and label file may be found, the likeliest first, the build itself last."""
        path = self.path.absolute()
        near = [*path.parents, *(self.near.absolute().parents if self.near is not None else ())]
        projects = [folder for folder in near if _is_project(folder)]
        return tuple(dict.fromkeys([*projects, path]))

    def place(self, path: str) -> str:
        """A file's path as pages tell it: relative to the project, or as `told_place` says."""
        return told_place(path, self.projects, self._outer_folder)

    @cached_property
    def _outer_folder(self) -> str:
        manifest = self.find_manifest()
        return shared_folder(manifest.sources, self.projects) if manifest is not None else ""

    def clean(self, text: str) -> str:
        """`text` without this machine's paths: relative to the project, or the file's name alone."""
        return without_folders(text, self.projects)

    def _trainer_keys(self, name: str) -> dict[str, Any]:
        if not (self.path / name).is_file():
            raise UserError(
                f"{self.path} has no {name}",
                remedy="The recipe needs a `train:` section; add it and build again.",
            )
        return self._yaml(name)

    def _yaml(self, name: str) -> dict[str, Any]:
        path = self.path / name
        try:
            document = parse(read_regular_text(path))
        except OSError as error:
            raise UserError(f"cannot read {path}: {error.strerror}", remedy=REMEDY) from None
        except (YamlFault, UnicodeDecodeError) as error:
            raise UserError(f"{path} is not YAML: {error}", remedy=REMEDY) from None
        if not isinstance(document, dict):
            raise UserError(f"{path} holds no settings", remedy=REMEDY)
        return document


def _is_project(folder: Path) -> bool:
    return (folder / "recipes").is_dir() or (folder / ".datakit").is_dir()


def builds_in(folder: Path) -> list[BuildFolder]:
    """The builds in a folder, by name."""
    return [BuildFolder(path.parent) for path in sorted(folder.glob(f"*/{names.RECORDS}"))]


def failed_build(folder: Path) -> BuildFolder:
    """Where a build that fails leaves its report and rejects, beside its place."""
    return BuildFolder(folder.parent / f".{folder.name}.failed")
