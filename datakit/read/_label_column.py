"""The labels of a source as they are meant: without signs that nobody sees, none where none was given."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

from datakit.core.labels import LabelSet, says_nothing, shown, visible_form
from datakit.core.visible import without_controls

_MOST_NAMED = 5
_CLASS_CHARS = 100
"""A label that is longer, or has several lines, is a text and no class: it stays as it is."""


class LabelColumn:
    """Cleans the labels of a source, block by block, and counts what was changed."""

    def __init__(self, labels: LabelSet | None, *, words_for_none: bool = True) -> None:
        self._labels, self._words_for_none = labels, words_for_none
        self._same: set[str] = set()
        self._changed: dict[str, str | None] = {}
        self._counts: Counter[str] = Counter()
        self._numbers: set[float] = set()
        self._hiding: set[str] = set()
        """Names of the label file with signs that nobody sees, which some value stands for."""

    def cleaned(self, values: Sequence[str | None]) -> Sequence[str | None]:
        """The labels; null for a word that says that there is none."""
        for value in {*values} - self._same - self._changed.keys():
            if value is not None:
                self._learn(value)
        if self._changed.keys().isdisjoint(values):
            return values
        self._counts.update(value for value in values if value in self._changed)
        return [self._changed.get(value, value) if value is not None else None for value in values]

    def note_numbers(self, values: Sequence[Any]) -> None:
        """Takes in class numbers of a typed source that names no classes."""
        for value in {*values} - self._numbers - {None}:
            if self._labels is None or self._labels.find(str(value)) is None:
                self._numbers.add(value)

    def warnings(self) -> list[str]:
        """What was done to labels, one line for each kind."""
        missing = {label: self._counts[label] for label, meant in self._changed.items() if meant is None}
        folded = {label: self._counts[label] for label, meant in self._changed.items() if meant is not None}
        lines = []
        if self._numbers:
            some = ", ".join(map(str, sorted(self._numbers)[:_MOST_NAMED]))
            more = " …" if len(self._numbers) > _MOST_NAMED else ""
            lines.append(
                f"the labels are numbers without names ({some}{more}): make each an alias of a name in the "
                "label file, so that the model learns words"
            )
        if missing:
            lines.append(
                f"{_many(missing)} read as none, by a word for no value: "
                f"{_named(missing)}. A class of that name must stand in the label file"
            )
        if folded:
            lines.append(f"{_many(folded)} read without hidden signs and odd blanks: {_named(folded)}")
        if self._hiding:
            names = ", ".join(f"`{shown(name)[:60]}`" for name in sorted(self._hiding)[:_MOST_NAMED])
            more = " …" if len(self._hiding) > _MOST_NAMED else ""
            lines.append(
                f"the label file has signs that nobody sees, or odd blanks, in {names}{more}: answers are "
                "learnt with them. Take them out there"
            )
        return lines

    def _learn(self, label: str) -> None:
        is_class = len(label) <= _CLASS_CHARS and "\n" not in label.strip()
        clean = visible_form(without_controls(label)) if is_class else label
        known = self._labels.find(clean) if self._labels is not None else None
        if known is not None and visible_form(known.name) != known.name:
            self._hiding.add(known.name)
        if self._words_for_none and says_nothing(clean) and known is None:
            self._changed[label] = None
        elif clean != label:
            self._changed[label] = clean
        else:
            self._same.add(label)


def without_blank_lists(values: Sequence[Any]) -> Sequence[Any]:
    """The values of a label column; null for a list or an object that holds nothing, and for NaN."""
    if set(map(type, values)) <= {str, int, type(None)}:
        return values
    return [None if value in ([], {}, ()) or value != value else value for value in values]


def _many(counts: dict[str, int]) -> str:
    count = sum(counts.values())
    return f"{count:,} label{'s are' if count > 1 else ' is'}"


def _named(counts: dict[str, int]) -> str:
    most = sorted(counts.items(), key=lambda item: (-item[1], item[0]))[:_MOST_NAMED]
    names = ", ".join(f"`{shown(label)[:60]}` {count:,}" for label, count in most)
    return names + (f" and {len(counts) - _MOST_NAMED:,} more" if len(counts) > _MOST_NAMED else "")
