"""Processes that a training left behind: they may hold a GPU's memory, and nobody follows them.

Written with the standard library alone, for the doctor of a bundle.
"""

from __future__ import annotations

import json
import socket
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

from datakit.core.processes import descendants, process_mark
from datakit.core.regular_files import read_regular

VARIABLE = "DATAKIT_TRAINING"
"""Environment variable of a trainer and all that it starts: the training's token."""
_ENDING_S, _LOOK_S = 3.0, 0.1
"""So long workers of a training that came to its end may take to end too."""


class Leftover(NamedTuple):
    """The living processes of a training that was started in a run on this machine."""

    run: Path
    pids: list[int]
    works: bool
    """Whether its first process lives, so that the next call attaches to it."""

    @property
    def words(self) -> str:
        """What is told of processes that nobody follows."""
        count = len(self.pids)
        processes = f"{count} process{'' if count == 1 else 'es'}"
        return f"an earlier training in {self.run} left {processes}, which may hold a GPU's memory"

    @property
    def remedy(self) -> str:
        return f"End what you do not need: kill {' '.join(map(str, self.pids))}"


def leftovers(runs: Path) -> Iterator[Leftover]:
    """Of every run in a folder of runs, those trainings of which something lives."""
    for path in sorted(runs.glob("*/trainer*.json")):
        training = _training(path)
        token, pid, mark = (training.get(name) for name in ("token", "pid", "process"))
        if training.get("host") != socket.gethostname() or type(pid) is not int or pid <= 0:
            continue
        if isinstance(token, str) and token and isinstance(mark, str) and mark:
            pids = sorted(descendants(VARIABLE, token, pid, mark))
            if pids:
                works = process_mark(pid) == mark and training.get("exit") is None
                yield Leftover(path.parent, pids, works)


def tell_leftovers(runs: Path, say: Callable[[str], None], *, wait: bool = False) -> None:
    """Tells what earlier trainings left; with `wait` what has just ended gets a moment to be gone."""
    until = time.monotonic() + (_ENDING_S if wait else 0)
    while (left := [leftover for leftover in leftovers(runs) if not leftover.works]) and (
        time.monotonic() < until
    ):
        time.sleep(_LOOK_S)
    for leftover in left:
        say(f"Warning: {leftover.words}.\n  {leftover.remedy}")


def _training(path: Path) -> dict[str, Any]:
    try:
        training = json.loads(read_regular(path))
    except (OSError, ValueError):
        return {}
    return training if isinstance(training, dict) else {}
