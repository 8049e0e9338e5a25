"""Copies of files that another machine has: a worker there opens the copy under the file's own name.

Messages, keys and results hold the name that the record has, so that they are the same wherever it is
answered. `regular_files.regular`, through which pictures are opened, looks here.
"""

from __future__ import annotations

import os

_copies: dict[str, tuple[str, int]] = {}
"""Path -> where its copy lies, and how many records at work need it."""


def at_hand(path: str | os.PathLike[str]) -> str | os.PathLike[str]:
    """Where the file lies on this machine: the path itself, unless there is a copy."""
    if not _copies:
        return path
    copy = _copies.get(os.fspath(path))
    return path if copy is None else copy[0]


def hold(path: str, copy: str) -> str:
    """From here on the path stands for the copy; gives the one that stands there already, if one does."""
    kept, users = _copies.get(path, (copy, 0))
    _copies[path] = (kept, users + 1)
    return kept


def let_go(path: str) -> str | None:
    """One record is done with the file. Gives the copy, which is to be removed, after the last one."""
    kept, users = _copies[path]
    if users > 1:
        _copies[path] = (kept, users - 1)
        return None
    del _copies[path]
    return kept
