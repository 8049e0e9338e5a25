"""Delimited text with a header, a block of rows at a time; faulty lines become rejects with their number."""

from __future__ import annotations

import csv
from collections import deque
from collections.abc import Iterator
from pathlib import Path

from datakit.core.errors import UserError
from datakit.core.spreadsheets import plain_text
from datakit.core.text_encoding import BOM
from datakit.read._encoded_lines import line_fault, opened
from datakit.read._files import encoding_of, unreadable
from datakit.read._rows import Block, reject_at

_DELIMITERS = ",\t;|"


def csv_rows(
    path: Path, rows: int, delimiter: str | None = None, encoding: str | None = None
) -> Iterator[Block]:
    """The rows of one file: every value a text, an empty one null. Raises UserError for a faulty header."""
    encoding = encoding_of(path, encoding)
    delimiter = delimiter or _delimiter_of(path, encoding)
    try:
        with opened(path, encoding, "") as file:
            lines = _Lines(file)
            header = _header(path, lines, delimiter, encoding)
            if header:
                yield from _blocks(path, lines, header, delimiter, rows, encoding)
    except OSError as error:
        raise unreadable(path, error) from None


class _Lines:
    """Physical lines with their numbers; lines of a broken record can be given back.

    A record may begin with a byte order mark, where files were put together.
    """

    def __init__(self, lines: Iterator[str]) -> None:
        self._lines = lines
        self._back: deque[str] = deque()
        self.taken: list[str] = []
        """The lines since the last `begin`."""
        self.first = 1
        """Number of the first of them."""

    def __iter__(self) -> _Lines:
        return self

    def __next__(self) -> str:
        line = self._back.popleft() if self._back else next(self._lines)
        if not self.taken and line[0] == BOM:
            line = line.lstrip(BOM)
        self.taken.append(line)
        return line

    def begin(self) -> None:
        """A record begins here."""
        self.first += len(self.taken)
        self.taken = []

    def keep_one(self) -> None:
        """Gives back all lines of the record but its first."""
        self._back.extendleft(reversed(self.taken[1:]))
        del self.taken[1:]


def _blocks(
    path: Path, lines: _Lines, header: list[str], delimiter: str, rows: int, encoding: str
) -> Iterator[Block]:
    block = Block(str(path), [], numbers := [], rejects := [])
    reader = csv.reader(lines, delimiter=delimiter, strict=True)
    while True:
        lines.begin()
        fault = None
        cells: list[str] = []
        try:
            cells = next(reader)
        except StopIteration:
            break
        except csv.Error as error:
            lines.keep_one()
            fault = ("bad_csv", f"line {lines.first}: {error}")
            reader = csv.reader(lines, delimiter=delimiter, strict=True)
        if fault is None and not cells:
            continue
        fault = fault or _fault(cells, header, lines, encoding)
        if fault:
            rejects.append(reject_at(str(path), lines.first, *fault))
        else:
            block.rows.append(
                {name: plain_text(cell) or None for name, cell in zip(header, cells, strict=True)}
            )
            numbers.append(lines.first)
        if len(block.rows) + len(rejects) >= rows:
            yield block
            block = Block(str(path), [], numbers := [], rejects := [])
    if block.rows or rejects:
        yield block


def _fault(cells: list[str], header: list[str], lines: _Lines, encoding: str) -> tuple[str, str] | None:
    for number, line in enumerate(lines.taken, lines.first):
        if not line.isascii() and (words := line_fault(line, encoding)):
            return "bad_encoding", f"line {number}, {words}"
    if len(cells) != len(header):
        words = f"line {lines.first} has {len(cells)} values, the header names {len(header)} columns"
        return "ragged_row", words
    if cells == header:
        return "repeated_header", f"line {lines.first} is the header again: were files put together?"
    return None


def _header(path: Path, lines: _Lines, delimiter: str, encoding: str) -> list[str]:
    """The names of the first line that is not blank. Raises UserError for names that are empty or twice."""
    names: list[str] = []
    try:
        for names in csv.reader(lines, delimiter=delimiter, strict=True):
            if names:
                break
    except csv.Error as error:
        raise UserError(f"the header cannot be read: {error}", where=f"{path}:1") from None
    names = [name.strip() for name in names]
    if fault := next((fault for line in lines.taken if (fault := line_fault(line, encoding))), ""):
        raise UserError(
            f"the header cannot be read: {fault}",
            where=f"{path}:1",
            remedy="Name its `encoding:`.",
        )
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        what = "an empty column name" if "" in twice else f"two columns `{twice[0]}`"
        raise UserError(f"the header has {what}", where=f"{path}:1", remedy="Give each column a name.")
    if names == [""]:
        return []
    if "" in names:
        at = names.index("") + 1
        raise UserError(f"column {at} has no name", where=f"{path}:1", remedy="Give each column a name.")
    return names


def _delimiter_of(path: Path, encoding: str) -> str:
    """Tab for .tsv; else the sign that stands most often in the header, outside quotes."""
    if path.suffix.lower() == ".tsv":
        return "\t"
    with opened(path, encoding, "") as file:
        header = next((line for line in file if line.strip("\ufeff \t\r\n")), "")
    bare = "".join(header.split('"')[::2])
    counts = {sign: bare.count(sign) for sign in _DELIMITERS}
    return max(counts, key=lambda sign: counts[sign])
