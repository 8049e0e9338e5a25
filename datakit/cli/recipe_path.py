"""What commands take a recipe by: the argument RECIPE, a file or the project's only one, and --set."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import TYPE_CHECKING

import click

from datakit.cli import completing
from datakit.core.regular_files import regular

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem

    from datakit.core.errors import UserError

LIMIT_HELP = "At most N records of each source, some of each label; in a folder of their own."
OUT_HELP = "Folder of the build; if not given, build/<name>, or build/<name>.limit<N>."
set_option = click.option(
    "--set",
    "overrides",
    multiple=True,
    metavar="KEY=VALUE",
    shell_complete=completing.keys,
    help="Replace a value of the recipe.",
)
_SHOWN = 20
_STEPS = re.compile(rb"^steps:", re.MULTILINE)
_HEAD = 1 << 16


class RecipePath(click.Path):
    """A recipe's path as it is given. Raises UserError for a folder, with the recipes that are there."""

    def __init__(self) -> None:
        super().__init__(path_type=Path)

    def shell_complete(
        self, ctx: click.Context, param: click.Parameter, incomplete: str
    ) -> list[CompletionItem]:
        return completing.recipes(incomplete)

    def convert(
        self, value: str | os.PathLike[str], param: click.Parameter | None, ctx: click.Context | None
    ) -> Path:
        path = Path(value)
        if path.is_dir():
            command = ctx.info_name if ctx is not None else None
            raise _which(path, recipes_in(path), command or "build")
        return path


def only_recipe(command: str) -> Path:
    """The one recipe of the project here. Raises UserError for none, and for several."""
    recipes = recipes_in(Path())
    if len(recipes) == 1:
        return recipes[0]
    raise _which(Path(), recipes, command)


def recipes_in(folder: Path) -> list[Path]:
    """The recipes in a project's folder, or in a folder of recipes, by name."""
    own = folder / "recipes"
    return sorted(path for path in (own if own.is_dir() else folder).glob("*.y*ml") if _has_steps(path))


def _has_steps(path: Path) -> bool:
    """Whether a file is a recipe, as far as its first lines say: a project's folder has other YAML too."""
    try:
        with open(path, "rb", opener=regular) as file:
            return bool(_STEPS.search(file.read(_HEAD)))
    except OSError:
        return False


def _which(folder: Path, recipes: list[Path], command: str) -> UserError:
    from datakit.core.errors import UserError
    from datakit.core.scripts import shell_words

    place = "here" if folder == Path() else f"in {folder}"
    if not recipes:
        return UserError(
            f"there is no recipe {place}",
            remedy=f"Name one: datakit {command} RECIPE. Make one of your data: datakit init PATH",
        )
    lines = [shell_words(["datakit", command, path.as_posix()]) for path in recipes[:_SHOWN]]
    lines += [f"and {len(recipes) - _SHOWN} more"] if len(recipes) > _SHOWN else []
    what = "one recipe" if len(recipes) == 1 else f"{len(recipes)} recipes"
    return UserError(
        f"there {'is' if len(recipes) == 1 else 'are'} {what} {place}",
        remedy="Say which:\n  " + "\n  ".join(lines),
    )
