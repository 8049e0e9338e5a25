"""JSON objects and lists in a model's text, each with its place; nothing out of a broken one."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

_STRING = r'"(?:[^"\\]|\\.)*"'
_TRAILING_COMMA = re.compile(rf"({_STRING})|,(\s*[}}\]])", re.DOTALL)
_BEGINS_AS_JSON = re.compile(r'\{\s*(?:["\'}]|\w+\s*:)|\[\s*[\[{"\'\]\d-]')
_TOKEN = re.compile(rf"{_STRING}|[{{}}\[\]\"]", re.DOTALL)
_MOST_OBJECTS = 200
"""Opening braces that are tried: an endless answer of braces must not cost seconds."""


@dataclass(frozen=True, slots=True)
class JsonObject:
    """A value of a text and where it stands, in characters."""

    value: Any
    start: int
    end: int


def objects(text: str) -> Iterator[JsonObject]:
    """JSON objects and lists in the text, the outermost, in order.

    What begins like one and cannot be read is passed over as a whole, with all that it holds: an object
    inside may be a draft, an example or a part. Where it ends nobody can tell when its quotes are wrong;
    then nothing behind it is taken. Braces around words (`{备注}`, `[图1]`) are words.
    """
    at, tried = 0, 0
    while (at := _next_brace(text, at)) >= 0 and tried < _MOST_OBJECTS:
        tried += 1
        value, end = decoded(text, at)
        if end:
            yield JsonObject(value, at, end)
        elif _BEGINS_AS_JSON.match(text, at):
            end = _end_of_broken(text, at)
            if not end:
                return
        at = end or at + 1


def decoded(text: str, at: int) -> tuple[Any, int]:
    """The JSON value that begins at a place and where it ends; (None, 0) when there is none."""
    try:
        return _DECODER.raw_decode(text, at)
    except (ValueError, RecursionError):
        pass
    mended = _TRAILING_COMMA.sub(lambda match: match[1] or match[2], text[at:])
    if len(mended) == len(text) - at:
        return None, 0
    try:
        value, end = _DECODER.raw_decode(mended)
    except (ValueError, RecursionError):
        return None, 0
    return value, len(text) - len(mended) + end if not mended[end:].strip() else _end_of_broken(text, at)


def begins_json(text: str) -> bool:
    """Whether something that looks like a JSON value begins in the text."""
    return _BEGINS_AS_JSON.search(text) is not None


def _next_brace(text: str, start: int) -> int:
    places = [place for place in (text.find("{", start), text.find("[", start)) if place >= 0]
    return min(places, default=-1)


def _end_of_broken(text: str, at: int) -> int:
    """Where the brackets that open at a place are closed again, not counting those in texts; 0 if nowhere."""
    depth = 0
    for match in _TOKEN.finditer(text, at):
        token = match[0]
        if token == '"':  # a quote without its end
            return 0
        depth += (token in "{[") - (token in "}]")
        if depth <= 0:
            return match.end()
    return 0


def _pairs(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """The object; a name that stands there twice with two values has none."""
    values: dict[str, Any] = {}
    for name, value in pairs:
        values[name] = None if name in values and values[name] != value else value
    return values


_DECODER = json.JSONDecoder(strict=False, parse_constant=lambda name: None, object_pairs_hook=_pairs)
"""Not strict: line breaks inside a text are the commonest fault of small models. NaN and Infinity are read as
null, so that they void no value beside them."""
