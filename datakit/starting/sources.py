"""What a path is: which reader takes it, by its name, its suffix and its columns."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from itertools import islice
from pathlib import Path
from typing import Any

import orjson

from datakit.artifacts.names import DATASET_INFO, MANIFEST
from datakit.core.errors import UserError, did_you_mean
from datakit.core.regular_files import read_regular
from datakit.core.scripts import shell_words
from datakit.core.step_context import StepContext
from datakit.core.transform import Reader
from datakit.read._column_names import PICTURE_SUFFIXES
from datakit.read._files import closed_folder, missing
from datakit.read._hub import is_hub_name
from datakit.read._known_files import BOXES, box_file
from datakit.read._row_reader import TableReader
from datakit.starting.asked import Asked

TABLES = {
    ".csv": "csv",
    ".tsv": "csv",
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".json": "json",
    ".parquet": "parquet",
}
"""Suffix -> reader, before the columns are looked at."""
_TEXTS = ("csv", "jsonl", "json", "alpaca", "llamafactory")
"""Readers that take an encoding."""
_SAVED = ("dataset_dict.json", "state.json")
"""Files of a folder that the package `datasets` saved a set or several splits into."""
_ROWS = ("csv", "jsonl", "json", "parquet", "hub")
"""Readers whose columns may be named."""
_ARCHIVES = (".zip", ".tar", ".gz", ".tgz", ".bz2", ".xz", ".7z", ".rar")
_SHEETS = (".xlsx", ".xls", ".xlsm", ".ods", ".numbers")
_LOOKED_AT = 20_000
"""Files of a folder that are looked at to tell what it is."""
_SHOWN = 8
_MANY_TOPS = 200
EXAMPLE = "The shipped example instead: datakit init --example"


@dataclass(frozen=True)
class Source:
    """Data and the reader that takes it."""

    name: str
    """The reader without `read.`."""
    parameters: dict[str, Any]
    """Its parameters, paths as absolute ones."""
    words: str
    """What the data is, in words."""
    path: Path | None
    """The file or folder that was named; None for a hub's name."""
    doubts: tuple[str, ...] = field(default=())
    """What was taken for granted, and how to say it otherwise."""

    def reader(self) -> Reader:
        """The reader. Raises UserError for a parameter that it does not take."""
        from datakit.core import registry

        transform = registry.find(f"read.{self.name}")(**self.parameters)
        assert isinstance(transform, Reader)
        return transform

    def having(self, **parameters: Any) -> Source:
        """The same source, read with further parameters."""
        return replace(self, parameters=self.parameters | parameters)

    @property
    def folder(self) -> Path:
        """Where picture paths start from."""
        if self.path is None:
            return Path.cwd()
        return self.path if self.path.is_dir() else self.path.parent


def source_of(place: str, asked: Asked, context: StepContext) -> Source:
    """The source at a path, or of a hub's name. Raises UserError for what no reader takes."""
    if is_hub_name(place, context) and not Path(place).parent.is_dir():
        return _with(Source("hub", {"path": place}, f"the data set {place} of the hub", None), asked)
    path = Path(os.path.abspath(Path(place).expanduser()))
    if not path.exists():
        fault = missing(path)
        raise UserError(fault.message, remedy=f"{fault.remedy} {EXAMPLE} {shell_words([place])}")
    source = _folder(path, asked, context) if path.is_dir() else _file(path, asked, context)
    return _with(source, asked)


def _with(source: Source, asked: Asked) -> Source:
    """The source with what was said of it. Raises UserError for what its reader has no use for."""
    more: dict[str, Any] = {}
    rows = source.name in _ROWS
    said = {
        "--encoding": (asked.encoding, source.name in _TEXTS),
        "--image-root": (asked.image_root, source.name != "hub"),
        "--image-column": (asked.image_columns, rows),
        "--label-column": (asked.label_column, rows),
        "--dataset": (asked.dataset, source.name == "llamafactory"),
        "--subset": (asked.subset, source.name == "hub"),
        "--split": (asked.split, source.name == "hub"),
    }
    if idle := [option for option, (value, is_taken) in said.items() if value and not is_taken]:
        raise UserError(
            f"{' and '.join(idle)} says nothing of {source.words} (read.{source.name})",
            remedy="Leave it out.",
        )
    if asked.encoding:
        more["encoding"] = asked.encoding
    if asked.image_root is not None:
        more["image_root"] = str(asked.image_root.absolute())
    if asked.image_columns:
        columns = asked.image_columns
        more["image"] = columns[0] if len(columns) == 1 else list(columns)
    more |= {name: said for name in ("subset", "split") if (said := getattr(asked, name))}
    if asked.label_column:
        more["label"] = asked.label_column
    return source.having(**more)


