"""The personal data of one record: found in all of its texts together, and masked in each."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from datakit.core.transform import Row
from datakit.personal.finding import find, replaced
from datakit.personal.spans import STARS, Kind, Span

_ROUNDS = 4
"""Times that a masked text is looked through at most: what a mask sets free may be a find of its own."""
_LEAST = {"address": 5, "name": 2}
"""Shortest value of a kind that is looked for in other texts; 6 for the others."""
TEXT_KEYS = ("text", "label", "content")
"""What holds a text in the entries of a list."""


@dataclass
class Found:
    """What is personal in a record."""

    values: dict[str, Row] = field(default_factory=dict)
    """Column -> its new value, where it has one."""
    counts: Counter[Kind] = field(default_factory=Counter)
    """Different values of each kind."""
    first: str = ""
    """Kind, mask and column of the first, for people."""
    boxes: list[Row] = field(default_factory=list)
    """Image and box of each line on a picture that holds some."""


def lines_and_text(fields: Sequence[str]) -> Iterator[tuple[str, ...]]:
    """The fields in their order, what OCR read as lines and as one text together."""
    for name in fields:
        if name.removesuffix("_text") != name and name.removesuffix("_text") in fields:
            continue
        yield (name, f"{name}_text") if f"{name}_text" in fields else (name,)


class RecordMasker:
    """Masks the texts of records, one record at a time."""

    def __init__(self, fields: Sequence[str], kinds: Collection[Kind]) -> None:
        self._groups = tuple(lines_and_text(fields))
        self._kinds = frozenset(kinds)

    def __call__(self, row: Mapping[str, Any]) -> Found:
        """What is found. A value that words name in one column is masked in that and all later ones, where
        nothing names it: 收件人：张伟 read by OCR makes 张伟 of the reason 张*."""
        found, known, counted = Found(), dict[str, Span](), set[tuple[Kind, str]]()
        for group in self._groups:
            texts = {name: _Texts(row[name]) for name in group if row.get(name)}
            spans = {name: find(text.joined, self._kinds) for name, text in texts.items()}
            for name, text in texts.items():
                for span in spans[name]:
                    for value, mask in _values(text.joined, span):
                        known.setdefault(value, span._replace(mask=mask))
            for name, text in texts.items():
                places = _with_known(text.joined, spans[name], known)
                for span in places:
                    identity = (span.kind, span.mask)
                    if identity not in counted:
                        counted.add(identity)
                        found.counts[span.kind] += 1
                    shown = span.mask.replace("\n", " ")
                    found.first = found.first or f"{span.kind} {shown} in `{name}`"
                if places:
                    found.values[name] = self._masked(text, places)
                    found.boxes += text.boxes(places)
        return found

    def _masked(self, text: _Texts, places: Sequence[Span]) -> Any:
        for _ in range(_ROUNDS):
            value = text.masked(places)
            text = _Texts(value)
            if not (places := find(text.joined, self._kinds)):
                break
        return value


class _Texts:
    """The texts of a column's value as one: a text, the lines of OCR, or the turns of a chat."""

    def __init__(self, value: Any) -> None:
        self.value = value
        self._places: list[tuple[int, int, int, str]] = []
        """Start and end in the whole, number of the entry, and the key that holds the text."""
        if isinstance(value, str):
            self.joined = value
            return
        pieces, at = list[str](), 0
        before: Mapping[str, Any] = {}
        for number, entry in enumerate(value):
            for key in TEXT_KEYS:
                text = entry.get(key) if entry is not None else None
                if not isinstance(text, str):
                    continue
                if pieces:
                    between = " " if _on_one_line(before, entry) else "\n" if "box" in entry else "\n\n。\n"
                    pieces.append(between)
                    at += len(between)
                pieces.append(text)
                self._places.append((at, at + len(text), number, key))
                at += len(text)
            before = entry or {}
        self.joined = "".join(pieces)

    def masked(self, spans: Sequence[Span]) -> Any:
        """The value with masks in these places. Of one that goes on in the next line, the rest are stars."""
        if isinstance(self.value, str):
            return replaced(self.joined, spans)
        entries = [None if entry is None else dict(entry) for entry in self.value]
        for start, end, number, key in self._places:
            own = [
                Span(
                    span.kind,
                    max(span.start, start) - start,
                    min(span.end, end) - start,
                    _part(span, is_first=span.start >= start),
                )
                for span in spans
                if span.overlaps(start, end)
            ]
            if own:
                entries[number][key] = replaced(entries[number][key], own)  # type: ignore[index]
        return entries

    def boxes(self, spans: Sequence[Span]) -> list[Row]:
        """The boxes of the lines that hold some of these places."""
        touched = {
            number
            for start, end, number, _ in self._places
            if any(span.overlaps(start, end) for span in spans)
        }
        return [
            {"image": int(entry.get("image") or 0), "box": [float(side) for side in entry["box"]]}
            for entry in (self.value[number] for number in sorted(touched))
            if entry.get("box") and len(entry["box"]) == 4
        ]


def _part(span: Span, *, is_first: bool) -> str:
    """The mask of a line's part of a place."""
    return span.mask.split("\n")[0] if is_first else STARS


def _on_one_line(first: Mapping[str, Any], second: Mapping[str, Any]) -> bool:
    """Whether two boxes stand beside each other: the middle of each is within the height of the other."""
    one, other = first.get("box"), second.get("box")
    if not one or not other or (first.get("image") or 0) != (second.get("image") or 0):
        return False
    middle = (other[1] + other[3]) / 2
    return bool(one[1] < middle < one[3] and other[1] < (one[1] + one[3]) / 2 < other[3])


def _values(text: str, span: Span) -> Iterator[tuple[str, str]]:
    """The ways in which a value may stand in other texts, each with its mask."""
    value = text[span.start : span.end]
    if span.kind == "name" and len(value) == 1:  # a surname alone is only one with its title
        title = text[span.end : span.end + 2]
        yield value + title, span.mask + title
        return
    if len(value) < _LEAST.get(span.kind, 6) or "\n" in value:
        joined = value.replace("\n", "")
        if "\n" in value and len(joined) >= _LEAST.get(span.kind, 6):
            yield joined, STARS
        return
    yield value, span.mask
    compact = re.sub(r"[ -]", "", value)
    if compact != value and len(compact) >= _LEAST.get(span.kind, 6):
        yield compact, span.mask


def _with_known(text: str, spans: Sequence[Span], known: Mapping[str, Span]) -> list[Span]:
    """The places with those of values that were found elsewhere, the longest first."""
    places = list(spans)
    for value in sorted(known, key=len, reverse=True):
        at = text.find(value)
        while at >= 0:
            end = at + len(value)
            inside = (text[max(0, at - 1) : at + 1].isdigit() and at > 0) or (
                text[end - 1 : end + 1].isdigit() and end < len(text)
            )
            if not inside and not any(span.overlaps(at, end) for span in places):
                places.append(Span(known[value].kind, at, end, known[value].mask))
            at = text.find(value, end)
    return sorted(places, key=lambda span: span.start)
