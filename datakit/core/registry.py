"""Names of transforms -> classes, found by place; nothing is imported before it is named."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Callable
from functools import cache
from importlib.metadata import EntryPoint
from pathlib import Path

from datakit.core.errors import UserError, did_you_mean
from datakit.core.plugins import TRANSFORMS, broken, load, plugins
from datakit.core.transform import Transform

FOLDERS = ("read", "annotate", "guard", "curate", "balance", "render", "mix", "emit")
"""The packages that hold transforms, in the order of the flow."""
GROUP = TRANSFORMS
"""Entry-point group through which other packages add transforms (`guard.mine = "package.module:Mine"`)."""

FUNCTION = "step."
"""Begins the names of functions that @dk.step made steps of dk.apply."""


@cache
def names() -> tuple[str, ...]:
    """Every transform's name, in the order of the flow, then those of other packages."""
    return (*own_names(), *sorted(_plugins().keys() - set(own_names())))


@cache
def own_names() -> tuple[str, ...]:
    """The names of datakit's own transforms."""
    root = Path(__file__).resolve().parent.parent
    return tuple(
        f"{folder}.{module.name}"
        for folder in FOLDERS
        for module in sorted(pkgutil.iter_modules([str(root / folder)]), key=lambda module: module.name)
        if not module.name.startswith("_") and not module.ispkg
    )


@cache
def find(name: str) -> type[Transform]:
    """The class of a transform. Raises UserError with a did-you-mean for an unknown name."""
    plugin = _plugins().get(name)
    if name in own_names():
        if plugin is not None:
            raise broken(plugin, f"takes the name of datakit's own `{name}`")
        folder, _, module = name.partition(".")
        return _class_in(f"datakit.{folder}.{module}")
    if plugin is None and name.startswith(FUNCTION):
        words = f"`{name}`: a recipe runs no code, so it has no steps made of a function by @dk.step"
        remedy = "Use it with dk.apply in Python, or make it a transform: docs/how-to/write-a-transform.md"
        raise UserError(words, remedy=remedy)
    if plugin is None:
        hint = did_you_mean(name, names()) or "All transforms: datakit transforms"
        raise UserError(f"unknown step `{name}`", remedy=hint)
    return _load_plugin(plugin)


def plugin_of(name: str) -> EntryPoint | None:
    """The entry point of another package's transform; None for datakit's own, and for one that is absent."""
    return None if name in own_names() else _plugins().get(name)


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


def _plugins() -> dict[str, EntryPoint]:
    return plugins(GROUP)


def _load_plugin(point: EntryPoint) -> type[Transform]:
    loaded = load(point)
    if not (isinstance(loaded, type) and issubclass(loaded, Transform)):
        raise broken(point, f"is no transform, but {loaded!r}")
    loaded.registered_name = point.name
    return loaded