def _file(path: Path, asked: Asked, context: StepContext) -> Source:
    suffix = path.suffix.lower()
    if asked.format is None:
        _check_suffix(path, suffix)
    if path.name == DATASET_INFO or asked.format == "llamafactory":
        return _llamafactory(path, asked)
    name = asked.format or TABLES.get(suffix, "")
    if name in ("", "image_folder"):
        raise UserError(
            f"{path}: nothing tells what `{suffix or path.name}` is",
            remedy=f"datakit init takes a folder of pictures, {', '.join(TABLES)}. Say --format for another.",
        )
    source = Source(name, {"path": str(path)}, f"the table {path.name}", path)
    return source if asked.format else _by_columns(source, asked, context)


def _check_suffix(path: Path, suffix: str) -> None:
    """Raises UserError for files that are not data as they stand."""
    words = shell_words([str(path)])
    if suffix in _ARCHIVES:
        folder = path.name.split(".")[0] or "data"
        unpack = "unzip" if suffix == ".zip" else "tar xf"
        into = "-d" if suffix == ".zip" else "-C"
        target = shell_words([folder])
        make = "" if suffix == ".zip" else f"mkdir -p {target} && "
        raise UserError(
            f"{path} is packed",
            remedy=f"Unpack it first: {make}{unpack} {words} {into} {target}, then: datakit init {target}",
        )
    if suffix in _SHEETS:
        raise UserError(
            f"{path} is a spreadsheet",
            remedy="Export it as CSV UTF-8 (Save as, CSV UTF-8), ids as text, then: datakit init "
            + shell_words([str(path.with_suffix(".csv"))]),
        )
    if suffix in PICTURE_SUFFIXES:
        raise UserError(
            f"{path} is one picture", remedy="Name the folder that holds the pictures, or a table of them."
        )
    if suffix in (".yaml", ".yml"):
        raise UserError(
            f"{path} is no data",
            remedy=f"A recipe is built: datakit build {words}. Boxes of YOLO: convert them to COCO's form.",
        )
    if box_file(path) and suffix != ".json":
        raise UserError(f"{path}: these are {box_file(path)}", remedy=BOXES)


def _by_columns(source: Source, asked: Asked, context: StepContext) -> Source:
    """A table as what its columns say: COCO, Label Studio, alpaca, or rows."""
    assert source.path is not None
    if source.name == "json" and _is_coco(source.path):
        return replace(source, name="coco", words=f"the COCO file {source.path.name}")
    reader = _with(source, asked).reader()
    assert isinstance(reader, TableReader)
    columns = set(reader.source_columns(context))
    if source.name == "json" and (columns >= {"data", "annotations"} or columns & {"lead_time", "annotator"}):
        return replace(source, name="label_studio", words=f"the Label Studio export {source.path.name}")
    if columns >= {"instruction", "output"} and not columns & {"messages", "conversations"}:
        return replace(source, name="alpaca", words=f"the table {source.path.name} (instruction, output)")
    return source


def _is_coco(path: Path) -> bool:
    """Whether the lists that COCO has stand in a JSON object."""
    try:
        document = orjson.loads(read_regular(path))
    except (OSError, orjson.JSONDecodeError):
        return False  # the reader says what is wrong with it
    return isinstance(document, dict) and document.keys() >= {"images", "annotations"}


