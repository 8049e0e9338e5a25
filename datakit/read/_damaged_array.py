"""Elements of a JSON array of which some are damaged: the others are read, and each of these is told."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import Any

from datakit.read._encoded_lines import line_fault

_READER = json.JSONDecoder()
_GAP = re.compile(r"[\s\ufeff]*")
_NEXT = re.compile(r",[\s\ufeff]*(?=\{)")
_TEXT = r'"(?:[^"\\]|\\.)*"'
_MARK = re.compile(rf"{_TEXT}|[\[\]{{}},]", re.DOTALL)
"""What a value is made of: texts as a whole, and the signs between values."""
_NAME = re.compile(rf"[\s\ufeff]*({_TEXT})[\s\ufeff]*:[\s\ufeff]*", re.DOTALL)
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
        if not fault and not _is_followed(text, end, value):
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
        if fault or not _is_like(value, names) or not _is_followed(text, end, value):
            next_at = _next_like(text, at, last, names)
            end, value = next_at if next_at >= 0 else last, None
            fault = fault or "more follows after the value"
        elements.append(_element(value, fault, text[at:end], encoding, 1 + text.count("\n", 0, at)))
        end = _after_gap(text, end)
        at = _after_gap(text, end + 1) if text.startswith(",", end) else end
    return elements


def _is_like(value: Any, names: set[str]) -> bool:
    """Whether a value is an object with at least three quarters of the names."""
    return isinstance(value, dict) and 4 * len(names & value.keys()) >= 3 * len(names)


def _next_like(text: str, at: int, most: int, names: set[str]) -> int:
    """Where the gap before the next element with the usual names starts, at `most`; -1 where none is."""
    for gap in _NEXT.finditer(text, at, most):
        value = _value_at(text, gap.end())[0]
        if _is_like(value, names) and not _is_rest(value, names, _names_up_to(text, at, gap.start())):
            return gap.start()
    return -1


def _is_rest(value: dict[str, Any], names: set[str], before: set[str]) -> bool:
    """Whether an object is the rest of a damaged one: a brace before a name makes one of all others."""
    return bool(before & (names - value.keys())) and not before & value.keys()


def _names_up_to(text: str, at: int, end: int) -> set[str]:
    """The names of a damaged object's values that stand whole before `end`."""
    names: set[str] = set()
    at += text.startswith("{", at)
    while at < end and (name := _NAME.match(text, at, end)):
        _, value_end, fault = _value_at(text, name.end())
        if fault:
            break
        names.add(_said(name))
        at = _after_gap(text, value_end) + 1
    return names


def _value_at(text: str, at: int) -> tuple[Any, int, str]:
    """The value that stands there, where it ends, and what is wrong with it."""
    try:
        return *_READER.raw_decode(text, at), ""
    except (ValueError, RecursionError) as error:
        return None, at, getattr(error, "msg", "") or "a value that is too long or too deep"


def _is_followed(text: str, end: int, value: Any) -> bool:
    """Whether an element ends there: at the end of the list, or at a comma behind which it does not go on.

    It goes on with a name that it does not have: a brace too many closed it early. With one that it has
    begins another, whose opening brace is missing.
    """
    end = _after_gap(text, end)
    if not text.startswith(",", end):
        return text.startswith("]", end)
    name = _NAME.match(text, end + 1)
    return name is None or not isinstance(value, dict) or _said(name) in value


def _said(name: re.Match[str]) -> str:
    """A name without its quotation marks; as it stands there where it is damaged."""
    value, _, fault = _value_at(name.string, name.start(1))
    return name[1] if fault else str(value)


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
    next_at = _next_like(text, at, end if end >= 0 else len(text), names)
    if next_at >= 0:
        return next_at
    last = text.rfind("]")
    return end if end >= 0 else last if last > at and _is_end(text[last:], opening) else -1


def _is_whole(text: str, end: int) -> bool:
    """Whether the list ends there, or another element follows that may itself be damaged."""
    if text.startswith("]", end):
        return True
    following = _after_gap(text, end + 1)
    value, value_end, fault = _value_at(text, following)
    return text[following : following + 1] in ("{", "[") if fault else _is_followed(text, value_end, value)


def _balanced_end(text: str, at: int) -> int:
    """Where the next comma, or the end of the list, stands outside of texts, lists and objects."""
    depth = 0
    for mark in _MARK.finditer(text, at):
        if mark[0] in ("{", "["):
            depth += 1
        elif depth == 0 and mark[0] in (",", "]") and _ends(text, at, mark.start()):
            return mark.start()
        elif mark[0] in ("}", "]"):
            depth = max(0, depth - 1)  # a bracket too many closes nothing
    return -1


def _ends(text: str, at: int, end: int) -> bool:
    """Whether a damaged element ends at a comma: behind it stands no name that this one does not have."""
    return _is_followed(text, end, dict.fromkeys(_names_up_to(text, at, end)))


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
