"""A program that is only tried: to its end or for a while, whatever comes of it."""

from __future__ import annotations

import subprocess
from collections.abc import Sequence


def tried(command: Sequence[str], patience_s: float) -> tuple[int, str]:
    """Exit code and output of a command. 124 where it took longer, 126 where it does not start, with why."""
    try:
        done = subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=patience_s,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return 124, f"it said nothing for {patience_s} s"
    except OSError as error:
        return 126, str(error)
    return done.returncode, done.stdout.decode("utf-8", "replace")


def last_line(output: str) -> str:
    """The last line that says something, in at most 300 characters."""
    lines = [line.strip() for line in output.splitlines() if line.strip()]
    return lines[-1][-300:] if lines else "it printed nothing"
