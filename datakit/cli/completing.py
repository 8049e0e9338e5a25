"""What the shell may complete: builds, recipes, ids, steps, keys of a recipe. A fault completes nothing.

Each function is called as click calls one: the context of the command so far, the parameter, what is typed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from click.shell_completion import CompletionItem

if TYPE_CHECKING:
    from pydantic import BaseModel

MOST = 500
"""Ids that are offered."""
Complete = Callable[[click.Context, click.Parameter, str], list[CompletionItem]]


def _quiet(complete: Complete) -> Complete:
    """The same, without a word where something is missing or damaged: nobody asked for an account."""

    @wraps(complete)
    def go(context: click.Context, parameter: click.Parameter, typed: str) -> list[CompletionItem]:
        try:
            return complete(context, parameter, typed)
        except Exception:
            return []  # the command itself says what is wrong

    return go


@_quiet
def ids(context: click.Context, parameter: click.Parameter, typed: str) -> list[CompletionItem]:
    """Ids of a build's records and rejects; of a recipe, those of its build."""
    import polars as pl

    from datakit.artifacts.build_folder import BuildFolder
    from datakit.cli.build_path import build_of_recipe

    place = Path(context.params.get("recipe_or_build") or context.params["build"])
    build = BuildFolder(build_of_recipe(place) if place.is_file() else place)
    frames = [build.records.select(pl.col("id").cast(pl.String))]
    frames += (
        [build.rejects.select(pl.col("id").cast(pl.String))] if build.rejects_file.stat().st_size else []
    )
    found = pl.concat(frames).filter(pl.col("id").str.starts_with(typed)).unique(maintain_order=True)
    return _items(found.head(MOST).collect()["id"])


@_quiet
def steps(context: click.Context, parameter: click.Parameter, typed: str) -> list[CompletionItem]:
    """Names of transforms."""
    from datakit.core.registry import names

    return _items(name for name in names() if name.startswith(typed))


@_quiet
def keys(context: click.Context, parameter: click.Parameter, typed: str) -> list[CompletionItem]:
    """Keys of a recipe for --set, each with its `=`: those of its sections, and of the steps that it has."""
    from datakit.cli.recipe_path import only_recipe
    from datakit.core.task_blocks import flat_steps
    from datakit.recipe.reference import entry
    from datakit.recipe.yaml_file import load_yaml

    if "=" in typed:
        return []
    recipe = context.params.get("recipe") or context.params.get("recipe_or_build")
    data = load_yaml(Path(recipe) if recipe else only_recipe("build")).data
    found = ["seed", *(f"{name}.{key}" for name, model in _sections().items() for key in model.model_fields)]
    names = [_name(row) for _, row in flat_steps(data)]
    names += [f"emit.{_name(row).removeprefix('emit.')}" for row in data.get("emit") or ()]
    for name in dict.fromkeys(names):
        found += [f"{name}.{parameter.name}" for parameter in entry(name).parameters]
    return _items(f"{key}=" for key in found if key.startswith(typed))


def _name(row: Any) -> str:
    return str(next(iter(row))) if isinstance(row, dict) else str(row)


def _sections() -> dict[str, type[BaseModel]]:
    from datakit.core.settings import LlmSettings, RunSettings
    from datakit.library import sections

    return {"llm": LlmSettings, "run": RunSettings, **sections()}


@_quiet
def kinds(context: click.Context, parameter: click.Parameter, typed: str) -> list[CompletionItem]:
    """Kinds of findings of the verdict."""
    from datakit.core.settings import VERDICT_KINDS

    return _items(name for name in VERDICT_KINDS if name.startswith(typed))


@_quiet
def limits(context: click.Context, parameter: click.Parameter, typed: str) -> list[CompletionItem]:
    """What `diff --fail-on` may limit, each with its `>`."""
    from datakit.cards.diff_limits import MEASURES

    before, comma, last = typed.rpartition(",")
    return _items(f"{before}{comma}{name}>" for name in MEASURES if name.startswith(last))


@_quiet
def places(context: click.Context, parameter: click.Parameter, typed: str) -> list[CompletionItem]:
    """Builds and recipes of the project here, and any path."""
    found = [*builds(typed), *recipes(typed)]
    return [item for item in found if item.type == "plain"] or found[:1]


def builds(typed: str) -> list[CompletionItem]:
    """Builds of the project here, and any path."""
    folders = sorted(path.as_posix() for path in Path("build").glob("[!.]*") if path.is_dir())
    return _or_path(folders, typed)


def recipes(typed: str) -> list[CompletionItem]:
    """Recipes of the project here, and any path."""
    from datakit.cli.recipe_path import recipes_in

    return _or_path([path.as_posix() for path in recipes_in(Path())], typed)


def _or_path(known: list[str], typed: str) -> list[CompletionItem]:
    found = _items(name for name in known if name.startswith(typed))
    return found or [CompletionItem(typed, type="file")]


def _items(names: Iterable[str]) -> list[CompletionItem]:
    return [CompletionItem(name) for name in names if name.isprintable()]
