"""Paths as people read them."""

from __future__ import annotations

import os
from pathlib import Path


def show_path(path: Path) -> str:
    """The path as a user would type it: relative to the working folder where it lies below."""
    plain = plain_path(path)
    try:
        return plain.relative_to(Path.cwd()).as_posix()
    except ValueError:
        return str(plain if plain != path.absolute() else path)


def plain_path(path: Path) -> Path:
    """The absolute path without the steps up (`recipes/../data`) that make it hard to read.

    They stay where a linked folder would lead them elsewhere.
    """
    path = path.absolute()
    if ".." not in path.parts:
        return path
    plain = Path(os.path.normpath(path))
    return plain if plain.resolve() == path.resolve() else path
