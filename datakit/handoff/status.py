"""status.json of a run: which stage runs or ran last, how far it is, and what to type next."""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar

from datakit.artifacts.document import Document
from datakit.core.errors import UserError
from datakit.handoff.stages import KEYED, StageRecords, local, seconds_of, utc_now, write_json

RUNNING, DONE, FAILED, INTERRUPTED = "running", "done", "failed", "interrupted"
SILENT_S = 60.0
"""A driver on another host that has written nothing for so long is taken for gone; it writes every 5 s."""


class Status(Document):
    """The state of a handoff."""

    FORMAT: ClassVar[int] = 1

    stage: str = ""
    state: str = RUNNING
    """running, done, failed or interrupted."""
    step: int | None = None
    total_steps: int | None = None
    eta_s: float | None = None
    """Seconds until the stage ends, as its program reckons."""
    gpu: str = ""
    """Such as `1 x NVIDIA H100 80GB HBM3, 93% busy, 61.2 of 79.6 GiB`; "" without one."""
    last_line: str = ""
    """Of the stage's log."""
    log: str = ""
    next_command: str = ""
    pid: int = 0
    process: str = ""
    """What tells the process from a later one of the same number."""
    host: str = ""
    started: str = ""
    """When the stage began: UTC, to the second."""
    updated: str = ""

    @classmethod
    def of_this_process(cls, **fields: Any) -> Status:
        """A status with the place and the time filled in."""
        pid, now = os.getpid(), utc_now()
        own = {"pid": pid, "process": process_mark(pid), "host": socket.gethostname()}
        return cls(**{**own, "started": now, "updated": now, **fields})

    @property
    def is_alive(self) -> bool:
        """Whether the process that wrote it still works on it."""
        if self.state != RUNNING:
            return False
        if self.host != socket.gethostname():
            return time.time() - seconds_of(self.updated) < SILENT_S
        mark = process_mark(self.pid)
        return bool(mark) and mark == self.process


def status_file(run: Path, rank: int = 0) -> Path:
    return run / ("status.json" if rank == 0 else f"status-{rank}.json")


def read_status(run: Path, rank: int = 0) -> Status | None:
    """The status as it is: `interrupted` where the file says `running` and its process is gone. None without
    a file that can be read."""
    path = status_file(run, rank)
    try:
        status = Status.load(path) if path.is_file() else None
    except UserError:
        return None
    if status is not None and status.state == RUNNING and not status.is_alive:
        return status.model_copy(update={"state": INTERRUPTED})
    return status


def write_status(run: Path, status: Status, rank: int = 0) -> None:
    """Puts the status in its place, whole or not at all."""
    write_json(status_file(run, rank), status.model_copy(update={"updated": utc_now()}).model_dump())


def status_lines(run: Path, rank: int = 0) -> Iterator[str]:
    """The status of a run for a person, and every stage that has left something."""
    status = read_status(run, rank)
    if status is None:
        yield f"No handoff has run in {run} yet."
        return
    yield f"{status.stage or 'handoff'}: {_state(status)}{_steps(status)}"
    for title, value in (("GPU", status.gpu), ("Last line", status.last_line), ("Log", status.log)):
        if value:
            yield f"{title}: {value}"
    records = StageRecords(run, rank)
    for stage in KEYED:
        record = records.read(stage)
        if record is not None and record.exit is not None and stage != status.stage:
            ending = "done" if record.is_done else f"ended with exit code {record.exit}"
            yield f"{stage}: {ending} {local(record.finished)}"
    if status.state != RUNNING and status.next_command:
        yield f"Next: {status.next_command}"


def _state(status: Status) -> str:
    since, heard = local(status.started), local(status.updated)
    if status.state == RUNNING:
        return f"running since {since} (process {status.pid} on {status.host})"
    if status.state == INTERRUPTED:
        return f"interrupted; it was last heard of {heard} (process {status.pid} on {status.host})"
    return f"{status.state} {heard}"


def _steps(status: Status) -> str:
    if status.step is None:
        return ""
    of = f" of {status.total_steps:,}" if status.total_steps is not None else ""
    left = f", {duration(status.eta_s)} left" if status.eta_s is not None and status.state == RUNNING else ""
    return f", step {status.step:,}{of}{left}"


def duration(seconds: float) -> str:
    """Seconds as a clock shows them, such as 1:02:05."""
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}"


def process_mark(pid: int) -> str:
    """What tells a living process from a later one with its number: boot and time of start; "" for none.

    Without /proc (macOS) only that a process of the number lives.
    """
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            fields = file.read().rpartition(b")")[2].split()
        with open("/proc/sys/kernel/random/boot_id", "rb") as file:
            return "" if fields[0] == b"Z" else f"{file.read(36).decode()}:{fields[19].decode()}"
    except OSError:
        if os.path.exists("/proc/self/stat"):
            return ""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return ""
    except PermissionError:
        pass
    return "alive"
