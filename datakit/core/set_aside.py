"""Moves what a person may have made out of the way: nothing is overwritten or deleted."""

from __future__ import annotations

import os
import time
from pathlib import Path


def set_aside(path: Path) -> Path:
    """Where the file or folder at `path` lies now: beside its place, as `<stem>.kept-<UTC time><suffix>`.

    The name has another stem, so that nothing that looks for such files takes it up again. A link is moved
    itself, not what it points to. Raises OSError where it cannot be renamed.
    """
    target = free_name(path.with_name(f"{path.stem}.kept-{stamp_now()}{path.suffix}"))
    os.rename(path, target)
    return target


def free_name(path: Path) -> Path:
    """`path`, or where that is taken the first of `<stem>-2<suffix>`, `<stem>-3<suffix>` … that is free."""
    free, number = path, 1
    while os.path.lexists(free):
        number += 1
        free = path.with_name(f"{path.stem}-{number}{path.suffix}")
    return free


def stamp_now() -> str:
    """The time in UTC as it stands in names, such as 20261126T032000."""
    return time.strftime("%Y%m%dT%H%M%S", time.gmtime())
