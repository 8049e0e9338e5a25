"""A JSON file that holds one list of rows, by itself or as the only list of an object."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import orjson

from datakit.core.errors import UserError
from datakit.core.regular_files import read_regular
from datakit.core.text_encoding import BOM, UTF8, codec_of
from datakit.read._damaged_array import Element, elements_of
from datakit.read._encoded_lines import opened
from datakit.read._files import BOM_BYTES, encoding_of, is_bytewise, unreadable
from datakit.read._json_values import has_surrogates, json_value, said
from datakit.read._known_files import COCO, captions_of
from datakit.read._rows import Block, reject_at


def json_array(path: Path, rows: int, encoding: str | None = None) -> Iterator[Block]:
    """The rows of one file; a row's line is its number in the list. The file is in memory as a whole.

    Raises UserError with line and column for a file that is not JSON, or holds no list.
    """
    elements, lenient = _elements_of(path, encoding)
    for start in range(0, len(elements), rows):
        yield _block(str(path), elements[start : start + rows], start + 1, lenient)


def is_json_lines(path: Path, encoding: str | None = None) -> bool:
    """Whether a file's first line is an object by itself, and others follow, as in JSON Lines."""
    try:
        with opened(path, encoding_of(path, encoding)) as file:
            first = file.readline().removeprefix(BOM)
            while first and not first.strip():
                first = file.readline()
            if not any(line.strip() for line in file):
                return False
    except OSError as error:
        raise unreadable(path, error) from None
    try:
        return isinstance(json_value(first)[0], dict)
    except ValueError:
        return False


def _elements_of(path: Path, named: str | None) -> tuple[list[Any], bool]:
    """The elements, the damaged ones as `Element`, and whether texts may hold halves of surrogate pairs."""
    try:
        data = read_regular(path)
    except OSError as error:
        raise unreadable(path, error) from None
    if not data.removeprefix(BOM_BYTES).strip():
        return [], False
    encoding = encoding_of(path, named)
    if encoding != UTF8 and (elements := _one_by_one(data, encoding)) is not None:
        return elements, True  # a line of UTF-8 among them is only told by itself
    try:
        text = data.decode(codec_of(encoding)).removeprefix(BOM)
        value, lenient = json_value(data.removeprefix(BOM_BYTES) if encoding == UTF8 else text)
    except (UnicodeDecodeError, orjson.JSONDecodeError) as error:
        if (elements := _one_by_one(data, encoding)) is not None:
            return elements, True
        raise _fault(path, data, encoding, error) from None
    return _list_in(value, path), lenient


def _one_by_one(data: bytes, encoding: str) -> list[Any] | None:
    """The values of the elements, or the damaged elements themselves; None where there is no list."""
    errors = "surrogateescape" if is_bytewise(encoding) else "replace"
    elements = elements_of(data.decode(codec_of(encoding), errors), encoding)
    if elements is None:
        return None
    return [element if element.reason else element.value for element in elements]


def _fault(
    path: Path, data: bytes, encoding: str, error: UnicodeDecodeError | orjson.JSONDecodeError
) -> UserError:
    if isinstance(error, UnicodeDecodeError):
        line = data.count(b"\n", 0, error.start) + 1
        return UserError(
            f"not {encoding}, as the rest of the file is: byte {error.start + 1}",
            where=f"{path}:{line}",
            remedy="Save the file as UTF-8.",
        )
    lines = is_json_lines(path, encoding)
    return UserError(
        f"not JSON: {error.msg}",
        where=f"{path}:{error.lineno}:{error.colno}",
        remedy="Each line is an object of its own: use read.jsonl." if lines else "Mend the file there.",
    )


def _list_in(value: Any, path: Path) -> list[Any]:
    if isinstance(value, list):
        return value
    if not isinstance(value, dict):
        raise UserError(f"{path} holds a {type(value).__name__}, not a list of rows")
    lists = [name for name, inner in value.items() if isinstance(inner, list)]
    if fault := captions_of(value, path):
        raise fault
    if {"annotations", "categories"} <= value.keys() or {"annotations", "images"} <= value.keys():
        raise UserError(f"{path}: these are boxes as COCO has them", remedy=COCO)
    if len(lists) != 1:
        content = f"the lists {', '.join(lists)}" if lists else "no list"
        raise UserError(
            f"{path} is an object with {content}, so its rows cannot be told",
            remedy="Keep one list in it, or write the rows as an array. One object a line: read.jsonl.",
        )
    found_list: list[Any] = value[lists[0]]
    return found_list


def _block(file: str, values: list[Any], first: int, lenient: bool) -> Block:
    if set(map(type, values)) == {dict} and not (lenient and has_surrogates(values)):
        return Block(file, values, range(first, first + len(values)))
    rows, numbers, rejects = [], [], []
    for number, value in enumerate(values, first):
        if isinstance(value, Element):
            rejects.append(reject_at(file, number, value.reason, f"element {number}, {value.detail}"))
        elif not isinstance(value, dict):
            words = f"is {said(value)}, not an object with named values"
            rejects.append(reject_at(file, number, "not_an_object", f"element {number} {words}"))
        elif has_surrogates(value):
            words = "holds half of a surrogate pair, which is no character"
            rejects.append(reject_at(file, number, "bad_encoding", f"element {number} {words}"))
        else:
            rows.append(value)
            numbers.append(number)
    return Block(file, rows, numbers, rejects)
