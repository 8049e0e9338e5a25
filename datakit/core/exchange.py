"""The exchange of two names in one step, where the system has it: nobody sees either name without a file."""

from __future__ import annotations

import ctypes
import errno
import os
import sys
from pathlib import Path

_AT_FDCWD = -100
_RENAME_EXCHANGE = 2  # linux/fs.h
_RENAME_SWAP = 2  # sys/stdio.h of macOS
_CANNOT = {errno.ENOSYS, errno.EINVAL, errno.ENOTSUP, errno.EOPNOTSUPP, errno.EPERM}
"""What systems and file systems without it answer; EPERM comes from containers that filter calls."""


def exchange(first: Path, second: Path) -> bool:
    """Whether two files or folders have changed names; False where that cannot be done in one step.

    Both must be there, on one file system. Raises OSError for anything but a system that lacks it.
    """
    library = ctypes.CDLL(None, use_errno=True)
    names = os.fsencode(first), os.fsencode(second)
    try:
        if sys.platform == "darwin":
            failed = library.renamex_np(*names, ctypes.c_uint(_RENAME_SWAP))
        else:
            here = ctypes.c_int(_AT_FDCWD)
            failed = library.renameat2(here, names[0], here, names[1], ctypes.c_uint(_RENAME_EXCHANGE))
    except AttributeError:  # a C library without it, such as musl's before 1.2.6
        return False
    if not failed:
        return True
    code = ctypes.get_errno()
    if code in _CANNOT:
        return False
    raise OSError(code, os.strerror(code), str(first), None, str(second))
