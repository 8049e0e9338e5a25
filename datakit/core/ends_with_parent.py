"""Runs a command that ends with the process that wanted it, however that one ends, by SIGKILL too.

    subprocess.Popen(ending_with_this_process(words), start_new_session=True)

A small process stands between the two. It leads the command's session, ends with the command's exit code, and
looks whether its parent is still there. Signals go to the whole group (os.killpg). Why a process that looks:
what the parent forks besides would hold a pipe open, and the kernel's own signal (PR_SET_PDEATHSIG) comes
already when the thread that started the command ends, reaches no grandchildren, and is unknown to macOS. It
is asked for beneath this process, which has one thread: where that is killed, Linux ends the command as well.
"""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import time
from collections.abc import Sequence
from types import FrameType
from typing import NoReturn

_LOOK_S = 0.2
_KINDLY_S = 5.0
"""So long the command may take to end by itself when its parent is gone: a later one wants its port."""
_PDEATHSIG = 1
_LEFT_TO_THE_COMMAND = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT)


def ending_with_this_process(words: Sequence[str]) -> list[str]:
    """The words that run `words` so that they end with this process; for a session of their own."""
    return [sys.executable, "-I", "-S", os.path.abspath(__file__), str(os.getpid()), *words]


def main(parent: int, words: Sequence[str]) -> NoReturn:
    """Runs the words until they end or the parent does; ends as they did."""
    if os.getpgrp() != os.getpid():
        os.setsid()
    for number in _LEFT_TO_THE_COMMAND:
        signal.signal(number, _nothing)  # a handler, and not SIG_IGN, which the command would inherit
    child = os.fork()
    if child == 0:
        _become(words)
    while True:
        ended, status = os.waitpid(child, os.WNOHANG)
        if ended:
            _end_as(status)
        if os.getppid() != parent:
            _end_group(child)
        time.sleep(_LOOK_S)


def _nothing(number: int, _: FrameType | None) -> None:
    """The command gets the signal as well, and this process ends with it."""


def _become(words: Sequence[str]) -> NoReturn:
    if sys.platform == "linux":
        with contextlib.suppress(ImportError, OSError, AttributeError):  # a libc, or a Python, without it
            import ctypes

            ctypes.CDLL(None).prctl(_PDEATHSIG, signal.SIGTERM)
    try:
        os.execvp(words[0], list(words))
    except OSError as error:
        os.write(2, f"{words[0]}: {error.strerror}\n".encode())
        os._exit(127)


def _end_as(status: int) -> NoReturn:
    code = os.waitstatus_to_exitcode(status)
    if code < 0:
        if -code != signal.SIGKILL:
            signal.signal(-code, signal.SIG_DFL)
        os.kill(os.getpid(), -code)
    os._exit(code)


def _end_group(child: int) -> NoReturn:
    """Ends the command with all that it started in its session: kindly, then hard, this process with it."""
    with contextlib.suppress(ProcessLookupError):
        os.kill(child, signal.SIGTERM)
    until = time.monotonic() + _KINDLY_S
    while time.monotonic() < until and not os.waitpid(child, os.WNOHANG)[0]:
        time.sleep(_LOOK_S)
    os.killpg(os.getpgid(0), signal.SIGKILL)
    os._exit(1)


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2:])
