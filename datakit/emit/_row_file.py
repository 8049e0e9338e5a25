"""A file of rows, one a line, written as a stream: a JSON array or JSON Lines."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import BinaryIO

_ARRAY = (b"[\n", b",\n", b"\n]\n")
_LINES = (b"", b"\n", b"\n")
_WRITTEN = 8
"""Rows written at once, some 60 KB of prompts. Larger pieces cost the kernel up to five times as much: it
looks for large pages to put them in (ext4, 2026-11-24)."""


class RowFile:
    """A file of rows, which may have further copies; these follow after the firsts of all.

    Copies of a row stand far apart, so that the first n rows are n different records.

    >>> import tempfile
    >>> file = RowFile(Path(tempfile.mkdtemp()) / "rows.json")
    >>> file.append([b'{"id":1}', b'{"id":2}'], copies=[2, 1])
    >>> file.close()
    >>> print(file.path.read_text(), file.records, file.rows)
    [
    {"id":1},
    {"id":2},
    {"id":1}
    ]
     2 3
    """

    def __init__(self, path: Path, *, lines: bool = False) -> None:
        self.path = path
        self.rows = 0
        self.records = 0
        self._state = hashlib.sha256()
        self._start, self._between, self._end = _LINES if lines else _ARRAY
        self._rounds: list[BinaryIO] = []

    def append(self, lines: Sequence[bytes], copies: Sequence[int]) -> None:
        """Adds rows, already JSON without line breaks, and how often each is written (at least once)."""
        self.records += len(lines)
        for number in range(max(copies, default=0)):
            due = [line for line, count in zip(lines, copies, strict=True) if count > number]
            self._write(number, due)

    def close(self) -> None:
        """Puts the copies behind the firsts and ends the file."""
        first, *others = self._rounds
        for file in others:
            file.seek(0)
            while data := file.read(1 << 18):
                self._put(first, data)
            file.close()
            Path(file.name).unlink()
        self._put(first, self._end)
        first.close()

    @property
    def sha256(self) -> str:
        """Of the closed file. Taken while writing: reading a large file again costs a third more."""
        return self._state.hexdigest()

    def release(self) -> None:
        """Closes the files as they are, after a failure."""
        for file in self._rounds:
            file.close()

    def _write(self, number: int, lines: list[bytes]) -> None:
        if number == len(self._rounds):
            name = self.path if number == 0 else self.path.with_name(f".{self.path.name}.{number}")
            self._rounds.append(open(name, "w+b"))  # noqa: SIM115 (closed in `close`)
        for at in range(0, len(lines), _WRITTEN):
            portion = lines[at : at + _WRITTEN]
            if self.rows == 0:
                data = self._start + self._between.join(portion)
            else:
                data = self._between.join((b"", *portion))
            self._put(self._rounds[number], data)
            self.rows += len(portion)

    def _put(self, file: BinaryIO, data: bytes) -> None:
        file.write(data)
        if file is self._rounds[0]:
            self._state.update(data)
