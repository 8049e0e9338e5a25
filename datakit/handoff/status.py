"""status.json of a run: which stage runs or ran last, how far it is, and what to type next."""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar

from datakit.artifacts.document import Document
from datakit.core.clock import duration, local, seconds_of, utc_now
from datakit.core.errors import UserError
from datakit.core.processes import process_mark
from datakit.handoff.stages import StageRecords
from datakit.training.trainer_process import TrainerProcess

RUNNING, DONE, FAILED, INTERRUPTED = "running", "done", "failed", "interrupted"
SILENT_S = 60.0
"""A driver on another host that has written nothing for so long is taken for gone; it writes every 5 s."""


class Status(Document):
    """The state of a handoff."""

    FORMAT: ClassVar[int] = 1

    stage: str = ""
    """The one that runs or ran last."""
    state: str = RUNNING
    """running, done, failed or interrupted."""
    step: int | None = None
    """Of the training, or how many records were asked about; null where the stage does not say."""
    total_steps: int | None = None
    """All of them."""
    eta_s: float | None = None
    """Seconds until the stage ends, as its program reckons."""
    gpu: str = ""
    """Such as `1 x NVIDIA H100 80GB HBM3, 93% busy, 61.2 of 79.6 GiB`; "" without one."""
    last_line: str = ""
    """Of the stage's log; of a stage that failed, why."""
    log: str = ""
    """The stage's own, else the handoff's."""
    next_command: str = ""
    """What to type next."""
    pid: int = 0
    """Of the process that wrote this."""
    process: str = ""
    """What tells the process from a later one of the same number."""
    host: str = ""
    """Its machine."""
    started: str = ""
    """When the stage began: UTC, to the second."""
    updated: str = ""
    """When this was written; every 5 s at most while a stage runs."""

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
    status.model_copy(update={"updated": utc_now()}).write(status_file(run, rank))


def status_document(run: Path, rank: int = 0) -> dict[str, Any]:
    """The status of a run and of every stage that has left something, for `--json`."""
    status = read_status(run, rank)
    stages = {record.stage: record.model_dump() for record in StageRecords(run, rank).all()}
    return {"run": str(run), "status": status and status.model_dump(), "stages": stages}


def status_lines(run: Path, rank: int = 0, *, begin: str = "") -> Iterator[str]:
    """The status of a run for a person, and every stage that has left something.

    `begin` is the command that starts one where none has run.
    """
    status = read_status(run, rank)
    if status is None:
        yield f"No handoff has run in {run} yet."
        if begin:
            yield f"Next: {begin}"
        return
    yield f"{status.stage or 'handoff'}: {_state(status)}{_steps(status)}"
    for title, value in (("GPU", status.gpu), ("Last line", status.last_line), ("Log", status.log)):
        if value:
            yield f"{title}: {value}"
    training = TrainerProcess.read(run, rank)
    if status.state != RUNNING and training is not None and training.leads:
        yield f"The training goes on by itself ({training.who}): the next command attaches to it."
    for record in StageRecords(run, rank).all():
        if record.exit is not None and record.stage != status.stage:
            ending = "done" if record.is_done else f"ended with exit code {record.exit}"
            yield f"{record.stage}: {ending} on {local(record.finished)}"
        if record.note:
            yield f"Note on {record.stage}: {record.note}"
    if status.state != RUNNING and status.next_command:
        yield f"Next: {status.next_command}"


def _state(status: Status) -> str:
    since, heard = local(status.started), local(status.updated)
    if status.state == RUNNING:
        return f"running since {since} (process {status.pid} on {status.host})"
    if status.state == INTERRUPTED:
        return f"interrupted; it was last heard of {heard} (process {status.pid} on {status.host})"
    return f"{status.state} on {heard}"


def _steps(status: Status) -> str:
    if status.step is None:
        return ""
    of = f" of {status.total_steps:,}" if status.total_steps is not None else ""
    left = f", {duration(status.eta_s)} left" if status.eta_s is not None and status.state == RUNNING else ""
    return f", step {status.step:,}{of}{left}"
