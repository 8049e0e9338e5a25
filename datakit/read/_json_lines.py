"""JSON Lines, a block of lines at a time; each line that is no object becomes a reject."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import orjson

from datakit.read._files import BOM, UTF8, encoding_of, unreadable
from datakit.read._rows import Block, reject_at

_BYTES = 4 << 20
"""Bytes of lines held at once, so that rows with long texts stay cheap too."""


def json_lines(path: Path, rows: int) -> Iterator[Block]:
    """The rows of one file, with their line numbers. Raises UserError for a file that cannot be opened."""
    encoding = encoding_of(path)
    first = 1
    try:
        with open(path, "rb") as file:
            while lines := file.readlines(_BYTES):
                for start in range(0, len(lines), rows):
                    chunk = lines[start : start + rows]
                    if first == 1:
                        chunk[0] = chunk[0].removeprefix(BOM)
                    yield _block(str(path), chunk, first, encoding)
                    first += len(chunk)
    except OSError as error:
        raise unreadable(path, error) from None


def _block(file: str, lines: list[bytes], first: int, encoding: str) -> Block:
    if encoding == UTF8:
        try:
            rows = list(map(orjson.loads, lines))
        except orjson.JSONDecodeError:
            pass
        else:
            if set(map(type, rows)) == {dict}:
                return Block(file, rows, range(first, first + len(rows)))
    return _line_by_line(file, lines, first, encoding)


def _line_by_line(file: str, lines: list[bytes], first: int, encoding: str) -> Block:
    rows, numbers, rejects = [], [], []
    for number, line in enumerate(lines, first):
        if not line.strip():
            continue
        value = _value(line, encoding)
        if isinstance(value, dict):
            rows.append(value)
            numbers.append(number)
            continue
        reason, detail = value
        rejects.append(reject_at(file, number, reason, f"line {number}{detail}"))
    return Block(file, rows, numbers, rejects)


def _value(line: bytes, encoding: str) -> dict[str, Any] | tuple[str, str]:
    """The object of one line, or the reason and the words why there is none."""
    try:
        text = line.decode(encoding)
    except UnicodeDecodeError as error:
        return "bad_encoding", f", byte {error.start + 1}: not {encoding}, as the rest of the file is"
    try:
        value = orjson.loads(text)
    except orjson.JSONDecodeError as error:
        return "bad_json", f", column {error.colno}: {error.msg}"
    if not isinstance(value, dict):
        return "not_an_object", f" holds a {type(value).__name__}, not an object with named values"
    return value
