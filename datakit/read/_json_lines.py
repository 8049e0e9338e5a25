"""JSON Lines, a block of lines at a time; each line that is no object becomes a reject."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

import orjson

from datakit.core.regular_files import regular
from datakit.core.text_encoding import BOM, UTF8
from datakit.read._encoded_lines import EncodedLine, encoded_lines
from datakit.read._files import BOM_BYTES, encoding_of, unreadable
from datakit.read._json_values import has_surrogates, json_value, json_values, said
from datakit.read._rows import Block, reject_at

_BYTES = 4 << 20
"""Bytes of lines held at once, so that rows with long texts stay cheap too."""


def json_lines(path: Path, rows: int, encoding: str | None = None) -> Iterator[Block]:
    """The rows of one file, with their line numbers. Raises UserError for a file that cannot be opened."""
    encoding = encoding_of(path, encoding)
    try:
        yield from _utf8_blocks(path, rows) if encoding == UTF8 else _other_blocks(path, rows, encoding)
    except OSError as error:
        raise unreadable(path, error) from None


def _utf8_blocks(path: Path, rows: int) -> Iterator[Block]:
    first = 1
    with open(path, "rb", opener=regular) as file:
        while lines := file.readlines(_BYTES):
            for start in range(0, len(lines), rows):
                part = lines[start : start + rows]
                if first == 1:
                    part[0] = part[0].removeprefix(BOM_BYTES)
                yield _block(str(path), part, first)
                first += len(part)


def _other_blocks(path: Path, rows: int, encoding: str) -> Iterator[Block]:
    first, lines = 1, encoded_lines(path, encoding)
    while part := list(islice(lines, rows)):
        yield _line_by_line(str(path), part, first)
        first += len(part)


def _block(file: str, lines: list[bytes], first: int) -> Block:
    try:
        rows = json_values(lines)
    except orjson.JSONDecodeError:
        pass
    else:
        if set(map(type, rows)) == {dict}:
            return Block(file, rows, range(first, first + len(rows)))
    return _line_by_line(file, [EncodedLine.of(line, UTF8) for line in lines], first)


def _line_by_line(file: str, lines: Sequence[EncodedLine], first: int) -> Block:
    rows, numbers, rejects = [], [], []
    for number, line in enumerate(lines, first):
        if not line.text.strip(BOM).strip():
            continue
        value = _value(line)
        if isinstance(value, dict):
            rows.append(value)
            numbers.append(number)
            continue
        reason, detail = value
        rejects.append(reject_at(file, number, reason, f"line {number}{detail}"))
    return Block(file, rows, numbers, rejects)


def _value(line: EncodedLine) -> dict[str, Any] | tuple[str, str]:
    """The object of one line, or the reason and the words why there is none."""
    if line.fault:
        return "bad_encoding", f", {line.fault}"
    try:
        value, lenient = json_value(line.text.lstrip(BOM))  # one stands inside where files were put together
    except orjson.JSONDecodeError as error:
        return "bad_json", f", column {error.colno}: {error.msg}"
    if not isinstance(value, dict):
        return "not_an_object", f" holds {said(value)}, not an object with named values"
    if lenient and has_surrogates(value):
        return "bad_encoding", " holds half of a surrogate pair, which is no character"
    return value