def _folder(path: Path, asked: Asked, context: StepContext) -> Source:
    is_saved = asked.format is None and any((path / name).is_file() for name in _SAVED)
    if is_saved or asked.format == "hub":  # the package saves a dataset_info.json of its own beside the rows
        return Source("hub", {"path": str(path)}, f"the data set that was saved in {path.name}", path)
    if asked.format in (None, "llamafactory") and (path / DATASET_INFO).is_file():
        return _llamafactory(path / DATASET_INFO, asked)
    if (path / MANIFEST).is_file():
        raise UserError(
            f"{path} is a build, not data", remedy="Read it in a recipe of yours: `read.build: {path: …}`."
        )
    below = list(islice(_below(path), _LOOKED_AT))
    pictures = [file for file in below if file.suffix.lower() in PICTURE_SUFFIXES]
    tables = [file for file in below if file.suffix.lower() in TABLES and _depth(file, path) <= 2]
    if asked.format == "image_folder" or (pictures and not tables):
        return _pictures(path, below, pictures)
    if not tables:
        raise _nothing(path, below)
    if len(tables) > 1:
        tables = _most_telling(tables, path)
    if len(tables) > 1:
        lines = [shell_words(["datakit", "init", str(table)]) for table in tables[:_SHOWN]]
        what = "pictures and " if pictures else ""
        more = [shell_words(["datakit", "init", str(path), "--format", "image_folder"])] if pictures else []
        raise UserError(
            f"{path} holds {what}{len(tables)} tables: which is the data?",
            remedy="Name it:\n  " + "\n  ".join(lines + more),
        )
    source = _file(tables[0], asked, context)
    return replace(source, doubts=_stray(path, tables[0], pictures) if source.name in _ROWS else ())


def _stray(folder: Path, table: Path, pictures: list[Path]) -> tuple[str, ...]:
    """What is said where a folder's one table was taken, and its pictures not by their folders."""
    if not pictures:
        return ()
    words = shell_words(["datakit", "init", str(folder), "--format", "image_folder"])
    return (f"took {table.relative_to(folder)} for the data; for folders by label: {words}",)


def _most_telling(tables: list[Path], folder: Path) -> list[Path]:
    """Of tables with one name in several forms or folders those at the top; all where that tells nothing."""
    top = [table for table in tables if table.parent == folder]
    return top if len(top) == 1 else tables


def _pictures(path: Path, below: list[Path], pictures: list[Path]) -> Source:
    """A folder of pictures. Raises UserError for one that is a set of boxes."""
    for file in below:
        if file.suffix.lower() in (".txt", ".xml", ".yaml", ".yml") and (words := box_file(file)):
            raise UserError(
                f"{file}: these are {words}",
                remedy=f"{BOXES} For the pictures alone: name the folder that holds nothing else.",
            )
    if not pictures:
        raise _nothing(path, below)
    return Source("image_folder", {"path": str(path)}, f"the folder {path.name}", path)


def _nothing(path: Path, below: list[Path]) -> UserError:
    """The error for a folder without pictures and tables."""
    if not below:
        return UserError(f"{path} is an empty folder", remedy=f"Name the folder of the data. {EXAMPLE}")
    for file in below:
        suffix = file.suffix.lower()
        if suffix in (*_ARCHIVES, *_SHEETS):
            _check_suffix(file, suffix)
        if words := box_file(file):
            return UserError(f"{file}: these are {words}", remedy=BOXES)
    shown = ", ".join(str(file.relative_to(path)) for file in below[:_SHOWN]) + (
        " …" if len(below) > _SHOWN else ""
    )
    return UserError(
        f"{path} holds no picture and no table, but {shown}",
        remedy=f"datakit init takes pictures ({', '.join(PICTURE_SUFFIXES[:4])} …) and {', '.join(TABLES)}.",
    )


def _llamafactory(index: Path, asked: Asked) -> Source:
    """One data set of LLaMA-Factory's index. Raises UserError where none was named of several."""
    from datakit.read._dataset_info import document_of

    index = index / DATASET_INFO if index.is_dir() else index
    names = list(document_of(index))
    name = asked.dataset or (names[0] if len(names) == 1 else "")
    if name not in names:
        lines = [
            shell_words(["datakit", "init", str(index), "--dataset", other]) for other in names[:_MANY_TOPS]
        ]
        what = f"{index} has no data set `{name}`" if name else f"{index} lists {len(names)} data sets"
        hint = did_you_mean(name, names) if name else ""
        raise UserError(what, remedy=f"{hint} Say which:\n  ".lstrip() + "\n  ".join(lines))
    words = f"the data set {name} of LLaMA-Factory"
    return Source("llamafactory", {"path": str(index.parent), "dataset": name}, words, index)


def _below(folder: Path) -> Iterator[Path]:
    """Files below a folder, by name, without hidden ones."""
    for place, folders, names in os.walk(folder, onerror=closed_folder):
        folders[:] = sorted(name for name in folders if not name.startswith(".") and name != "lost+found")
        yield from (Path(place, name) for name in sorted(names) if not name.startswith("."))


def _depth(file: Path, folder: Path) -> int:
    return len(file.relative_to(folder).parts)
