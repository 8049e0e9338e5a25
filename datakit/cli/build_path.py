"""The argument BUILD of the commands: a build's folder, or the recipe that made it."""

from __future__ import annotations

import os
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem

    from datakit.core.errors import UserError

_RECIPE = (".yaml", ".yml")


class BuildPath(click.Path):
    """The folder of a build; of a recipe, that of its build. Raises UserError with the builds there are.

    A command that read files of one build and of another that took its place meanwhile ends with a UserError.
    """

    def __init__(self, *, outlives: bool = False) -> None:
        """`outlives`: the command goes on for hours with what it read at its beginning, such as a server."""
        super().__init__(path_type=Path)
        self._outlives = outlives

    def shell_complete(
        self, ctx: click.Context, param: click.Parameter, incomplete: str
    ) -> list[CompletionItem]:
        from datakit.cli.completing import builds

        return builds(incomplete)

    def convert(
        self, value: str | os.PathLike[str], param: click.Parameter | None, ctx: click.Context | None
    ) -> Path:
        path = Path(value)
        _check_text(path)
        if path.suffix in _RECIPE and path.is_file():
            path = build_of_recipe(path)
        elif not _stands(path):
            raise no_build(path)
        if ctx is not None and not self._outlives:
            ctx.call_on_close(partial(_check_same, path, path.stat().st_ino))
        return path


def _check_text(path: Path) -> None:
    """Raises UserError for a place whose name is no text: no file of a build could name it."""
    try:
        os.path.abspath(path).encode()
    except UnicodeEncodeError:
        from datakit.core.errors import UserError

        shown = str(path).encode("utf-8", "backslashreplace").decode()
        raise UserError(
            f"the path {shown} is not in UTF-8", remedy="Rename the file or folder, or the one it lies in."
        ) from None


def _stands(folder: Path) -> bool:
    """Whether a build stands there, after one that is on its way has come."""
    if folder.is_dir():
        return True
    from datakit.artifacts.place import await_build

    await_build(folder)
    return folder.is_dir()


def _check_same(folder: Path, inode: int) -> None:
    """Raises UserError where another build has taken the place of the one that a command read."""
    from datakit.core.errors import UserError

    if not folder.is_dir() or folder.stat().st_ino != inode:
        raise UserError(
            f"another build took the place of {folder} while it was read",
            remedy="Run the same command again.",
        )


def build_of_recipe(path: Path) -> Path:
    """Where the build of a recipe lies. Raises UserError when there is none, and for what is no recipe."""
    from datakit.core.errors import UserError
    from datakit.library import load

    recipe = load(path)
    folder = recipe.build_folder
    if not _stands(folder):
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
