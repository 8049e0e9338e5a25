"""Waiting for a state instead of for a time: as long as it takes on a busy machine, and no longer."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Callable

PATIENCE_S = 120.0
"""So long a busy machine may take; what comes later is a failure."""


def until(
    reached: Callable[[], object],
    process: subprocess.Popen[str] | None = None,
    *,
    within_s: float = PATIENCE_S,
) -> None:
    """Returns when `reached()` is true. Fails when the time is over, or when the process ends before."""
    end = time.monotonic() + within_s
    while not reached():
        assert process is None or process.poll() is None, "the process ended before it could be stopped"
        assert time.monotonic() < end, f"not reached within {within_s:g} s"
        time.sleep(0.005)  # the pause between two looks, which decides nothing
