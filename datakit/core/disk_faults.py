"""Full and closed disks: whether one is full, and what is told of an error: place, free bytes, remedy."""

from __future__ import annotations

import errno
import os
import re
import shutil
import tempfile
from pathlib import Path

SAYS_FULL = re.compile(
    r"No space left on device|os error 28|PytorchStreamWriter failed writing|Disk quota exceeded|"
    r"os error 122|inline_container\.cc.*unexpected pos|File too large|os error 27"
)
"""What Python, Rust and torch say of a disk, a quota and a file's size that is at its bound."""
_TAKES_NO_MORE = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})
_FULL = (errno.ENOSPC, errno.EDQUOT)
_CLOSED = (errno.EACCES, errno.EPERM)
_AGAIN = "Mend this: the same command goes on, and what was finished is kept."
_LITTLE_BYTES = 32 << 20
"""A disk with less free is named as the full one where the error names no file."""
_PROBE_BYTES = 1 << 20


def is_full(folder: Path) -> bool:
    """Whether the folder takes no megabyte more: its disk is full, or the user's quota of it.

    It is tried: what a program says of it in a log on that disk is cut short.
    """
    try:
        with tempfile.TemporaryFile(dir=folder) as file:
            file.write(bytes(_PROBE_BYTES))
            file.flush()
    except OSError as error:
        return error.errno in _TAKES_NO_MORE
    return False


def disk_fault(error: OSError, *places: Path) -> tuple[str, str]:
    """What happened and what to do about it, each in a line.

    `places` are folders that were written to; they stand in where the error names no file, as one of writing
    to an open file does not.
    """
    try:
        if error.errno in _FULL:
            return _full(error, places)
        return _closed(error, places)
    except OSError:  # the place itself is gone
        return f"{error.filename or ''} {error.strerror or error}".strip(), _AGAIN


def _closed(error: OSError, places: tuple[Path, ...]) -> tuple[str, str]:
    file = Path(os.fsdecode(error.filename)) if isinstance(error.filename, str | bytes) else None
    place = file if file is not None else next(iter(places), None)
    where = f"{place}: " if place is not None else ""
    if error.errno == errno.EROFS:
        return (
            f"{where}its disk can only be read",
            f"Copy the folder to a disk that you may write to, and go on there: cp -r {_shown(place)} ~/",
        )
    if error.errno in _CLOSED:
        return (
            f"{where}{error.strerror} (user {_user()})",
            f"Give this user the right (ls -ld {_shown(place)} shows whose it is), or copy the folder to a "
            "place of your own and go on there.",
        )
    return f"{file}: {error.strerror}" if file is not None else str(error.strerror or error), _AGAIN


def _full(error: OSError, places: tuple[Path, ...]) -> tuple[str, str]:
    named = [Path(os.fsdecode(error.filename))] if isinstance(error.filename, str | bytes) else []
    tried = named or [*places, Path(tempfile.gettempdir())]
    place = next((place for place in tried if _has_little_room(place)), None)
    if place is None and not named and error.errno != errno.EDQUOT:
        free = "; ".join(
            f"{shutil.disk_usage(_existing(place)).free / 1e6:,.1f} MB in {place}" for place in tried
        )
        return f"a disk is full, and the system does not say which; free are {free}", f"Make room. {_AGAIN}"
    place = place or tried[0]
    if error.errno == errno.EDQUOT:
        what = f"{place}: the quota of user {_user()} is used up"
    elif _lacks_names(place):
        what = f"{place}: its disk takes no more files (df -i), though bytes are free"
    else:
        usage = shutil.disk_usage(_existing(place))
        free = f"{usage.free / 1e6:,.1f} MB of {usage.total / 1e6:,.1f} MB are free"
        full = (
            "its disk is full"
            if _has_little_room(place)
            else "its disk takes no more (a quota, or room for root)"
        )
        what = f"{place}: {full}: {free}"
    remedy = f"Make room (du -sh {_shown(place)}/* shows what takes it), or move to a larger disk."
    if _is_temporary(place):
        remedy += " Another place for temporary files: TMPDIR=/larger/disk."
    return what, f"{remedy} Then the same command goes on: what was finished is kept."


def _has_little_room(place: Path) -> bool:
    return shutil.disk_usage(_existing(place)).free < _LITTLE_BYTES or _lacks_names(place)


def _lacks_names(place: Path) -> bool:
    state = os.statvfs(_existing(place))
    return state.f_files > 0 and state.f_favail == 0 and state.f_bavail > 0


def _is_temporary(place: Path) -> bool:
    return Path(os.path.abspath(place)).is_relative_to(os.path.abspath(tempfile.gettempdir()))


def _existing(place: Path) -> Path:
    """The place or the nearest folder above it that is there."""
    place = Path(os.path.abspath(place))
    while not place.exists() and place != place.parent:
        place = place.parent
    return place if place.is_dir() else place.parent


def _shown(place: Path | None) -> str:
    return str(_existing(place)) if place is not None else "FOLDER"


def _user() -> str:
    return os.environ.get("USER") or str(os.getuid() if hasattr(os, "getuid") else "?")
