"""Calls of the trainer with a log of their own: what they print is kept, and a failure is told by its end."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

from datakit.core.disk_faults import is_full
from datakit.core.ends_with_parent import ending_with_this_process
from datakit.core.errors import DatakitError, Exit
from datakit.core.interrupts import unhurried, uninterrupted
from datakit.core.private_files import open_private, private_folder
from datakit.core.regular_files import read_end
from datakit.training import trainer

Say = Callable[[str], None]
_TOLD_LINES, _TAIL_BYTES = 15, 200_000
_END_S = 20.0


class TrainerFailed(DatakitError):
    """The trainer ended with an error; its log is kept."""

    exit_code = Exit.FAILED


def steady(say: Say) -> Say:
    """The same, for work that must not end because nobody reads any more: a terminal that was closed."""

    def told(text: str) -> None:
        with contextlib.suppress(OSError):
            say(text)

    return told


def new_log(logs: Path, name: str) -> Path:
    """Where a log goes, in a folder that only its owner may read."""
    return private_folder(logs) / f"{name}-{time.strftime('%Y%m%dT%H%M%S')}-{os.getpid()}.log"


def newest_log(logs: Path, name: str) -> Path | None:
    """The newest log of this name; None where there is none."""
    paths = [path for path in logs.glob(f"{name}-*.log") if path.is_file()]
    return max(paths, key=lambda path: path.stat().st_mtime_ns, default=None)


def run_logged(call: trainer.Call, logs: Path, name: str, say: Say) -> Path:
    """The log of a call that has come to its end. Raises TrainerFailed with the log's last lines.

    It ends with this process, by whatever that is ended: a call whose outcome nobody waits for would write
    into the folder of the next one. Interrupting ends its whole process group: none keeps a GPU.
    """
    log = new_log(logs, name)
    say(f"Log: {log}")
    with open_private(log) as file, unhurried():
        file.write(f"$ {call.shown()}\n".encode())
        file.flush()
        process: subprocess.Popen[bytes] | None = None
        try:
            with uninterrupted():
                process = subprocess.Popen(
                    ending_with_this_process(call.words),
                    cwd=call.folder,
                    env=call.environment(),
                    stdin=subprocess.DEVNULL,
                    stdout=file,
                    stderr=subprocess.STDOUT,
                    start_new_session=True,
                )
            code = process.wait()
        except BaseException:
            if process is not None:
                _end(process)
            raise
    if code:
        raise TrainerFailed(failure(name, code, log))
    return log


def failure(name: str, code: int | None, log: Path) -> str:
    """What a log's end says about a call that failed; its code is None where nobody saw it end."""
    lines = [line for line in log_end(log) if line.strip()]
    remedy = trainer.explain("\n".join(lines[-200:]), code)
    if is_full(log.parent) and remedy != trainer.DISK_FULL:  # which left no room in the log to say so
        remedy = f"{trainer.DISK_FULL} {remedy}"
    how = "ended, and nobody saw how" if code is None else f"ended with code {code}"
    if code is not None and code < 0:
        how = f"was ended by signal {-code}"
    tail = "\n".join(f"    {line[:200]}" for line in lines[-_TOLD_LINES:])
    return f"llamafactory-cli {name} {how}. The end of its log, {log}:\n{tail}\n  {remedy}".rstrip()


def log_end(log: Path) -> list[str]:
    """The last lines of a log, each as it was left on the terminal: of a progress bar the last state."""
    text = read_end(log, _TAIL_BYTES).decode("utf-8", "replace")
    return [line.rstrip("\r").rpartition("\r")[2] for line in text.split("\n")]


def _end(process: subprocess.Popen[bytes]) -> None:
    for number in (signal.SIGTERM, signal.SIGKILL):
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, number)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(_END_S)
            break
    with contextlib.suppress(ProcessLookupError):  # workers of one that ended without them
        os.killpg(process.pid, signal.SIGKILL)
