"""Folders and files that only their owner may read: answers that were paid for, logs, failed builds."""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import BinaryIO

_GROUP_WRITES, _OTHERS = stat.S_IWGRP, stat.S_IRWXG | stat.S_IRWXO


def private_folder(folder: Path) -> Path:
    """The folder, made where it is not there, closed to others.

    One that its group may write into is shared on purpose, such as the result store of a team: it stays so.
    """
    try:
        folder.mkdir(parents=True)
    except FileExistsError:
        mode = folder.stat().st_mode
        if mode & _GROUP_WRITES or not mode & _OTHERS or folder.stat().st_uid != os.geteuid():
            return folder
    folder.chmod(0o700)
    return folder


def close_to_others(file: Path) -> None:
    """Closes a file or folder to others, unless the folder that it lies in is shared on purpose."""
    if not file.parent.stat().st_mode & _GROUP_WRITES and file.stat().st_uid == os.geteuid():
        file.chmod(0o700 if file.is_dir() else 0o600)


def open_private(file: Path) -> BinaryIO:
    """A new file for writing that only its owner may read; one that is there is emptied."""
    handle = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    os.fchmod(handle, 0o600)
    return os.fdopen(handle, "wb")
