"""JSON texts -> values, with every digit of long numbers and with what Python's own writer leaves.

orjson reads whole numbers beyond 64 bits as floats, which lose digits, and refuses NaN, Infinity and halves
of surrogate pairs. Texts that hold such go through Python's parser, which takes five times as long.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from contextlib import suppress
from itertools import chain
from typing import Any

import orjson

_CLASSES = bytes(
    ord("0") if sign in b"0123456789" else ord(".") if sign in b":[,- \t\r\n" else ord("x")
    for sign in range(256)
)
_SURROGATE = re.compile("[\ud800-\udfff]")
_PLAIN = {str, int, bool, type(None)}
"""What long numbers are never read as: they become floats."""
_LONG_NUMBER = b"." + b"0" * 19
"""How a number begins that has 19 digits or more, which may be beyond 64 bits."""


def json_values(lines: Sequence[bytes]) -> list[Any]:
    """The value of each line. Raises orjson.JSONDecodeError when one is no JSON."""
    values = list(map(orjson.loads, lines))
    if not _are_plain(values) and _may_hold_long_numbers(b"".join(lines)):
        for at, line in enumerate(lines):
            if _may_hold_long_numbers(line):
                with suppress(ValueError, RecursionError):  # more digits than Python reads: 4,300
                    values[at] = json.loads(line)
    return values


def json_value(text: str | bytes) -> tuple[Any, bool]:
    """The value of a text, and whether it may hold halves of surrogate pairs (`has_surrogates`).

    Raises orjson.JSONDecodeError when it is no JSON.
    """
    data = text.encode() if isinstance(text, str) else text
    try:
        return json_values([data])[0], False
    except orjson.JSONDecodeError:
        with suppress(ValueError, RecursionError):
            return json.loads(text), True
        raise


def has_surrogates(value: Any) -> bool:
    """Whether a text in the value holds half of a surrogate pair."""
    if type(value) is str:
        return _SURROGATE.search(value) is not None
    if type(value) is dict:
        return any(has_surrogates(name) or has_surrogates(inner) for name, inner in value.items())
    return type(value) is list and any(map(has_surrogates, value))


def _are_plain(values: Sequence[Any]) -> bool:
    """Whether all are rows of texts and whole numbers as they stand: told in a tenth of the time."""
    if set(map(type, values)) != {dict}:
        return False
    return set(map(type, chain.from_iterable(map(dict.values, values)))) <= _PLAIN


def _may_hold_long_numbers(data: bytes) -> bool:
    """Whether a number of 19 digits may stand somewhere: told at 1 GB/s (2026-11-26)."""
    return _LONG_NUMBER in data.translate(_CLASSES)


def said(value: Any) -> str:
    """What a value is, in the words of JSON.

    >>> said(None), said([1]), said("a")
    ('null', 'a list', 'a text')
    """
    if isinstance(value, bool):
        return "true or false"
    words = {type(None): "null", list: "a list", str: "a text", dict: "an object"}
    return words.get(type(value), "a number")
