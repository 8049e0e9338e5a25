"""The argument BUILD of the commands: a build's folder, or the recipe that made it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from datakit.core.errors import UserError

_RECIPE = (".yaml", ".yml")


class BuildPath(click.Path):
    """The folder of a build; of a recipe, that of its build. Raises UserError with the builds there are."""

    def __init__(self) -> None:
        super().__init__(path_type=Path)

    def convert(self, value: str | Path, param: click.Parameter | None, ctx: click.Context | None) -> Path:
        path = Path(value)
        if path.is_dir():
            return path
        if path.suffix in _RECIPE and path.is_file():
            return build_of_recipe(path)
        raise no_build(path)


def build_of_recipe(path: Path) -> Path:
    """Where the build of a recipe lies. Raises UserError when there is none, and for what is no recipe."""
    from datakit.core.errors import UserError
    from datakit.library import load

    recipe = load(path)
    folder = recipe.project / "build" / recipe.name
    if not folder.is_dir():
        raise UserError(f"{path} has no build yet", remedy=f"Make it: datakit build {path}")
    return folder


def no_build(place: Path) -> UserError:
    """The error for a path at which there is no build, with the builds beside it."""
    from datakit.artifacts.build_folder import builds_in
    from datakit.core.errors import UserError, did_you_mean

    beside = place.parent if place.parent != Path() else Path("build")
    builds = [build.path.as_posix() for build in builds_in(beside) if build.is_finished]
    hint = f"Builds there: {', '.join(builds)}." if builds else "Make one: datakit build RECIPE"
    return UserError(
        f"there is no build {place}",
        remedy=f"{did_you_mean(place.as_posix(), builds)} {hint}".strip(),
    )
