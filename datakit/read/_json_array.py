"""A JSON file that holds one list of rows, by itself or as the only list of an object."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import orjson

from datakit.core.errors import UserError
from datakit.read._files import BOM, encoding_of, unreadable
from datakit.read._rows import Block, reject_at


def json_array(path: Path, rows: int) -> Iterator[Block]:
    """The rows of one file; a row's line is its number in the list. The file is in memory as a whole.

    Raises UserError with line and column for a file that is not JSON, or holds no list.
    """
    values = _rows_of(path)
    for start in range(0, len(values), rows):
        yield _block(str(path), values[start : start + rows], start + 1)


def is_json_lines(path: Path) -> bool:
    """Whether a file's first line is an object by itself, and others follow, as in JSON Lines."""
    try:
        with open(path, "rb") as file:
            first = file.readline().removeprefix(BOM)
            while first and not first.strip():
                first = file.readline()
            if not any(line.strip() for line in file):
                return False
    except OSError as error:
        raise unreadable(path, error) from None
    try:
        return isinstance(orjson.loads(first.decode(encoding_of(path))), dict)
    except (orjson.JSONDecodeError, UnicodeDecodeError):
        return False


def _rows_of(path: Path) -> list[Any]:
    try:
        data = path.read_bytes()
    except OSError as error:
        raise unreadable(path, error) from None
    if not data.removeprefix(BOM).strip():
        return []
    encoding = encoding_of(path)
    try:
        text = data.removeprefix(BOM).decode(encoding)
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise UserError(
            f"not {encoding}, as the rest of the file is: byte {error.start + 1}",
            where=f"{path}:{line}",
            remedy="Save the file as UTF-8.",
        ) from None
    try:
        value = orjson.loads(text)
    except orjson.JSONDecodeError as error:
        lines = is_json_lines(path)
        raise UserError(
            f"not JSON: {error.msg}",
            where=f"{path}:{error.lineno}:{error.colno}",
            remedy="Each line is an object of its own: use read.jsonl." if lines else "Mend the file there.",
        ) from None
    return _list_in(value, path)


def _list_in(value: Any, path: Path) -> list[Any]:
    if isinstance(value, list):
        return value
    if not isinstance(value, dict):
        raise UserError(f"{path} holds a {type(value).__name__}, not a list of rows")
    lists = [name for name, inner in value.items() if isinstance(inner, list)]
    if len(lists) != 1:
        content = f"the lists {', '.join(lists)}" if lists else "no list"
        raise UserError(
            f"{path} is an object with {content}, so its rows cannot be told",
            remedy="Keep one list in it, or write the rows as an array. One object a line: read.jsonl.",
        )
    found_list: list[Any] = value[lists[0]]
    return found_list


def _block(file: str, values: list[Any], first: int) -> Block:
    if set(map(type, values)) == {dict}:
        return Block(file, values, range(first, first + len(values)))
    rows, numbers, rejects = [], [], []
    for number, value in enumerate(values, first):
        if isinstance(value, dict):
            rows.append(value)
            numbers.append(number)
            continue
        words = f"element {number} is a {type(value).__name__}, not an object with named values"
        rejects.append(reject_at(file, number, "not_an_object", words))
    return Block(file, rows, numbers, rejects)
