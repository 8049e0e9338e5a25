"""A model's answer read as the one text that was asked for, however it was wrapped."""

from __future__ import annotations

import re
from typing import Any

import orjson

VERSION = 1
"""Raised when the same raw answer is read as another text. Answers are stored raw: reading again is free."""

_FENCE = re.compile(r"```(?:json|JSON)?\s*\n?(.*?)```", re.DOTALL)
_THOUGHT = re.compile(r"<think>.*?</think>", re.DOTALL)
_WHITE = re.compile(r"\s*\n\s*")


def schema_of(field: str) -> dict[str, Any]:
    """The JSON schema of an object with one text."""
    return {
        "type": "object",
        "properties": {field: {"type": "string"}},
        "required": [field],
        "additionalProperties": False,
    }


def read_text(raw: str, field: str) -> str | None:
    """The text under `field`, on one line; None when the answer has no such text.

    Takes a bare JSON object, one in a code fence, and one with words around it. An object with a single
    text under another name is taken as well (models translate field names). An answer without any object
    is not: plain prose may be a refusal or a question.
    """
    for candidate in _candidates(_THOUGHT.sub("", raw)):
        try:
            value = orjson.loads(candidate)
        except orjson.JSONDecodeError:
            continue
        text = _text_in(value, field)
        if text is not None:
            return text
    return None


def _candidates(raw: str) -> list[str]:
    found = [raw.strip(), *(inner.strip() for inner in _FENCE.findall(raw))]
    first, last = raw.find("{"), raw.rfind("}")
    if 0 <= first < last:
        inner = raw[first : last + 1]
        # Line breaks inside a JSON string are the commonest fault of small models.
        found += [inner, _WHITE.sub(" ", inner)]
    return found


def _text_in(value: Any, field: str) -> str | None:
    if isinstance(value, list) and len(value) == 1:
        value = value[0]
    if not isinstance(value, dict):
        return None
    text = value.get(field)
    if text is None and len(value) == 1:
        (text,) = value.values()
    if not isinstance(text, str):
        return None
    return _one_line(text) or None


def _one_line(text: str) -> str:
    """Without line breaks: none between Chinese characters, a space between others."""
    parts = [part.strip() for part in text.splitlines() if part.strip()]
    line = ""
    for part in parts:
        join = " " if line and line[-1].isascii() and part[0].isascii() else ""
        line += join + part
    return line
