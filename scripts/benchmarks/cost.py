"""What a command costs, with all its children.

Run as a program, it starts the command: `cost.py FILE COMMAND …`. Linux counts the memory of the process that
starts another one as that one's first peak, and a large starter would be told as the command's peak; so a
small process stands between them.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Cost:
    """What one process cost with its children."""

    exit: int
    """Its exit status; negative: the signal that ended it."""
    cpu_s: float
    wall_s: float
    peak_mb: float
    """Of its largest process, in MB of 2^20 bytes."""
    timed_out: bool = False


def measured(command: list[str], *, timeout_s: float | None = None, **more: Any) -> Cost:
    """Runs a command to its end and tells its cost; `more` goes to subprocess.Popen.

    After `timeout_s`, and at Ctrl-C, it is killed with all that it started; what it cost until then is told.
    """
    with tempfile.TemporaryDirectory(prefix="cost.") as folder:
        told = Path(folder) / "cost.json"
        process = subprocess.Popen([sys.executable, __file__, str(told), *command], **more)
        timed_out = False
        try:
            process.wait(timeout_s)
        except subprocess.TimeoutExpired:
            timed_out = True
        finally:
            process.terminate()
            process.wait()
        if not told.exists():
            raise SystemExit(f"{' '.join(command)} was not measured: the process that started it was killed")
        return Cost(**json.loads(told.read_text("utf-8")), timed_out=timed_out)


def cost_of(command: list[str]) -> Cost:
    """CPU and wall seconds and the largest resident memory of a command that must succeed."""
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONDONTWRITEBYTECODE"}
    cost = measured(command, env=environment)
    if cost.exit:
        raise SystemExit(f"{' '.join(command)} ended with {cost.exit}")
    return cost


def _run(command: list[str]) -> dict[str, float]:
    """Starts a command in a session of its own and waits for it; SIGTERM kills the session."""
    began = time.perf_counter()
    process = subprocess.Popen(command, start_new_session=True)

    def kill(_number: int, _frame: object) -> None:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)

    signal.signal(signal.SIGTERM, kill)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the starter hears it too, and terminates
    _, status, usage = os.wait4(process.pid, 0)
    unit = 2**20 if sys.platform == "darwin" else 2**10  # ru_maxrss is in bytes on macOS, in KiB on Linux
    return {
        "exit": os.waitstatus_to_exitcode(status),
        "cpu_s": round(usage.ru_utime + usage.ru_stime, 2),
        "wall_s": round(time.perf_counter() - began, 2),
        "peak_mb": round(usage.ru_maxrss / unit, 1),
    }


if __name__ == "__main__":
    Path(sys.argv[1]).write_text(json.dumps(_run(sys.argv[2:])), "utf-8")
