"""Columns that say which answers are wanted, where supervised training learns every answer all the same."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from datakit.checking.columns import NULL, ColumnTypes
from datakit.checking.data_set import DataSet
from datakit.core.training_columns import KTO, MARK_NAMES, are_marks, mark_of, plain_name

_OWN = frozenset(map(plain_name, MARK_NAMES))
_LABELS = frozenset(map(plain_name, KTO.names))
_REJECTED = frozenset(map(plain_name, ("rejected", "rejected_response", "rejected_messages")))
_MOST_VALUES = 12


class Marks:
    """The marks in the rows of one file, seen so far."""

    def __init__(self, data_set: DataSet) -> None:
        self._data_set, self._tag = data_set, data_set.columns.get("kto_tag")
        self._values: dict[str, list[Any]] = {}
        self._may_mark: dict[str, bool] = {}

    def add(self, row: dict[str, Any]) -> None:
        """Takes a row in."""
        for name, value in row.items():
            if name not in self._may_mark:
                self._may_mark[name] = name == self._tag or plain_name(name) in _OWN | _LABELS
            if value is None or not self._may_mark[name]:
                continue
            values = self._values.setdefault(name, [])
            if len(values) <= _MOST_VALUES and not any(value is old or value == old for old in values):
                values.append(value)

    def ignored(self, types: ColumnTypes) -> Iterator[str]:
        """What each column says that the trainer does not look at.

        Of the column that the entry names as `kto_tag` that is what is not true or false: rows with those
        are dropped. A text under `label` is a class.
        """
        name_of_set, mapped = self._data_set.name, set(self._data_set.mapped().values())
        for name, values in self._values.items():
            if name == self._tag:
                odd = next((value for value in values if _is_false(value) and value is not False), None)
                if odd is not None:
                    yield f"`{name_of_set}` marks answers as unwanted by `{name}: {odd!r}`, which is no false"
            elif name not in mapped and any(map(_is_false, values)) and _says_wanted(name, values):
                yield f"`{name_of_set}` marks answers as unwanted by `{name}`, which the entry does not name"
        for name, kind in types.kinds.items():
            if plain_name(name) in _REJECTED and name not in mapped and kind not in (NULL, ("list", NULL)):
                yield f"`{name_of_set}` has `{name}`, answers that others are preferred to"


def _is_false(value: Any) -> bool:
    return mark_of(value) is False


def _says_wanted(name: str, values: list[Any]) -> bool:
    is_plain = not any(isinstance(value, str | list | dict) for value in values)
    return plain_name(name) in _OWN or (is_plain and are_marks(values))
