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


def shared_folder(paths: Iterable[str], projects: Iterable[Path]) -> str:
    """The folder of a data set outside of the projects: the deepest that holds all of its files.

    "" where there is none, or only one that is too near to the root to be the data's own.
    """
    roots = [f"{project.as_posix()}/" for project in projects]
    outside = {
        posixpath.dirname(path)
        for path in map(posixpath.normpath, paths)
        if path.startswith("/") and not path.startswith(tuple(roots))
    }
    shared = posixpath.commonpath(outside) if outside else ""
    return shared if len(PurePosixPath(shared).parts) >= _LEAST_PARTS else ""


def without_folders(text: str, projects: Iterable[Path]) -> str:
    """`text` with paths relative to their project; of any other absolute path the file's name alone."""
    for project in projects:
        text = text.replace(f"{project.as_posix()}/", "")
    return _ABSOLUTE.sub(r"\1", _BACK.sub("", text))
