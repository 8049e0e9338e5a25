"""The rows of a data file with the line that each stands in, read as the trainer's loader reads them."""

from __future__ import annotations

import json
from collections.abc import Callable, Generator, Iterator
from itertools import chain
from pathlib import Path
from typing import Any

import orjson

from datakit.core.regular_files import check_regular, open_regular_text, read_regular, regular
from datakit.core.shown_path import show_path

KINDS = {"json": "json", "jsonl": "json", "csv": "csv", "parquet": "parquet", "arrow": "arrow", "txt": "text"}
"""File endings that the trainer reads -> its loader."""
READ = ("json", "csv", "parquet", "text")
"""Loaders whose files are read here."""
CHUNK = 10 << 20
"""Bytes of JSON Lines that the loader turns into one table; later tables must fit the first one's types."""

_BUFFER = 1 << 18
"""Bytes read at once: lines of 6 KB take a third of the time that they take by 8 KB (2026-11-28)."""

Report = Callable[..., None]
"""`Findings.add`, with the data set given."""
Row = tuple[int, int, Any]
"""Line (from 1; 0 where lines mean nothing), chunk of the loader, value."""


def rows_of(path: Path, report: Report) -> Iterator[Row]:
    """The rows in order. What cannot be read is reported and ends the file."""
    kind = KINDS[path.suffix[1:]]
    try:
        if kind == "json":
            yield from _json(path, report)
        elif kind == "text":
            yield from _text(path, report)
        else:
            yield from _table(path, kind, report)
    except OSError as error:
        report("file_missing", f"cannot read {show_path(path)}: {error.strerror}", where=show_path(path))


def _text(path: Path, report: Report) -> Iterator[Row]:
    """A row for each line, with the one column `text`."""
    try:
        with open_regular_text(path) as file:
            for number, line in enumerate(file, 1):
                yield number, 0, {"text": line.removesuffix("\n")}
    except UnicodeDecodeError as error:
        report("file_encoding", f"not UTF-8: {error.reason}", where=show_path(path))


def _table(path: Path, kind: str, report: Report) -> Iterator[Row]:
    import polars as pl

    try:
        check_regular(path)
        frame = pl.scan_parquet(path) if kind == "parquet" else pl.scan_csv(path, infer_schema=False)
        for batch in frame.collect_batches(chunk_size=2048, maintain_order=True):
            for row in batch.iter_rows(named=True):
                yield 0, 0, row
    except pl.exceptions.PolarsError as error:
        report("bad_json", f"not {kind}: {error}", where=show_path(path))


def _json(path: Path, report: Report) -> Iterator[Row]:
    with open(path, "rb", opener=regular) as file:
        head = file.read(4096)
    array = head.removeprefix(b"\xef\xbb\xbf").lstrip()[:1] == b"["
    # Of JSON Lines the loader skips UTF-8's mark; at an array with one it stops.
    wide = head.startswith((b"\xff\xfe", b"\xfe\xff"))
    if wide or (array and head.startswith(b"\xef\xbb\xbf")):
        report("file_encoding", "starts with a byte-order mark", where=f"{show_path(path)}:1")
    if wide:
        return
    if array:
        yield from _array(path, report)
    else:
        yield from _lines(path, report)


def _lines(path: Path, report: Report) -> Iterator[Row]:
    read = 0
    with open(path, "rb", opener=regular) as file:
        for number, line in enumerate(file, 1):
            chunk = read // CHUNK  # a chunk ends with the line that reaches its size
            read += len(line)
            text = line.strip() if number > 1 else line.removeprefix(b"\xef\xbb\xbf").strip()
            if not text:
                continue
            try:
                yield number, chunk, orjson.loads(text)
            except orjson.JSONDecodeError as error:
                place = f"{show_path(path)}:{number}:{error.colno}"
                report(
                    "bad_json",
                    f"not JSON: {error.msg}",
                    where=place,
                    remedy="Each line must be one object, or the whole file one array of objects.",
                )
                return


def _array(path: Path, report: Report) -> Iterator[Row]:
    """One row a line is read as a stream; any other layout as a whole, from where the stream ends."""
    count, is_whole = yield from _row_lines(path)
    if not is_whole:
        yield from _array_as_a_whole(path, count, report)


def _row_lines(path: Path) -> Generator[Row, None, tuple[int, bool]]:
    """Rows up to the first line that is not `[`, `]` or a whole object with its comma.

    Returns how many they are, and whether the array ends there and nothing follows.
    """
    count = 0
    with open(path, "rb", buffering=_BUFFER, opener=regular) as file:
        comma = True
        for number, line in enumerate(file, 1):
            if comma and line.startswith(b"{") and line.endswith(b",\n"):  # as datakit writes nearly all
                value_text: bytes | memoryview = memoryview(line)[:-2]
            else:
                text = line.removeprefix(b"\xef\xbb\xbf").strip() if number == 1 else line.strip()
                if number == 1 and text == b"[":
                    continue
                if not comma or not text.startswith(b"{"):
                    left = filter(None, chain((text,), map(bytes.strip, file)))
                    return count, not comma and next(left, b"") == b"]" and next(left, None) is None
                comma = text.endswith(b",")
                value_text = text[:-1] if comma else text
            try:
                value = orjson.loads(value_text)
            except orjson.JSONDecodeError:
                break
            count += 1
            yield number, 0, value
    return count, False


def _array_as_a_whole(path: Path, skip: int, report: Report) -> Iterator[Row]:
    place = show_path(path)
    data = read_regular(path).removeprefix(b"\xef\xbb\xbf")
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        report("file_encoding", f"not UTF-8: byte {error.start + 1}", where=f"{place}:{line}")
        return
    decode = json.JSONDecoder().raw_decode
    try:
        at, line, number = _skip_space(text, text.index("[") + 1), 1, 0
        counted = 0
        while text[at : at + 1] != "]" or number:
            line += text.count("\n", counted, at)
            counted = at
            value, at = decode(text, at)
            number += 1
            if number > skip:
                yield line, 0, value
            at = _skip_space(text, at)
            if text[at : at + 1] == "]":
                break
            if text[at : at + 1] != ",":
                raise json.JSONDecodeError("expected `,` or `]`", text, at)
            at = _skip_space(text, at + 1)
        rest = _skip_space(text, at + 1)
        if rest < len(text):
            raise json.JSONDecodeError("text behind the array", text, rest)
    except json.JSONDecodeError as error:
        report("bad_json", f"not JSON: {error.msg}", where=f"{place}:{error.lineno}:{error.colno}")
    except (ValueError, RecursionError) as error:  # a number of 5,000 digits, 100,000 brackets
        report("bad_json", f"row {number + 1} cannot be read: {error}", where=f"{place}:{line}")


def _skip_space(text: str, at: int) -> int:
    while text[at : at + 1] in (" ", "\n", "\r", "\t"):
        at += 1
    return at
