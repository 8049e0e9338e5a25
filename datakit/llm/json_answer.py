"""A model's answer read against the schema that was asked for, however it was wrapped."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator
from typing import Any

from datakit.core.labels import normal_form
from datakit.llm.answer_schema import AnswerSchema, Kind
from datakit.llm.thoughts import parted

VERSION = 3
"""Raised when the same raw answer is read as other values. Not part of any key of the result store: answers
are stored raw, and reading them again is free. Builds are made anew."""

_THOUGHT = re.compile(r"\A\s*<think>.*?</think>|\A.*</think>", re.DOTALL)
_TRAILING_COMMA = re.compile(r",(\s*[}\]])")
_ONE_TEXT = re.compile(r'\{\s*"[^"\n]{1,64}"\s*[:：]\s*"(.+)"\s*,?\s*\}\s*\Z', re.DOTALL)
_NEXT_VALUE = re.compile(r'"\s*[,:，：]\s*"|"\s*[:：]\s*[\[{\d]|[}\]]\s*,?\s*"')
_FENCED = re.compile(r"\A```\w*\s*(.*?)\s*```\Z", re.DOTALL)
_DEEPEST = 2
"""Single names that are looked under, one inside another."""
_MOST_OBJECTS = 200
"""Opening braces that are tried: an endless answer of braces must not cost seconds."""


def read(raw: str, schema: AnswerSchema) -> dict[str, Any] | None:
    """The values that the schema names; None when the answer holds no such object.

    Taken are a bare JSON object, one in a code fence, one with words or thoughts around it (of several the
    last: models repeat the format first), one inside a list or under a single name, one that is written as a
    JSON text (encoded twice), one with line breaks or bare quotes inside a text or with a comma too many. An
    object with one text under another name is taken for the one text that was asked for (models translate
    names). Surplus names are dropped, and NaN is no value.

    Faults, so that nothing wrong passes for an answer: a missing value, a blank text, a value of another
    type (the text "3" is no number), a text outside the choices (width, case and white space are forgiven),
    and prose without any object, which may be a refusal or a question.
    """
    for text in _without_thoughts(raw):
        values = None
        for value in _objects(text):
            values = _matched(value, schema) or values
        if values is None and len(schema.values) == 1:
            values = _bare_quotes(text, schema)
        if values is None and (inner := _decoded_text(text)) is not None:
            values = read(inner, schema)
        if values is not None:
            return values
    return None


def _without_thoughts(raw: str) -> Iterator[str]:
    """What follows the model's thinking; else where version 2, which knew `<think>` alone, found answers.

    Those are in a thought that was never closed, in front of another tag, and the whole of what begins as an
    answer does. What it read and a store keeps must stay readable.
    """
    answer = parted(raw).answer
    yield answer
    if answer != raw.strip():
        yield _THOUGHT.sub("", raw, count=1).strip()
        if "</think>" in raw and raw.lstrip().startswith(("{", "[", "```")):
            yield raw


def _decoded_text(text: str) -> str | None:
    """The text that a JSON text holds, in a code fence or not; None when the text is no such thing."""
    fenced = _FENCED.match(text)
    quoted = fenced[1] if fenced else text
    if not quoted.startswith('"'):
        return None
    try:
        value = _DECODER.decode(quoted)
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, str) and "{" in value and value != text else None


def _objects(text: str) -> Iterator[Any]:
    """JSON objects and lists in the text, outermost first found, in order."""
    at, tried = 0, 0
    while (at := _next_brace(text, at)) >= 0 and tried < _MOST_OBJECTS:
        tried += 1
        value, end = _decoded(text, at)
        if end:
            yield value
        at = end or at + 1


def _next_brace(text: str, start: int) -> int:
    places = [place for place in (text.find("{", start), text.find("[", start)) if place >= 0]
    return min(places, default=-1)


def _decoded(text: str, at: int) -> tuple[Any, int]:
    """The JSON value that begins at a place and where it ends; (None, 0) when there is none."""
    try:
        return _DECODER.raw_decode(text, at)
    except (ValueError, RecursionError):
        pass
    mended = _TRAILING_COMMA.sub(r"\1", text[at:])
    if len(mended) == len(text) - at:
        return None, 0
    try:
        value, _ = _DECODER.raw_decode(mended)
    except (ValueError, RecursionError):
        return None, 0
    return value, len(text)


_DECODER = json.JSONDecoder(strict=False, parse_constant=lambda name: None)
"""Not strict: line breaks inside a text are the commonest fault of small models. NaN and Infinity are read as
null, so that they void no value beside them."""


def _matched(value: Any, schema: AnswerSchema, depth: int = 0) -> dict[str, Any] | None:
    if isinstance(value, list) and len(value) == 1:
        value = value[0]
    if not isinstance(value, dict):
        return None
    values = {name: _value(value.get(name), kind) for name, kind in schema.values}
    if all(item is not None for item in values.values()):
        only = values[schema.names[0]]
        twice = _object_in(only) if len(values) == 1 and isinstance(only, str) and depth < _DEEPEST else None
        return (_matched(twice, schema, depth + 1) or values) if _names(twice, schema) else values
    if len(value) != 1 or schema.names[0] in value:
        return None
    (inner,) = value.values()
    if isinstance(inner, str) and (held := _object_in(inner)) is not None:
        within = _matched(held, schema, depth + 1) if depth < _DEEPEST else None
        if within is not None:
            return within
    if isinstance(inner, dict | list) and depth < _DEEPEST:
        return _matched(inner, schema, depth + 1)
    if len(schema.values) == 1:
        ((name, kind),) = schema.values
        text = _value(inner, kind)
        return None if text is None else {name: text}
    return None


def _names(value: Any, schema: AnswerSchema) -> bool:
    return isinstance(value, dict) and schema.names[0] in value


def _object_in(text: str) -> Any:
    """The JSON object or list that a text is as a whole; None when it is something else."""
    text = text.strip()
    if not text.startswith(("{", "[")):
        return None
    value, end = _decoded(text, 0)
    return value if end == len(text) else None


def _value(value: Any, kind: Kind) -> Any:
    """The value as the kind demands it; None when it is something else."""
    if isinstance(kind, tuple):
        return _choice(value, kind)
    if kind == "boolean":
        return value if isinstance(value, bool) else None
    if kind == "number":
        return _number(value)
    if kind == "list":
        if not isinstance(value, list):
            return None
        items = [_text(item) for item in value]
        return None if None in items else items
    if kind == "note" and (value is None or (isinstance(value, str) and not value.strip())):
        return ""
    text = _text(value)
    return text if text is None or kind == "text" else one_line(text)


def _number(value: Any) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    try:
        number = float(value)
    except OverflowError:
        return None
    return number if math.isfinite(number) else None


def _text(value: Any) -> str | None:
    """A text that says something and can be written as UTF-8 (JSON allows halves of a character)."""
    if not isinstance(value, str) or not (text := value.strip()):
        return None
    try:
        text.encode()
    except UnicodeEncodeError:
        return None
    return text


def _choice(value: Any, choices: tuple[str, ...]) -> str | None:
    if not isinstance(value, str):
        return None
    if value in choices:
        return value
    form = normal_form(value)
    return next((choice for choice in choices if normal_form(choice) == form), None)


def _bare_quotes(text: str, schema: AnswerSchema) -> dict[str, Any] | None:
    """One text whose inner quotes were not escaped: {"reason": "写着"已签收"字样"}."""
    ((name, kind),) = schema.values
    first, last = text.find("{"), text.rfind("}")
    if kind not in ("text", "line") or not 0 <= first < last:
        return None
    match = _ONE_TEXT.match(text[first : last + 1])
    if match is None or _NEXT_VALUE.search(match[1]):
        return None
    value = _value(match[1].replace('\\"', '"').replace("\\n", "\n"), kind)
    return None if value is None else {name: value}


def one_line(text: str) -> str:
    """Without line breaks: none between Chinese characters, a space between others."""
    parts = [part.strip() for part in text.splitlines() if part.strip()]
    line = ""
    for part in parts:
        join = " " if line and line[-1].isascii() and part[0].isascii() else ""
        line += join + part
    return line
