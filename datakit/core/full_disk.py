"""Whether a disk is full, by trying: what a program says of it in a log on that disk is cut short."""

from __future__ import annotations

import errno
import re
import tempfile
from pathlib import Path

SAYS_FULL = re.compile(
    r"No space left on device|os error 28|PytorchStreamWriter failed writing|Disk quota exceeded|"
    r"os error 122|inline_container\.cc.*unexpected pos|File too large|os error 27"
)
"""What Python, Rust and torch say of a disk, a quota and a file's size that is at its bound."""
_FULL = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})
_PROBE_BYTES = 1 << 20


def is_full(folder: Path) -> bool:
    """Whether the folder takes no megabyte more: its disk is full, or the user's quota of it."""
    try:
        with tempfile.TemporaryFile(dir=folder) as file:
            file.write(bytes(_PROBE_BYTES))
            file.flush()
    except OSError as error:
        return error.errno in _FULL
    return False
