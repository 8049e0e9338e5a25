"""A thread that tells how a stage stands: in status.json, and on the terminal when nothing else is said."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable
from pathlib import Path

from datakit.core.clock import duration
from datakit.core.nvidia_driver import NoDriver, gpu_lines
from datakit.core.regular_files import read_end
from datakit.handoff.journal import Journal
from datakit.handoff.road import Progress
from datakit.handoff.status import Status

TICK_S, WRITE_EVERY_S = 1.0, 4.0
FIRST_LINE_S, LINE_EVERY_S = 4.0, 25.0
"""A person waits 5 s for a first line and 30 s for further ones; the rest is left for a busy machine."""
_GPU_EVERY_S = 20.0
_TAIL_BYTES, _LINE_CHARS = 4096, 160


class Heartbeat:
    """Tells of one stage at a time. A context manager; the thread ends with it."""

    def __init__(
        self,
        journal: Journal,
        write: Callable[[Status], None],
        progress: Callable[[str], Progress],
        log_of: Callable[[str], Path | None],
        next_command: str,
    ) -> None:
        """`progress` and `log_of` are asked about the stage, from the thread."""
        self._journal, self._write_status = journal, write
        self._progress, self._log_of, self._next = progress, log_of, next_command
        self._status, self._works = Status(), False
        self._lock, self._end = threading.Lock(), threading.Event()
        self._begun = self._written = time.monotonic()
        self._begun_at = time.time()
        self._gpu, self._gpu_at, self._losses = "", -_GPU_EVERY_S, ""
        self._thread = threading.Thread(target=self._beat, name="heartbeat", daemon=True)

    def __enter__(self) -> Heartbeat:
        self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._end.set()
        self._thread.join()

    @property
    def stage(self) -> str:
        """The stage that works."""
        return self._status.stage

    def begin(self, stage: str) -> None:
        """A stage begins; the status says so at once."""
        with self._lock:
            self._begun, self._begun_at, self._works = time.monotonic(), time.time(), True
            self._status = Status.of_this_process(stage=stage, gpu=self._gpu, next_command=self._next)
            self._write()

    def end(self, state: str, why: str = "") -> None:
        """The stage has ended, as `state` says; `why` it failed, in a line."""
        with self._lock:
            own = {"state": state, "last_line": why} if why else {"state": state}
            self._status = self._filled().model_copy(update=own)
            self._write()
            self._works = False

    def rest(self) -> None:
        """The stage goes on by itself: nothing more is told of it, and the status is left to others."""
        with self._lock:
            self._works = False

    def conclude(self, next_command: str) -> None:
        """Every stage is done; what to type next is something else."""
        with self._lock:
            self._status = self._status.model_copy(update={"next_command": next_command})
            self._write()

    def _beat(self) -> None:
        spoken_first = ""
        while not self._end.wait(TICK_S):
            if time.monotonic() - self._gpu_at >= _GPU_EVERY_S:
                self._gpu, self._gpu_at = gpu_text(), time.monotonic()
            with self._lock:
                if not self._works:
                    continue
                if time.monotonic() - self._written >= WRITE_EVERY_S:
                    self._status = self._filled()
                    self._write()
                first = spoken_first != self._status.started + self._status.stage
                if self._journal.silent_s >= (FIRST_LINE_S if first else LINE_EVERY_S):
                    spoken_first = self._status.started + self._status.stage
                    self._status = self._filled()
                    self._journal.say(self._line())

    def _filled(self) -> Status:
        stage = self._status.stage
        try:
            progress, log = self._progress(stage), self._log_of(stage)
            if log is not None and log.stat().st_mtime < self._begun_at - 1:
                log = None  # of an earlier run
        except OSError:  # a file that was moved just now
            return self._status
        self._losses = progress.losses
        return self._status.model_copy(
            update={
                "step": progress.step,
                "total_steps": progress.total_steps,
                "eta_s": progress.eta_s,
                "gpu": self._gpu,
                "log": str(log or self._journal.log),
                "last_line": last_line(log) if log is not None else self._journal.last_line,
            }
        )

    def _line(self) -> str:
        status = self._status
        texts = [f"{status.stage}: {duration(time.monotonic() - self._begun)}"]
        if status.step is not None:
            texts.append(f"step {status.step:,} of {status.total_steps or 0:,}")
        if self._losses:
            texts.append(self._losses)
        if status.eta_s is not None:
            texts.append(f"{duration(status.eta_s)} left")
        if status.gpu:
            texts.append(status.gpu)
        if status.log != str(self._journal.log) and status.last_line:
            texts.append(f"the log ends with: {status.last_line}")
        elif status.step is None:
            texts.append("at work")
        return ", ".join(texts)

    def _write(self) -> None:
        self._written = time.monotonic()
        with contextlib.suppress(OSError):  # a full disk ends no work that needs none
            self._write_status(self._status)


def last_line(log: Path) -> str:
    """The last line of a log that says something, without its end where it is long; "" of an empty one.

    What a progress bar has overwritten (carriage returns) does not count.
    """
    try:
        text = read_end(log, _TAIL_BYTES).decode("utf-8", "replace")
    except OSError:
        return ""
    lines = [line.strip() for line in text.replace("\r", "\n").split("\n")]
    return next((line[:_LINE_CHARS] for line in reversed(lines) if line), "")


def gpu_text() -> str:
    """What the GPUs do, such as `2 x NVIDIA H100 80GB HBM3, 93% busy, 61.2 of 159.2 GiB`; "" without any."""
    try:
        lines = gpu_lines("name", "utilization.gpu", "memory.used", "memory.total")
        rows = [line.rsplit(",", 3) for line in lines]
        name = rows[0][0].strip()
        busy, used, total = (sum(float(row[at]) for row in rows) for at in (1, 2, 3))
    except (NoDriver, ValueError, IndexError):
        return ""  # a driver that does not answer, or no figures such as "[N/A]"
    count = f"{len(rows)} x " if len(rows) > 1 else ""
    return f"{count}{name}, {busy / len(rows):.0f}% busy, {used / 1024:.1f} of {total / 1024:.1f} GiB"
