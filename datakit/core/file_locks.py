"""Files that one process at a time holds. The system frees them when the process ends, however it ends."""

from __future__ import annotations

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from datakit.core.errors import UserError


def taken(path: Path, *, shared: bool = False) -> BinaryIO | None:
    """The file, open and locked until it is closed; None while another process holds it. `shared` locks keep
    out only one that is not. Raises OSError where the file cannot be opened."""
    return _locked(path, fcntl.LOCK_NB | (fcntl.LOCK_SH if shared else fcntl.LOCK_EX))


def waited_for(path: Path, *, shared: bool = False) -> BinaryIO:
    """The same, once no other process holds it."""
    file = _locked(path, fcntl.LOCK_SH if shared else fcntl.LOCK_EX)
    assert file is not None  # only who does not wait comes back without
    return file


@contextmanager
def held(path: Path, refusal: UserError) -> Iterator[None]:
    """Around work that one process at a time may do. Raises `refusal` while another does it, and OSError."""
    file = taken(path)
    if file is None:
        raise refusal
    with file:
        yield


def _locked(path: Path, how: int) -> BinaryIO | None:
    file = open(path, "a+b")  # noqa: SIM115 (closed by the caller; the lock goes with it)
    try:
        fcntl.flock(file, how)
    except BlockingIOError:
        file.close()
        return None
    except BaseException:
        file.close()
        raise
    return file
