"""Since when a server listens on a port of this machine, by the kernel's tables; unknown but on Linux."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Iterator
from pathlib import Path

_PROC = Path("/proc")
_LISTENS = "0A"
"""State of a socket that listens, in /proc/net/tcp."""


def listening_since(port: int) -> float | None:
    """When the oldest process that listens on the port was started, in seconds since the epoch.

    None where that cannot be told: another user's process, another container, another system than Linux.
    """
    wanted = {f"socket:[{inode}]" for inode in _inodes(port)}
    times = [
        began for pid in _numbers() if wanted & set(_handles(pid)) and (began := _began(pid)) is not None
    ]
    return min(times, default=None)


def _inodes(port: int) -> Iterator[str]:
    for name in ("tcp", "tcp6"):
        with contextlib.suppress(OSError):
            for line in (_PROC / "net" / name).read_text("ascii").splitlines()[1:]:
                fields = line.split()
                if fields[3] == _LISTENS and int(fields[1].rpartition(":")[2], 16) == port:
                    yield fields[9]


def _numbers() -> Iterator[int]:
    with contextlib.suppress(OSError):
        yield from (int(name) for name in os.listdir(_PROC) if name.isdigit())


def _handles(pid: int) -> Iterator[str]:
    with contextlib.suppress(OSError):  # another user's, or one that has just ended
        for handle in os.scandir(_PROC / str(pid) / "fd"):
            with contextlib.suppress(OSError):
                yield os.readlink(handle.path)


def _began(pid: int) -> float | None:
    try:
        ticks = int((_PROC / str(pid) / "stat").read_bytes().rpartition(b")")[2].split()[19])
        since_boot = time.clock_gettime(time.CLOCK_BOOTTIME)
    except (OSError, ValueError, IndexError, AttributeError):
        return None
    return time.time() - since_boot + ticks / os.sysconf("SC_CLK_TCK")
