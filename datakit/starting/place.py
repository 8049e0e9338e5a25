"""Where a new project lies: never in data, never over files that are there."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from datakit.artifacts.names import LABELS
from datakit.core.errors import UserError
from datakit.core.scripts import shell_words

_SHOWN = 10
OUTPUTS = ("build", "data_cards", ".datakit")
"""Folders that builds write into a project."""


def project_folder(place: str, into: Path | None) -> Path:
    """The folder of the project: the one named, else `NAME-project` in the working folder."""
    if into is not None:
        return into.expanduser().absolute()
    name = re.sub(r"\.(jsonl?|ndjson|csv|tsv|parquet)$", "", Path(os.path.abspath(place)).name, flags=re.I)
    return Path.cwd() / f"{name or 'data'}-project"


def recipe_name(folder: Path, otherwise: str = "data") -> str:
    """A recipe's name by the folder of its project, which may have any name."""
    return file_name(folder).removesuffix("-project") or otherwise


def file_name(folder: Path) -> str:
    """The folder's name without what no recipe's name may have; "" where nothing is left."""
    return re.sub(r"[^\w-]+", "_", folder.name).strip("_-")


def label_path(name: str) -> str:
    """The label file of a recipe, in its project."""
    return f"templates/{name}/{LABELS}"


def check_apart(folder: Path, data: Sequence[Path], place: str) -> None:
    """Raises UserError for a project that would lie in data, or build into it."""
    real = folder.resolve()
    for own in data:
        at = own.resolve()
        outputs = [real / name for name in (*OUTPUTS, "recipes", "templates")]
        if real.is_relative_to(at) or any(path.is_relative_to(at) for path in outputs):
            aside = at.parent / f"{at.name}-project"
            raise UserError(
                f"the project {folder} would lie in the data {own}",
                remedy="Nothing was written: data is never written into. Name a folder beside it: "
                + shell_words(["datakit", "init", place, "--into", str(aside)]),
            )


def check_free(folder: Path, paths: Iterable[str], again: str) -> None:
    """Raises UserError for a folder in which files would be written over, naming them; `again`: a command."""
    if folder.exists() and not folder.is_dir():
        raise UserError(f"{folder} is a file", remedy=f"Name a folder: {again}")
    existing = [path for path in sorted(paths) if os.path.lexists(folder / path)]
    if existing:
        shown = "\n    ".join(existing[:_SHOWN])
        more = f"\n    and {len(existing) - _SHOWN} more" if len(existing) > _SHOWN else ""
        raise UserError(
            f"{folder} holds files that would be written over:\n    {shown}{more}",
            remedy=f"Nothing was written. Choose another folder: {again}",
        )


def write(folder: Path, texts: Mapping[str, str], copies: Mapping[str, Path] | None = None) -> None:
    """Writes a project's files. Raises UserError for a folder that cannot be written."""
    copies = copies or {}
    try:
        for path in sorted([*texts, *copies]):
            (folder / path).parent.mkdir(parents=True, exist_ok=True)
            content = texts[path].encode() if path in texts else copies[path].read_bytes()
            with open(folder / path, "xb") as file:  # somebody may have made it meanwhile
                file.write(content)
    except OSError as error:
        raise UserError(
            f"cannot write {error.filename}: {error.strerror}", remedy="Choose a folder that can be written."
        ) from None
