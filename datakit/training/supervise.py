"""A training that runs: started so that it outlives its driver, followed, ended where a person ends it.

SIGKILL of the driver and a terminal that is closed (SIGHUP) leave it alive; the next driver attaches. Ctrl-C
and SIGTERM end it with all its processes.
"""

from __future__ import annotations

import contextlib
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import BinaryIO

from datakit.core import interrupts
from datakit.core.clock import duration
from datakit.core.errors import UserError
from datakit.core.interrupts import unhurried, uninterrupted
from datakit.core.private_files import open_private
from datakit.training.logged_call import Say, TrainerFailed, failure, new_log
from datakit.training.lost_weights import LoadedLog
from datakit.training.progress import LOG, TrainingProgress
from datakit.training.run_folder import RunFolder
from datakit.training.trainer import Call
from datakit.training.trainer_process import TrainerProcess, trainer_file

_LOOK_EVERY_S = 1.0
_TELL_EVERY_S = 25.0
"""As the heartbeat of a handoff: a person waits 30 s for a line, and a trainer logs every few seconds."""
_SILENT_S = 900.0
"""What is left of a training whose first process is gone and has written nothing for so long hangs: workers
that wait for work. Saving a large model and reading data take minutes."""


def run_trainer(run: RunFolder, call: Call, say: Say, rank: int, lock: BinaryIO | None) -> Path:
    """The log of a training that has come to its end. Raises TrainerFailed with the log's last lines, and for
    one that goes on from a checkpoint without its weights, which is ended."""
    log = new_log(run.logs, "train")
    loaded = LoadedLog(log)
    say(f"Log: {log}")
    training, path = TrainerProcess.planned(call, log), trainer_file(run.folder, rank)
    with open_private(log) as file, unhurried():
        file.write(f"$ {call.shown()}\n".encode())
        file.flush()
        with _attended(training):
            with uninterrupted():
                process = training.start(call, file, path, lock)
            _follow(run, say, lambda: _has_ended(process, loaded, rank))
            code = process.wait()
            if code:
                training.end()  # torchrun's workers outlive it where it is killed
    training.exit = code
    with contextlib.suppress(OSError):  # a full disk: by its processes it is told as ended all the same
        training.write(path)
    if code:
        raise TrainerFailed(failure("train", code, log))
    return log


def is_alive(run: RunFolder, training: TrainerProcess) -> bool:
    """Whether a training works on this machine. Beside its first process that may be what it has left behind,
    such as torchrun's workers where torchrun was killed, while it has not come to its end."""
    return training.leads or (not run.finished() and bool(training.living()))


def refuse_alive(run: RunFolder, rank: int) -> None:
    """Raises UserError where a training of the run is alive: nothing is moved under its hands."""
    training = TrainerProcess.read(run.folder, rank)
    if training is not None and is_alive(run, training):
        raise UserError(
            f"this run is training ({training.who}), and nothing else can be done with it meanwhile",
            remedy=f"Follow it to its end ({run.command('train')}), or end it: kill "
            + " ".join(map(str, training.living())),
        )


def attach(run: RunFolder, training: TrainerProcess, say: Say, rank: int) -> Path:
    """The log of a training that was alive, and has come to its end by what stands in the folder.

    Raises TrainerFailed for one that has not.
    """
    log = Path(training.log)
    watch, loaded = _Silence(log, run.trained / LOG), LoadedLog(log)

    def has_ended() -> bool:
        time.sleep(_LOOK_EVERY_S)
        hangs = watch.seconds() > _SILENT_S and not training.leads
        ended = hangs or not is_alive(run, training)
        _check_loaded(loaded, rank)
        return ended

    with unhurried(), _attended(training):
        steps = run.progress().steps
        say(f"This run is already training ({training.who}){', ' if steps else ''}{steps}")
        say(f"Following it to its end; Ctrl-C ends it, a closed terminal does not. Log: {log}")
        if not training.leads:
            pids = ", ".join(map(str, training.living()))
            say(f"Its first process is gone; these go on: {pids}.")
        _follow(run, say, has_ended)
        if not run.finished():
            training.end()
    if rank == 0 and not run.finished():
        raise TrainerFailed(failure("train", None, log))
    return log


@contextlib.contextmanager
def _attended(training: TrainerProcess) -> Iterator[None]:
    """Ends the training with whatever ends the block, save a terminal that is closed."""
    try:
        yield
    except BaseException:
        if interrupts.received() != signal.SIGHUP:
            training.end()
            raise
        words = f"The training goes on ({training.who}); the same command attaches to it."
        raise KeyboardInterrupt(words) from None


def _has_ended(process: subprocess.Popen[bytes], loaded: LoadedLog, rank: int) -> bool:
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(_LOOK_EVERY_S)
    _check_loaded(loaded, rank)
    return process.returncode is not None


def _check_loaded(loaded: LoadedLog, rank: int) -> None:
    """Node 0 gives its weights to the others: what they have loaded themselves counts for nothing."""
    if rank == 0:
        loaded.check()


def _follow(run: RunFolder, say: Say, has_ended: Callable[[], bool]) -> None:
    """Tells the trainer's first account and then one every while, until it has ended."""
    before, told_at = run.progress(), -_TELL_EVERY_S
    while not has_ended():
        progress = run.progress()
        if progress != before and time.monotonic() - told_at >= _TELL_EVERY_S:
            say(_told(progress))
            before, told_at = progress, time.monotonic()


def _told(progress: TrainingProgress) -> str:
    left = "" if progress.eta_s is None else f"{duration(progress.eta_s)} left"
    return ", ".join(text for text in (progress.steps, progress.losses, left) if text)


class _Silence:
    """How long nothing was written into some files."""

    def __init__(self, *files: Path) -> None:
        self._files = files
        self._state, self._since = self._look(), time.monotonic()

    def seconds(self) -> float:
        state = self._look()
        if state != self._state:
            self._state, self._since = state, time.monotonic()
        return time.monotonic() - self._since

    def _look(self) -> list[int]:
        sizes = []
        for path in self._files:
            with contextlib.suppress(OSError):
                sizes.append(path.stat().st_size)
        return sizes
