"""Processes that outlive who started them: told from later ones with the same number, found and ended.

What a program starts inherits its environment, through any number of sessions and process groups: a variable
with a value of its own finds all of them, also when the first has been killed. Linux shows environments in
/proc; elsewhere (macOS) the process group stands in, which a program can leave. A program that writes itself
another title (setproctitle) may write over its environment: the group finds it while it has not left it.
"""

from __future__ import annotations

import contextlib
import os
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path

_PROC = Path("/proc")
_END_S = 20.0
"""So long a trainer may take to let go of its GPU before it is killed."""
_LOOK_S = 0.1


def process_mark(pid: int) -> str:
    """What tells a living process from a later one with its number: boot and time of start; "" for none.

    Without /proc (macOS) only that a process of the number lives.
    """
    try:
        with open(_PROC / str(pid) / "stat", "rb") as file:
            fields = file.read().rpartition(b")")[2].split()
        with open(_PROC / "sys/kernel/random/boot_id", "rb") as file:
            return "" if fields[0] in _DEAD else f"{file.read(36).decode()}:{fields[19].decode()}"
    except OSError:
        if _has_proc():
            return ""
    return "alive" if _answers(lambda: os.kill(pid, 0)) else ""


def descendants(variable: str, value: str, group: int, leader: str) -> list[int]:
    """The living processes with this value in their environment, and those of their process group `group`.

    The group counts while its number cannot have passed to another: since the mark `leader` of its first
    process was taken, the machine was not started anew, and no other process has the number.
    """
    ours = _boot(leader) == _boot(process_mark(os.getpid())) and process_mark(group) in ("", leader)
    if not _has_proc():
        return [group] if ours and _answers(lambda: os.killpg(group, 0)) else []
    mark = f"{variable}={value}".encode()
    return [pid for pid in _numbers() if _lives(pid, mark, group if ours else 0)]


def end(found: Callable[[], list[int]]) -> None:
    """Ends the processes that `found` gives, and those that it gives while they end: first kindly, so that
    they can release a GPU, then hard."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        until = time.monotonic() + _END_S
        told: set[int] = set()
        while pids := found():
            for pid in set(pids) - told:
                with contextlib.suppress(ProcessLookupError, PermissionError):
                    os.kill(pid, number)
                told.add(pid)
            if time.monotonic() >= until:
                break
            time.sleep(_LOOK_S)
        else:
            return


_DEAD = (b"Z", b"X")


def _boot(mark: str) -> str:
    return mark.partition(":")[0]


def _numbers() -> Iterator[int]:
    own = os.getpid()
    for name in os.listdir(_PROC):
        if name.isdigit() and int(name) != own:
            yield int(name)


def _lives(pid: int, mark: bytes, group: int) -> bool:
    try:
        fields = (_PROC / str(pid) / "stat").read_bytes().rpartition(b")")[2].split()
        if fields[0] in _DEAD:
            return False
        if group and int(fields[2]) == group:
            return True
        return mark in (_PROC / str(pid) / "environ").read_bytes().split(b"\0")
    except (OSError, IndexError):
        return False  # another user's, or one that has just ended


def _has_proc() -> bool:
    return os.path.exists("/proc/self/stat")


def _answers(call: Callable[[], None]) -> bool:
    try:
        call()
    except ProcessLookupError:
        return False
    except PermissionError:
        pass
    return True
