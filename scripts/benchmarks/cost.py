"""What a command costs, with all its children."""

from __future__ import annotations

import os
import resource
import subprocess
import sys
import time
from dataclasses import dataclass


@dataclass(frozen=True)
class Cost:
    """What one process cost with its children."""

    cpu_s: float
    wall_s: float
    peak_mb: float
    """Of its largest process."""

    @classmethod
    def of(cls, usage: resource.struct_rusage, wall_s: float) -> Cost:
        """From what the system counted of an ended process (os.wait4)."""
        unit = 2**20 if sys.platform == "darwin" else 2**10  # ru_maxrss is in bytes on macOS, in KiB on Linux
        cpu_s = usage.ru_utime + usage.ru_stime
        return cls(round(cpu_s, 2), round(wall_s, 2), round(usage.ru_maxrss / unit, 1))


def cost_of(command: list[str]) -> Cost:
    """CPU seconds with all children, wall seconds and the largest resident memory of a command."""
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONDONTWRITEBYTECODE"}
    began = time.perf_counter()
    process = subprocess.Popen(command, env=environment)
    _, status, usage = os.wait4(process.pid, 0)
    wall_s = time.perf_counter() - began
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise SystemExit(f"{' '.join(command)} ended with {process.returncode}")
    return Cost.of(usage, wall_s)
