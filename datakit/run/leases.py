"""Who asks what at this moment, so that builds on one store do not pay for the same question at once.

A lease is a lock on a range of bytes of a file beside the store, which needs no byte in it. The system frees
it when its process ends, by kill -9 and power loss too, and asks no process id for that: builds in containers
of their own exclude each other like any two. SQLite works by such locks itself, so that wherever a store can
lie, they can.
"""

from __future__ import annotations

import errno
import fcntl
import os
import struct
import sys
import time
from abc import ABC, abstractmethod
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO

from datakit.core.errors import UserError
from datakit.core.private_files import close_to_others

FOLDER = "leases"
LOST_S = 30.0
"""An answer that is not in the store so long after it came is not going to be: its step made something else
of it, or holds it back until the model has shown that it answers. Nobody waits for it any longer."""
_FILES = 16
"""The system goes through all locks of a file to take one: 50,000 lines of a batch in one file take minutes,
in sixteen a second (measured 2026-11-26)."""
_RANGE_BITS = 23
"""The range of a question begins at a multiple of this power of two, and is as long as the process id of who
holds it: ids have 22 bits at most. So whoever finds it taken knows by whom."""
_PLACES = 1 << (63 - _RANGE_BITS)
_FLOCK = struct.Struct("hhqqi4x")
_OF_FILE = getattr(fcntl, "F_OFD_SETLK", None) if sys.maxsize > 1 << 32 else None
"""Locks of an open file, so that two stores in one process exclude each other too. Where the system has none
(macOS), the locks are those of the process."""


class Leases(ABC):
    """The questions that this store's owner asks, or has answers to that are not stored yet."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._held: set[bytes] = set()
        self._answered: dict[bytes, float] = {}
        """Questions whose answer came, and when; in that order."""

    def take(self, question: bytes) -> bool:
        """Whether nobody else asks the question; it is this store's to ask then."""
        self._let_go_of_lost()
        self._answered.pop(question, None)
        if question not in self._held and not self._lock(question):
            return False
        self._held.add(question)
        return True

    @abstractmethod
    def holder(self, question: bytes) -> int | None:
        """The process of this machine that asks a question; None where nobody does, or where nobody tells."""

    def answered(self, question: bytes) -> None:
        """Says that the answer to a question has come: the lease ends when it is stored."""
        self._answered[question] = self._clock()

    def release(self, question: bytes) -> None:
        """Ends a lease: the answer is stored, or none came. Nothing where there is none."""
        self._answered.pop(question, None)
        if question in self._held:
            self._held.discard(question)
            self._unlock(question)

    def close(self) -> None:
        """Ends all leases."""
        self._unlock_all()
        self._held, self._answered = set(), {}

    @abstractmethod
    def _lock(self, question: bytes) -> bool:
        """Takes a lease that this owner does not hold, where nobody does."""

    @abstractmethod
    def _unlock(self, question: bytes) -> None:
        """Gives a lease back."""

    @abstractmethod
    def _unlock_all(self) -> None:
        """Gives all leases back."""

    def _let_go_of_lost(self) -> None:
        while self._answered:
            question = next(iter(self._answered))
            if self._clock() - self._answered[question] < LOST_S:
                return
            self.release(question)


class FileLeases(Leases):
    """Leases among the processes that share a store in a folder: locks of files there."""

    def __init__(self, store: Path, clock: Callable[[], float] = time.monotonic) -> None:
        super().__init__(clock)
        self._folder = store / FOLDER
        self._files: dict[int, BinaryIO] = {}

    def holder(self, question: bytes) -> int | None:
        if _OF_FILE is None:
            return None
        number, start = _place(question)
        lock = _FLOCK.pack(fcntl.F_WRLCK, os.SEEK_SET, start, 1, 0)
        kind, _, _, length, _ = _FLOCK.unpack(fcntl.fcntl(self._file(number), fcntl.F_OFD_GETLK, lock))
        return None if kind == fcntl.F_UNLCK else int(length)

    def _lock(self, question: bytes) -> bool:
        number, start = _place(question)
        try:
            _set(self._file(number), fcntl.F_WRLCK, start, os.getpid())
        except OSError as error:
            if error.errno in (errno.EAGAIN, errno.EACCES):
                return False
            raise UserError(
                f"cannot lock files in {self._folder}: {error.strerror}",
                remedy="Builds that share a result store keep off each other by locks: name a folder on "
                "another disk with `run.store` or DATAKIT_STORE.",
            ) from None
        return True

    def _unlock(self, question: bytes) -> None:
        number, start = _place(question)
        _set(self._file(number), fcntl.F_UNLCK, start, os.getpid())

    def _unlock_all(self) -> None:
        for file in self._files.values():
            file.close()
        self._files = {}

    def _file(self, number: int) -> BinaryIO:
        if number not in self._files:
            self._folder.mkdir(exist_ok=True)
            path = self._folder / f"{number:x}"
            self._files[number] = open(path, "a+b")  # noqa: SIM115 (closed by `close`)
            for private in (self._folder, path):
                close_to_others(private)
        return self._files[number]


def _place(question: bytes) -> tuple[int, int]:
    """The number of a question's file, and where its range begins there."""
    digest = int.from_bytes(question, "big")
    return digest % _FILES, digest // _FILES % _PLACES << _RANGE_BITS


def _set(file: BinaryIO, kind: int, start: int, length: int) -> None:
    if _OF_FILE is not None:
        fcntl.fcntl(file, _OF_FILE, _FLOCK.pack(kind, os.SEEK_SET, start, length, 0))
        return
    flags = fcntl.LOCK_UN if kind == fcntl.F_UNLCK else fcntl.LOCK_EX | fcntl.LOCK_NB
    fcntl.lockf(file, flags, length, start)
