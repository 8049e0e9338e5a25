"""Names of transforms -> classes, found by place; nothing is imported before it is named."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Callable
from functools import cache
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path

from datakit.core.errors import UserError, did_you_mean
from datakit.core.transform import Transform

FOLDERS = ("read", "annotate", "guard", "curate", "balance", "render", "mix", "emit")
"""The packages that hold transforms, in the order of the flow."""
GROUP = "datakit.transforms"
"""Entry-point group through which other packages add transforms (`guard.mine = "package.module:Mine"`)."""


@cache
def names() -> tuple[str, ...]:
    """Every transform's name, in the order of the flow."""
    root = Path(__file__).resolve().parent.parent
    shipped = [
        f"{folder}.{module.name}"
        for folder in FOLDERS
        for module in sorted(pkgutil.iter_modules([str(root / folder)]), key=lambda module: module.name)
        if not module.name.startswith("_") and not module.ispkg
    ]
    return tuple(shipped) + tuple(sorted(_plugins().keys() - set(shipped)))


@cache
def find(name: str) -> type[Transform]:
    """The class of a transform. Raises UserError with a did-you-mean for an unknown name."""
    folder, _, module = name.partition(".")
    plugin = _plugins().get(name)
    if plugin is not None and not (folder in FOLDERS and name in _own()):
        return _load_plugin(plugin)
    if name not in _own():
        hint = did_you_mean(name, names()) or "All transforms: datakit transforms"
        raise UserError(f"unknown step `{name}`", remedy=hint)
    return _class_in(f"datakit.{folder}.{module}")


def classes_of(package: str) -> tuple[Callable[[str], type[Transform]], Callable[[], list[str]]]:
    """`__getattr__` and `__dir__` of a transform folder: `datakit.guard.PromptLength` without its module."""
    folder = package.rsplit(".", 1)[-1]

    def classes() -> dict[str, str]:
        own = [name for name in names() if name.startswith(f"{folder}.")]
        return {"".join(part.capitalize() for part in name.split(".")[1].split("_")): name for name in own}

    def get(name: str) -> type[Transform]:
        if name.startswith("_") or name not in classes():
            raise AttributeError(f"datakit.{folder} has no {name!r}; it has {', '.join(classes())}")
        return find(classes()[name])

    return get, lambda: sorted(classes())


@cache
def _own() -> frozenset[str]:
    return frozenset(name for name in names() if name not in _plugins())


def _class_in(module_name: str) -> type[Transform]:
    module = importlib.import_module(module_name)
    classes = [
        value
        for key, value in vars(module).items()
        if isinstance(value, type)
        and issubclass(value, Transform)
        and value.__module__ == module_name
        and not key.startswith("_")
    ]
    if len(classes) != 1:
        raise TypeError(f"{module_name} must define exactly one public transform, not {len(classes)}")
    return classes[0]


@cache
def _plugins() -> dict[str, EntryPoint]:
    return {point.name: point for point in entry_points(group=GROUP)}


def _load_plugin(point: EntryPoint) -> type[Transform]:
    loaded = point.load()
    if not (isinstance(loaded, type) and issubclass(loaded, Transform)):
        raise UserError(f"entry point {point.name} = {point.value} is not a datakit transform")
    loaded.registered_name = point.name
    return loaded
