"""Elements of a JSON array of which some are damaged: the others are read, and each of these is told."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import Any

from datakit.read._encoded_lines import line_fault

_READER = json.JSONDecoder()
_GAP = re.compile(r"[\s\ufeff]*")
_MARK = re.compile(r'"(?:[^"\\]|\\.)*"|[\[\]{},]', re.DOTALL)
"""What a value is made of: texts as a whole, and the signs between values."""
_NEXT = re.compile(r",[\s\ufeff]*(?=\{)")
_LIST = re.compile(r'[\s\ufeff]*(\{(?:\s*"[^"\\]*"\s*:\s*(?:"[^"\\]*"|[\w.+-]+)\s*,)*\s*"[^"\\]*"\s*:\s*)?\[')
"""The array itself, or an object in which it stands after plain values."""
_LOOKED_AT = 50
"""Objects that say which names a record has, where the first element is damaged."""


@dataclass(frozen=True, slots=True)
class Element:
    """A value of the array, or why it has none."""

    value: Any = None
    reason: str = ""
    detail: str = ""


def elements_of(text: str, encoding: str) -> list[Element] | None:
    """The elements of the only list of a document, one after the other; None where no list can be followed.

    An element is damaged when it is no JSON or holds signs that are not in the encoding. It ends where the
    next begins: at a comma outside of texts, lists and objects, or before that at an object with the names
    of the others, where a quotation mark or a bracket is missing.
    """
    start = _LIST.match(text)
    if start is None:
        return None
    opening = start[1] or ""
    elements = _one_after_another(text, encoding, start.end(), opening)
    return elements or _between_like_ones(text, encoding, start.end(), opening)


def _one_after_another(text: str, encoding: str, start: int, opening: str) -> list[Element] | None:
    """The elements by their commas and brackets; None where these do not come out even."""
    elements: list[Element] = []
    names: set[str] = set()
    at = _after_gap(text, start)
    line, counted = 1, 0
    while text[at : at + 1] not in ("]", ""):
        line, counted = line + text.count("\n", counted, at), at
        value, end, fault = _value_at(text, at)
        if not _is_followed(text, end) and not fault:
            if isinstance(value, dict) and text.startswith("{", _after_gap(text, end)):
                return None  # no comma between two that are whole
            fault = "more follows after the value"
        if fault and (end := _end_of(text, at, names or _usual_names(text), opening)) < 0:
            return None
        elements.append(_element(value, fault, text[at:end], encoding, line))
        names |= value.keys() if isinstance(value, dict) and not fault else set()
        end = _after_gap(text, end)
        at = _after_gap(text, end + 1) if text.startswith(",", end) else end
    return elements if _is_end(text[at:], opening) else None


def _between_like_ones(text: str, encoding: str, start: int, opening: str) -> list[Element] | None:
    """The elements by their names: what stands between two with the usual ones is one that is damaged."""
    names = _usual_names(text)
    last = text.rfind("]")
    if not names or last < start or not _is_end(text[last:], opening):
        return None
    elements: list[Element] = []
    at = _after_gap(text, start)
    while at < last:
        value, end, fault = _value_at(text, at)
        if fault or not _is_like(value, names) or not _is_followed(text, end):
            gaps = (
                gap
                for gap in _NEXT.finditer(text, at, last)
                if _is_like(_value_at(text, gap.end())[0], names)
            )
            gap = next(gaps, None)
            end, value, fault = gap.start() if gap else last, None, fault or "more follows after the value"
        elements.append(_element(value, fault, text[at:end], encoding, 1 + text.count("\n", 0, at)))
        end = _after_gap(text, end)
        at = _after_gap(text, end + 1) if text.startswith(",", end) else end
    return elements


def _is_like(value: Any, names: set[str]) -> bool:
    """Whether a value is an object with at least three quarters of the names."""
    return isinstance(value, dict) and 4 * len(names & value.keys()) >= 3 * len(names)


def _value_at(text: str, at: int) -> tuple[Any, int, str]:
    """The value that stands there, where it ends, and what is wrong with it."""
    try:
        return *_READER.raw_decode(text, at), ""
    except (ValueError, RecursionError) as error:
        return None, at, getattr(error, "msg", "") or "a value that is too long or too deep"


def _is_followed(text: str, end: int) -> bool:
    return text[(end := _after_gap(text, end)) : end + 1] in (",", "]")


def _element(value: Any, fault: str, text: str, encoding: str, line: int) -> Element:
    if damage := line_fault(text, encoding):
        return Element(None, "bad_encoding", f"line {line}, {damage}")
    return Element(None, "bad_json", f"line {line}: {fault}") if fault else Element(value)


def _after_gap(text: str, at: int) -> int:
    gap = _GAP.match(text, at)
    return gap.end() if gap else at


def _end_of(text: str, at: int, names: set[str], opening: str) -> int:
    """Where a damaged element ends; -1 where nothing says so."""
    end = _balanced_end(text, at)
    if end < 0 or not _is_whole(text, end):
        end = -1
    for gap in _NEXT.finditer(text, at, end if end >= 0 else len(text)):
        if _is_like(_value_at(text, gap.end())[0], names):
            return gap.start()
    last = text.rfind("]")
    return end if end >= 0 else last if last > at and _is_end(text[last:], opening) else -1


def _is_whole(text: str, end: int) -> bool:
    """Whether the list ends there, or another element follows that may itself be damaged."""
    if text.startswith("]", end):
        return True
    following = _after_gap(text, end + 1)
    _, value_end, fault = _value_at(text, following)
    return text[following : following + 1] in ("{", "[") if fault else _is_followed(text, value_end)


def _balanced_end(text: str, at: int) -> int:
    """Where the next comma, or the end of the list, stands outside of texts, lists and objects."""
    depth = 0
    for mark in _MARK.finditer(text, at):
        if mark[0] in ("{", "["):
            depth += 1
        elif depth == 0 and mark[0] in (",", "]"):
            return mark.start()
        elif mark[0] in ("}", "]"):
            depth = max(0, depth - 1)  # a bracket too many closes nothing
    return -1


def _usual_names(text: str) -> set[str]:
    """The names of the longest of the first objects: what stands inside of one is shorter."""
    places = [gap.end() for gap, _ in zip(_NEXT.finditer(text), range(_LOOKED_AT), strict=False)]
    values = (_value_at(text, place) for place in places)
    objects = [(end - place, value) for place, (value, end, _) in zip(places, values, strict=True) if value]
    return set(max(objects, key=lambda sized: sized[0])[1]) if objects else set()


def _is_end(rest: str, opening: str) -> bool:
    """Whether nothing that holds records follows the list."""
    if not opening:
        return not rest[1:].strip()
    try:
        others = json.loads('{"": 0' + rest[1:])
    except ValueError:
        return False
    return not any(isinstance(value, list) for value in others.values())
