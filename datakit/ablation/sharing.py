"""Trainings that several processes or machines share out by themselves: each is worked on by one at a time.

An archive of an ablation carries this.
"""

from __future__ import annotations

import errno
import os
import socket
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from datakit.artifacts.ablation_record import Job
from datakit.core.errors import Exit, UserError
from datakit.core.file_locks import taken

LOOK_S = 2.0
"""Between two looks at what others work on."""
IN_A_ROW = 2
"""So many failures one after the other are the machine's, and no further training is begun."""
_FINE = (Exit.FINE, Exit.PARTIAL)
_STOPPED = (Exit.BUDGET, Exit.HUNG_UP, Exit.INTERRUPTED, Exit.TERMINATED)
_CANNOT_LOCK = {errno.ENOLCK, errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP, errno.EINVAL}

Say = Callable[[str], None]


def share_out(jobs: Sequence[Job], work: Callable[[Job], int], say: Say) -> dict[str, int]:
    """Name of each job -> exit code of the work on it, for those that this process came to.

    A job that another process holds is left to it. At the end such jobs are waited for, and taken up where
    the other one died: the system frees its lock. One failure keeps no job from its turn, two in a row do.
    """
    left, codes = list(jobs), dict[str, int]()
    failures, told = 0, ""
    while left:
        waits = True
        for job in list(left):
            with _claimed(job, say) as is_ours:
                if not is_ours:
                    continue
                waits = False
                left.remove(job)
                code = codes[job.path.name] = work(job)
            if code in _STOPPED:
                return codes
            failures = 0 if code in _FINE else failures + 1
            if failures == IN_A_ROW:
                if left:
                    say(f"{IN_A_ROW} trainings in a row failed: the {len(left)} others are not begun.")
                return codes
        if waits:
            text = "; ".join(f"{job.path.name} ({_holder(claim_file(job))})" for job in left)
            if text != told:
                say(f"Waiting, ready to take over should they die: {text}. Ctrl-C ends the waiting alone.")
            told = text
            time.sleep(LOOK_S)
    return codes


def part_of(jobs: Sequence[Job], part: str) -> list[Job]:
    """The jobs of one machine of several (`1/3`), dealt in turn; all for "". Raises UserError."""
    if not part:
        return list(jobs)
    number, sign, of = part.partition("/")
    whole = sign and number.isascii() and number.isdecimal() and of.isascii() and of.isdecimal()
    if not (whole and 1 <= int(number) <= int(of) <= 1000):
        raise UserError(
            f"--part {part!r} is not I/N", remedy="Example: --part 1/2, and 2/2 on the other one."
        )
    return list(jobs[int(number) - 1 :: int(of)])


def exit_of(codes: dict[str, int]) -> int:
    """Of several exit codes the first that is a failure, else 3 where one is."""
    return next((code for code in codes.values() if code not in _FINE), max([0, *codes.values()]))


def claim_file(job: Job) -> Path:
    """Held by whoever works on a job."""
    return job.path.with_name(f".{job.path.name}.claim")


@contextmanager
def _claimed(job: Job, say: Say) -> Iterator[bool]:
    """Whether the job is this process's, for the block."""
    path = claim_file(job)
    try:
        file = taken(path)
    except OSError as error:
        if error.errno not in _CANNOT_LOCK:
            raise
        say(f"Warning: {path.parent} knows no locks: give each machine its own share, with --part.")
        yield True
        return
    if file is None:
        yield False
        return
    with file:
        file.truncate(0)
        file.write(f"process {os.getpid()} on {socket.gethostname()}".encode())
        file.flush()
        yield True


def _holder(path: Path) -> str:
    try:
        text = path.read_text("utf-8", "replace")[:200]
    except OSError:
        text = ""
    return "".join(sign for sign in text if sign.isprintable()) or "another process"
