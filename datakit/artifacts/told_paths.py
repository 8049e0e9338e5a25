"""Texts without the paths of the machine on which they were written."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterable
from pathlib import Path, PurePosixPath

_ABSOLUTE = re.compile(r"(?<![\w.:/<])/(?:[^\s/:'\"`|<>,;()]+/)+([^\s/:'\"`|<>,;()]+)")
_BACK = re.compile(r"(?<![^\s/])[^\s/]+(?<!\.\.)/\.\./")
"""A step into a folder and out again, as paths relative to a recipe have."""

_LEAST_PARTS = 3
"""Of the folder that all share: names directly under / and /home are people's and disks'."""
_FEW = 5


def shared_folder(paths: Iterable[str], projects: Iterable[Path]) -> str:
    """The folder of a data set outside of the projects: the deepest that holds all of its files.

    "" where there is none, or only one that is too near to the root to be the data's own, and for a few files
    whose names tell them apart.
    """
    roots = [f"{project.as_posix()}/" for project in projects]
    outside = [
        path
        for path in map(posixpath.normpath, paths)
        if path.startswith("/") and not path.startswith(tuple(roots))
    ]
    if len({posixpath.basename(path) for path in outside}) == len(outside) <= _FEW:
        return ""
    shared = posixpath.commonpath({posixpath.dirname(path) for path in outside})
    return shared if len(PurePosixPath(shared).parts) >= _LEAST_PARTS else ""


def told_place(path: str, projects: Iterable[Path], shared: str) -> str:
    """A path relative to its project or to the folder `shared`; of any other one the file's name."""
    path = posixpath.normpath(path) if path else path
    for folder in [*(project.as_posix() for project in projects), *([shared] if shared else [])]:
        if PurePosixPath(path).is_relative_to(folder):
            return PurePosixPath(path).relative_to(folder).as_posix()
    return PurePosixPath(path).name if path.startswith("/") else path


def without_folders(text: str, projects: Iterable[Path]) -> str:
    """`text` with paths relative to their project; of any other absolute path the file's name alone."""
    for project in projects:
        text = text.replace(f"{project.as_posix()}/", "")
    return _ABSOLUTE.sub(r"\1", _BACK.sub("", text))
