"""Data sets of the Hugging Face `datasets` package: a hub's by name, or a folder that it saved."""

from __future__ import annotations

import logging
import os
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import polars as pl

from datakit.core.errors import UserError, did_you_mean, missing_extra
from datakit.core.files import Stamp
from datakit.core.regular_files import is_special
from datakit.core.step_context import StepContext
from datakit.read._class_names import with_class_names
from datakit.read._embedded import EmbeddedImages
from datakit.read._files import missing, not_regular
from datakit.read._hub_faults import hub_fault, load_fault, reached_hub

DATASETS = ("datasets", "hub")
"""The package that reads them, and its extra."""
_NAME = re.compile(r"\w[\w.-]*/\w[\w.-]*")
_FILE = re.compile(r"\.(jsonl?|ndjson|csv|tsv|parquet)$", re.IGNORECASE)


@dataclass(frozen=True)
class HubSource:
    """Where a data set comes from. A saved one has stamps of its files, so that a change is noticed."""

    path: str
    subset: str | None = None
    revision: str | None = None
    stamps: tuple[Stamp, ...] = ()


class CachedImages(EmbeddedImages):
    """Also pictures that a hub's set holds as files: `datasets` names where they lie in its cache."""

    def one(self, path: Any) -> str:
        if isinstance(path, dict) and path.get("bytes") is None and _is_cached(path.get("path")):
            path = {"bytes": Path(path["path"]).read_bytes()}
        return super().one(path)


def _is_cached(path: Any) -> bool:
    """Whether a path is that of a file in the package's caches. A set may name any path of this machine."""
    import datasets
    from huggingface_hub import constants

    if not isinstance(path, str) or not os.path.isabs(path) or "\0" in path:
        return False
    real, roots = os.path.realpath(path), (constants.HF_HUB_CACHE, str(datasets.config.HF_DATASETS_CACHE))
    return os.path.isfile(real) and any(Path(real).is_relative_to(os.path.realpath(root)) for root in roots)


def is_hub_name(path: str, context: StepContext) -> bool:
    """Whether `path` is a data set's name (`owner/name`), and nothing on this machine."""
    return bool(_NAME.fullmatch(path)) and not _FILE.search(path) and not context.path(path).exists()


def folder_files(folder: Path) -> tuple[Path, ...]:
    """The files of a data set that `save_to_disk` or emit.hub wrote, or that was fetched from a hub.

    Raises UserError for another folder.
    """
    if not folder.exists():
        raise missing(folder)
    if _is_saved(folder):
        return _regular(sorted(path for path in folder.rglob("*") if path.suffix in {".arrow", ".json"}))
    below = [path for path in folder.rglob("*") if not _is_hidden(path.relative_to(folder))]
    tables = sorted(path for path in below if _FILE.search(path.name))
    card = folder / "README.md"
    if not tables or not (card.is_file() or any(path.suffix == ".parquet" for path in tables)):
        raise UserError(
            f"{folder} is not a data set that `save_to_disk` wrote, nor one as a hub holds it",
            remedy="Name such a folder (README.md, data/*.parquet), or a data set as `owner/name`.",
        )
    return _regular([*([card] if card.is_file() else []), *tables])


def _regular(paths: list[Path]) -> tuple[Path, ...]:
    """The files, for another package that opens them. Raises UserError for a pipe or a device among them."""
    for path in paths:
        if path.exists() and not path.is_dir() and is_special(path.stat()):
            raise not_regular(path)
    return tuple(paths)


def _is_saved(folder: Path) -> bool:
    return (folder / "dataset_dict.json").is_file() or (folder / "state.json").is_file()


def _is_hidden(path: Path) -> bool:
    return any(part.startswith(".") for part in path.parts)


@lru_cache(maxsize=8)
def loaded(source: HubSource, split: str | None) -> Any:
    """The `datasets.Dataset`, or an IterableDataset of a folder's tables.

    Raises UserError for what the package or the hub refuses.
    """
    try:
        import datasets  # noqa: F401
    except ImportError:
        raise missing_extra(*DATASETS, "Reading data sets of the hub") from None
    with _quiet():
        dataset = _of_folder(source) if source.stamps else _fetched(source)
    if isinstance(dataset, dict):
        return _part(dataset, source.path, split)
    if split is not None:
        raise UserError(f"{source.path} is one part without splits", remedy="Leave out `split`.")
    return dataset


def frames(dataset: Any, rows: int) -> Iterator[pl.DataFrame]:
    """The data set as frames, class numbers as their names; pictures stay encoded (bytes and path)."""
    plain = dataset.with_format("arrow")
    features = features_of(dataset)
    tables = (
        (plain[start : start + rows] for start in range(0, len(plain), rows))
        if hasattr(plain, "__len__")
        else plain.iter(rows)
    )
    for table in tables:
        yield with_class_names(pl.DataFrame(pl.from_arrow(table)), features)


def features_of(dataset: Any) -> dict[str, Any]:
    """Column -> feature, as the package writes them into files."""
    return dataset.features.to_dict() if dataset.features is not None else {}


@contextmanager
def _quiet() -> Iterator[None]:
    """No bars where nobody watches them, and no warning of a card whose head has no settings."""
    import datasets

    cards, hides = logging.getLogger("huggingface_hub.repocard"), not sys.stderr.isatty()
    before, hides = cards.level, hides and not datasets.are_progress_bars_disabled()
    cards.setLevel(logging.ERROR)
    if hides:
        datasets.disable_progress_bars()
    try:
        yield
    finally:
        cards.setLevel(before)
        if hides:
            datasets.enable_progress_bars()


def _of_folder(source: HubSource) -> Any:
    import datasets

    try:
        if _is_saved(Path(source.path)):
            return datasets.load_from_disk(source.path)
        # streamed: the package's cache keeps what a file held before it was changed
        return datasets.load_dataset(source.path, name=source.subset, streaming=True)
    except Exception as error:  # the package raises anything, even IndexError for a set without rows
        raise load_fault(source.path, error, "Does it hold rows, and was it saved to its end?") from None


def _fetched(source: HubSource) -> Any:
    """A data set of the hub, out of the package's cache where that has it."""
    import datasets

    with reached_hub(source.path, source.revision) as said:
        try:
            return datasets.load_dataset(source.path, name=source.subset, revision=source.revision)
        except Exception as error:  # as above
            raise hub_fault(source.path, error, said) from None


def _part(splits: Any, path: str, split: str | None) -> Any:
    if split is None:
        split = "train" if "train" in splits or len(splits) > 1 else next(iter(splits))
    if split not in splits:
        raise UserError(
            f"the data set {path} has no split `{split}`",
            remedy=f"{did_you_mean(split, splits)} Say which: `split: {next(iter(splits))}`. It has "
            f"{', '.join(splits)}.".strip(),
        )
    return splits[split]
