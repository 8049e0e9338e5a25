"""An error of polars that comes of a damaged build, told from one that is datakit's own."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from datakit.artifacts.build_folder import BuildFolder
    from datakit.core.errors import UserError

_TABLE = ".parquet"
_BESIDE = ("kfold", "ablate")


def damage(error: BaseException, words: Sequence[str]) -> UserError | None:
    """What is wrong with a build that the words of a command name; None where its tables are as they were
    built, so that the error is not theirs."""
    from datakit.artifacts.changed_files import changed_files
    from datakit.artifacts.tables import damaged_table
    from datakit.core.errors import DatakitError

    for build in _builds(words):
        with suppress(DatakitError, OSError):  # whose manifest is damaged too says nothing
            tables = [name for name in changed_files(build) if name.endswith(_TABLE)]
            if tables:
                return damaged_table(build.path / tables[0], error)
    return None


def _builds(words: Sequence[str]) -> Iterator[BuildFolder]:
    """The builds that words name: by their folder, or by the recipe that made them or folds of them."""
    from datakit.artifacts.build_folder import BuildFolder
    from datakit.cli.build_path import build_of_recipe
    from datakit.core.errors import DatakitError

    for word in words:
        path = Path(word)
        if path.suffix in (".yaml", ".yml"):
            with suppress(DatakitError):
                path = build_of_recipe(path)
        if not path.is_dir():
            continue
        build = BuildFolder(path.absolute())
        yield build.whole or build
        for kind in _BESIDE:
            for fold in sorted(path.with_name(f"{path.name}.{kind}").glob("*")):
                if BuildFolder(fold).is_finished:
                    yield BuildFolder(fold)
