"""A JSON array in a file, one element a line, written as a stream."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import BinaryIO


class JsonArray:
    """A file `[`, one element a line, `]`. Elements may have further copies, which follow after all firsts.

    Copies of an element stand far apart, so that the first n rows are n different records.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.rows = 0
        self.elements = 0
        self._rounds: list[BinaryIO] = []

    def append(self, lines: Sequence[bytes], copies: Sequence[int]) -> None:
        """Adds elements, already JSON without line breaks, and how often each is written (at least once)."""
        self.elements += len(lines)
        for number in range(max(copies, default=0)):
            mine = [line for line, count in zip(lines, copies, strict=True) if count > number]
            self._write(number, mine)

    def close(self) -> None:
        """Puts the copies behind the firsts and closes the array."""
        first, *others = self._rounds
        for part in others:
            part.seek(0)
            shutil.copyfileobj(part, first, 1 << 20)
            part.close()
            Path(part.name).unlink()
        first.write(b"\n]\n")
        first.close()

    def release(self) -> None:
        """Closes the files as they are, after a failure."""
        for part in self._rounds:
            part.close()

    def _write(self, number: int, lines: list[bytes]) -> None:
        if number == len(self._rounds):
            name = self.path if number == 0 else self.path.with_name(f".{self.path.name}.{number}")
            self._rounds.append(open(name, "w+b"))  # noqa: SIM115 (closed in `close`)
        start = b"[\n" if self.rows == 0 else b",\n"
        self._rounds[number].write(start + b",\n".join(lines))
        self.rows += len(lines)
