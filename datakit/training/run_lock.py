"""One driver at a time works in a run's folder, and one trainer, which inherits a lock of its own."""

from __future__ import annotations

import errno
import os
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, ClassVar

from datakit.artifacts.document import Document
from datakit.core.clock import local, utc_now
from datakit.core.errors import UserError
from datakit.core.file_locks import taken
from datakit.core.processes import process_mark
from datakit.training.logged_call import Say
from datakit.training.trainer_process import TrainerProcess

_CANNOT_LOCK = {errno.ENOLCK, errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP, errno.EINVAL}
_ENDING_S, _LOOK_S = 5.0, 0.1


class Driver(Document):
    """Who drives a run, as its lock file says."""

    FORMAT: ClassVar[int] = 1

    pid: int = 0
    process: str = ""
    """What tells the process from a later one of the same number."""
    host: str = ""
    started: str = ""
    doing: str = ""
    """Such as `datakit train`."""

    @property
    def may_live(self) -> bool:
        """Whether it lives, as far as this machine can tell: of another host nobody knows."""
        if self.host != socket.gethostname():
            return False
        return bool(self.process) and process_mark(self.pid) == self.process

    @property
    def who(self) -> str:
        return f"process {self.pid} on {self.host} since {local(self.started)} ({self.doing})"


@dataclass
class RunLock:
    """The right of this process to drive a run on one node."""

    folder: Path
    rank: int
    is_locked: bool
    """False where the file system knows no locks: then only what trainer.json names is seen."""
    file: BinaryIO
    """Names this process; locked while it is open."""

    def release(self) -> None:
        """Lets another driver work in the folder, such as one that asks the server that this one serves."""
        if not self.file.closed:
            with suppress(OSError):
                _write(self.file, b"")
            self.file.close()

    @contextmanager
    def for_trainer(self, say: Say) -> Iterator[BinaryIO | None]:
        """The lock that a trainer inherits and holds while it lives; None where the file system knows none.

        Raises UserError while somebody else holds it: a trainer of another host, or a program that was
        started by hand.
        """
        path = self.folder / f".lock-{self.rank}"
        file = self._waited_for(path) if self.is_locked else None
        if file is None:
            training = TrainerProcess.read(self.folder, self.rank)
            if training is not None and training.may_live_elsewhere:
                raise UserError(
                    f"this run is training elsewhere ({training.who}), and its folder knows no locks",
                    remedy=f"Wait for its end, or end it there. Its log moved a moment ago: {training.log}",
                )
            say(f"Warning: {self.folder} knows no locks: train there from one machine at a time.")
            yield None
            return
        with file:
            yield file

    def _waited_for(self, path: Path) -> BinaryIO:
        """The lock; a trainer that has just ended may not have let go yet."""
        until = time.monotonic() + _ENDING_S
        while (file := taken(path)) is None:
            if time.monotonic() >= until:
                training = TrainerProcess.read(self.folder, self.rank)
                who = f" ({training.who})" if training is not None and training.exit is None else ""
                raise UserError(
                    f"a training works in {self.folder} that this machine does not see{who}",
                    remedy=f"Wait for its end, or end it there. On its own machine `fuser {path}` names it.",
                )
            time.sleep(_LOOK_S)
        return file


@contextmanager
def held_run(folder: Path, rank: int, doing: str, look: str) -> Iterator[RunLock]:
    """The right to drive a run, while the block lasts. `doing` and `look` are what this process does and the
    command that shows how far it is, for whoever comes second.

    Raises UserError where another driver lives. A driver that was killed leaves its trainer alive: that one
    is no driver, and may be attached to.
    """
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f".driver-{rank}"
    file, is_locked = _driver_file(path)
    if file is None:
        raise _driven(folder, _driver(path), look)
    driver = _driver(path)
    if not is_locked and driver is not None and driver.may_live:
        file.close()
        raise _driven(folder, driver, look)
    lock = RunLock(folder, rank, is_locked, file)
    try:
        own = Driver(pid=os.getpid(), process=process_mark(os.getpid()), host=socket.gethostname())
        own.started, own.doing = utc_now(), doing
        _write(file, own.model_dump_json().encode())
        yield lock
    finally:
        lock.release()


def _driver_file(path: Path) -> tuple[BinaryIO | None, bool]:
    try:
        return taken(path), True
    except OSError as error:
        if error.errno not in _CANNOT_LOCK:
            raise
        return open(path, "a+b"), False


def _driver(path: Path) -> Driver | None:
    try:
        return Driver.load(path)
    except UserError:  # empty, or half-written
        return None


def _write(file: BinaryIO, data: bytes) -> None:
    file.seek(0)
    file.truncate()
    file.write(data)
    file.flush()


def _driven(folder: Path, driver: Driver | None, look: str) -> UserError:
    who = driver.who if driver is not None else "another process"
    return UserError(
        f"{who} works on this run already: {folder}",
        remedy=f"Wait for its end, or look how far it is: {look}",
    )
