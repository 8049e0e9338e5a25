"""One input with an alarm: what became of it, its peak of memory, and its fault if there is one."""

from __future__ import annotations

import contextlib
import os
import resource
import shutil
import signal
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from fuzzing import surroundings
from fuzzing.dice import Tree
from fuzzing.faults import Account, Fault, Hang, classified, place_of
from fuzzing.kinds import KINDS

PATIENCE_S = 10.0
"""Longest time of one input."""
LOADED_S = 60.0
"""Longest time where others take the processor: within it, an input hangs once it has worked for
PATIENCE_S / 2 itself."""
MOST_MB = 1500.0
_HOME = Path.cwd()


def account_of(kind: str, number: int, tree: Tree) -> Account:
    """Runs an input in an empty folder."""
    surroundings.answer_with(tree.get("answers", []))
    reached: list[str] = []
    fault = refusal = detail = ""
    folder = Path(tempfile.mkdtemp(prefix="fuzz-"))
    _reset_peak()
    began = time.perf_counter()
    try:
        with _alarm():
            KINDS[kind].run(tree, folder, reached.append)
    except (Exception, Hang) as error:
        fault, detail = classified(error)
        refusal = "" if fault else detail
    finally:
        seconds = time.perf_counter() - began
        os.chdir(_HOME)
        shutil.rmtree(folder, ignore_errors=True)
    if not fault and surroundings.unexpected:
        raised = surroundings.unexpected[0]
        fault, detail = f"retry of {type(raised).__name__}: {place_of(raised)}", classified(raised)[1]
    peak = _peak_mb()
    if not fault and peak > MOST_MB:
        fault = f"memory: {kind}"
    return Account(
        kind=kind,
        number=number,
        valid="load" in reached,
        depth=reached[-1] if reached else "",
        refusal=refusal,
        fault=fault,
        detail=detail,
        seconds=round(seconds, 3),
        peak_mb=round(peak, 1),
        tree=tree if fault else None,
    )


@contextlib.contextmanager
def _alarm() -> Iterator[None]:
    start, began = time.perf_counter(), time.process_time()

    def ring(*_: Any) -> None:
        if time.process_time() - began > PATIENCE_S / 2 or time.perf_counter() - start > LOADED_S:
            signal.setitimer(signal.ITIMER_REAL, 0)
            raise Hang(f"longer than {PATIENCE_S:g} s")

    signal.signal(signal.SIGALRM, ring)
    signal.setitimer(signal.ITIMER_REAL, PATIENCE_S, 2.0)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)


def _reset_peak() -> None:
    with contextlib.suppress(OSError):  # Linux alone: elsewhere the peak is that of all inputs so far
        Path("/proc/self/clear_refs").write_text("5")


def _peak_mb() -> float:
    with contextlib.suppress(OSError):
        for line in Path("/proc/self/status").read_text().splitlines():
            if line.startswith("VmHWM"):
                return int(line.split()[1]) / 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


__all__ = ["Account", "Fault", "account_of"]
