"""trainer.json of a run: the training that was started last, by which a later start finds it alive."""

from __future__ import annotations

import secrets
import socket
import subprocess
import time
from pathlib import Path
from typing import BinaryIO, ClassVar

from datakit.artifacts.document import Document
from datakit.core.clock import local, utc_now
from datakit.core.errors import UserError
from datakit.core.processes import descendants, end, process_mark
from datakit.training.leftovers import VARIABLE
from datakit.training.trainer import Call

_WRITES_S = 600.0
"""A training of another host that has written nothing for so long is taken for ended."""


class TrainerProcess(Document):
    """A training that was started, and how it ended as far as somebody saw it."""

    FORMAT: ClassVar[int] = 1

    pid: int = 0
    """Of the trainer's first process, which leads its process group; 0 until it was started."""
    process: str = ""
    """What tells that process from a later one of the same number: boot and time of start."""
    token: str = ""
    """What all its processes have in their environment, in whatever session: torchrun's workers leave the
    process group."""
    host: str = ""
    started: str = ""
    """UTC, to the second."""
    command: str = ""
    log: str = ""
    exit: int | None = None
    """Its exit code; negative for a signal. None while it runs, or where nobody saw it end."""

    @classmethod
    def read(cls, folder: Path, rank: int) -> TrainerProcess | None:
        """The last training of a run; None where there was none, or its file says nothing."""
        try:
            return cls.load(trainer_file(folder, rank))
        except UserError:
            return None

    def living(self) -> list[int]:
        """Its living processes on this machine; the first one comes first."""
        if not self._may_live_here:
            return []
        pids = descendants(VARIABLE, self.token, self.pid, self.process)
        return sorted(pids, key=lambda pid: (pid != self.pid, pid))

    @property
    def leads(self) -> bool:
        """Whether its first process lives; what else lives then belongs to a training that works."""
        return self._may_live_here and self.process != "" and process_mark(self.pid) == self.process

    @property
    def _may_live_here(self) -> bool:
        return self.exit is None and self.host == socket.gethostname() and self.token != ""

    @property
    def may_live_elsewhere(self) -> bool:
        """Whether it was started on another host and still wrote a short while ago."""
        if self.exit is not None or self.host == socket.gethostname():
            return False
        try:
            return time.time() - Path(self.log).stat().st_mtime < _WRITES_S
        except OSError:
            return False

    @property
    def who(self) -> str:
        """Such as `process 4711 on gpu-1 since 2026-11-26 12:03`."""
        return f"process {self.pid or 'unknown'} on {self.host} since {local(self.started)}"

    @classmethod
    def planned(cls, call: Call, log: Path) -> TrainerProcess:
        """A training that is about to start. Its token can be looked for from before its first process on."""
        return cls(
            token=secrets.token_hex(16),
            host=socket.gethostname(),
            started=utc_now(),
            command=call.shown(),
            log=str(log),
        )

    def start(self, call: Call, log: BinaryIO, path: Path, lock: BinaryIO | None) -> subprocess.Popen[bytes]:
        """Starts it so that it outlives this process, and notes it down; it holds the lock while it lives."""
        self.write(path)
        process = subprocess.Popen(
            call.words,
            cwd=call.folder,
            env={**call.environment(), VARIABLE: self.token},
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,  # the signals of a terminal that is closed do not reach it
            pass_fds=() if lock is None else (lock.fileno(),),
        )
        self.pid, self.process = process.pid, process_mark(process.pid)
        self.write(path)
        return process

    def end(self) -> None:
        """Ends all its processes: first kindly, then hard."""
        end(self.living)


def trainer_file(folder: Path, rank: int) -> Path:
    return folder / ("trainer.json" if rank == 0 else f"trainer-{rank}.json")
