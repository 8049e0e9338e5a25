"""Files that are opened for reading: regular ones, so that no pipe, device or socket holds a run up.

Every path that a user or the data names is opened through this module. What is not a regular file is refused
before it is opened, because opening alone can hang (a pipe without a writer) or do something (a device), and
looked at again once it is open, because a name may be given to something else in between.
"""

from __future__ import annotations

import errno
import os
import stat
from functools import lru_cache
from pathlib import Path
from typing import IO

from datakit.core.copied_files import at_hand

_KINDS = (
    (stat.S_ISFIFO, "a pipe"),
    (stat.S_ISSOCK, "a socket"),
    (stat.S_ISCHR, "a device"),
    (stat.S_ISBLK, "a device"),
)
_REMEDY = "name a regular file; what a pipe or a device gives can be saved to one first"
_KERNEL_FOLDERS = ("/proc", "/sys")
_FLAGS = (
    getattr(os, "O_NONBLOCK", 0)  # a pipe that took the file's place must not hold the opening up
    | getattr(os, "O_NOCTTY", 0)
    | getattr(os, "O_CLOEXEC", 0)
)


class NotRegular(OSError):
    """A path that names a pipe, a socket, a device or a file of the kernel. `strerror` says what to do."""

    def __init__(self, kind: str, path: str | os.PathLike[str]) -> None:
        super().__init__(errno.EINVAL, f"is {kind}, not a regular file: {_REMEDY}", os.fspath(path))
        self.kind = kind

    def __reduce__(self) -> tuple[type[NotRegular], tuple[str, str]]:
        return NotRegular, (self.kind, self.filename)


def check_regular(path: str | os.PathLike[str]) -> os.stat_result:
    """The status of a regular file, links followed.

    Raises NotRegular, IsADirectoryError and whatever else keeps the path from being looked at (OSError).
    """
    return _checked(os.stat(at_hand(path)), path)


def is_special(status: os.stat_result) -> bool:
    """Whether something is a pipe, a socket, a device or a file of the kernel, such as `/proc/kmsg`."""
    return special_kind(status) != ""


def special_kind(status: os.stat_result) -> str:
    """`a pipe`, `a socket`, `a device` or `a file of the kernel`; "" for regular files and folders."""
    kind = next((words for is_kind, words in _KINDS if is_kind(status.st_mode)), "")
    if not kind and stat.S_ISREG(status.st_mode) and status.st_dev in _kernel_devices():
        return "a file of the kernel"
    return kind


def regular(path: str, flags: int) -> int:
    """A descriptor of a regular file: `open(path, "rb", opener=regular)`. Raises as `check_regular` does."""
    if not flags & os.O_CREAT or os.path.lexists(path):
        check_regular(path)
    handle = os.open(at_hand(path), flags | _FLAGS, 0o666)
    try:
        _checked(os.fstat(handle), path)
    except OSError:
        os.close(handle)
        raise
    return handle


def read_regular(path: str | os.PathLike[str]) -> bytes:
    """The content of a regular file. Raises as `check_regular` does."""
    with open(path, "rb", opener=regular) as file:
        return file.read()


def read_end(path: str | os.PathLike[str], most: int) -> bytes:
    """The last bytes of a regular file, such as a log, `most` at most. Raises as `check_regular` does."""
    with open(path, "rb", opener=regular) as file:
        file.seek(max(0, os.fstat(file.fileno()).st_size - most))
        return file.read()


def read_regular_text(path: str | os.PathLike[str], encoding: str = "utf-8") -> str:
    """The same as text, its line ends as line feeds. Raises UnicodeDecodeError as well."""
    with open_regular_text(path, encoding) as file:
        return file.read()


def open_regular_text(
    path: str | os.PathLike[str],
    encoding: str = "utf-8",
    *,
    errors: str | None = None,
    newline: str | None = None,
) -> IO[str]:
    """A regular file, opened for reading text. Raises as `check_regular` does."""
    return open(path, encoding=encoding, errors=errors, newline=newline, opener=regular)


def regular_path(path: Path) -> Path:
    """The path itself, for another package that opens it. Raises as `check_regular` does."""
    check_regular(path)
    return path


def _checked(status: os.stat_result, path: str | os.PathLike[str]) -> os.stat_result:
    if stat.S_ISDIR(status.st_mode):
        raise IsADirectoryError(errno.EISDIR, "is a folder, not a file", os.fspath(path))
    if kind := special_kind(status):
        raise NotRegular(kind, path)
    return status


@lru_cache(maxsize=1)
def _kernel_devices() -> frozenset[int]:
    """The devices of the file systems in which the kernel shows itself: their sizes are 0, some never end."""
    return frozenset(os.stat(folder).st_dev for folder in _KERNEL_FOLDERS if os.path.ismount(folder))
