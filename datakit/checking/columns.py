"""The types of a file's columns, as Arrow infers them: one type a column, or the file does not load."""

from __future__ import annotations

from typing import Any

NULL, BOOL, NUMBER, TEXT = "null", "true or false", "number", "text"
Kind = str | tuple[str, Any]
"""A plain kind, `("list", kind)` or `("object", {name: kind})`."""


class Mixed(Exception):
    """Two values of one place that have no common type."""


class ColumnTypes:
    """The kinds of the columns seen so far."""

    def __init__(self) -> None:
        self.kinds: dict[str, Kind] = {}
        self._first: dict[str, Kind] | None = None

    def add(self, row: dict[str, Any]) -> str | None:
        """Takes a row in. Says what is wrong with the first value that has no common type with its column."""
        kinds = self.kinds
        for name, value in row.items():
            kind = kinds.get(name)
            if kind is not None and _fits(kind, value):
                continue
            try:
                kinds[name] = _merged(kind or NULL, _kind(value))
            except Mixed as error:
                return f"`{name}`: {error}"
            except RecursionError:
                return f"`{name}`: values are nested too deeply"
        return None

    def end_first_chunk(self) -> None:
        """From here on values must fit what was seen before."""
        self._first = dict(self.kinds)

    def outgrown(self) -> str | None:
        """The first column that had only nulls in the first chunk and has values behind it."""
        for name, kind in self.kinds.items() if self._first is not None else ():
            if _null_inside((self._first or {}).get(name, NULL), kind):
                return name
        return None


def _kind(value: Any) -> Kind:
    if value is None:
        return NULL
    if isinstance(value, str):
        return TEXT
    if isinstance(value, bool):
        return BOOL
    if isinstance(value, list):
        kind: Kind = NULL
        for element in value:
            kind = _merged(kind, _kind(element))
        return ("list", kind)
    if isinstance(value, dict):
        return ("object", {name: _kind(inner) for name, inner in value.items()})
    return NUMBER if isinstance(value, int | float) else type(value).__name__


def _fits(kind: Kind, value: Any) -> bool:
    """Whether taking the value in would change nothing. Written for speed: most values fit."""
    if value is None:
        return True
    if kind is TEXT:
        return type(value) is str
    if isinstance(kind, str):
        return not isinstance(value, list | dict) and bool(_kind(value) == kind)
    outer, inner = kind
    if outer == "list":
        return type(value) is list and all(_fits(inner, element) for element in value)
    if type(value) is not dict:
        return False
    for name, member in value.items():
        # What is text, as nearly all is, costs no call.
        if name not in inner or not (
            type(member) is str if inner[name] is TEXT else _fits(inner[name], member)
        ):
            return False
    return True


def _merged(first: Kind, second: Kind) -> Kind:
    if first == second or second == NULL:
        return first
    if first == NULL:
        return second
    if isinstance(first, str) or isinstance(second, str) or first[0] != second[0]:
        raise Mixed(f"{_word(second)} beside {_word(first)}")
    if first[0] == "list":
        return ("list", _merged(first[1], second[1]))
    names = {**first[1], **second[1]}
    return ("object", {name: _merged(first[1].get(name, NULL), second[1].get(name, NULL)) for name in names})


def _word(kind: Kind) -> str:
    return kind if isinstance(kind, str) else kind[0]


def _null_inside(before: Kind, after: Kind) -> bool:
    if before == NULL:
        return after != NULL
    if isinstance(before, str) or isinstance(after, str):
        return False
    if before[0] == "list":
        return _null_inside(before[1], after[1])
    return any(_null_inside(before[1].get(name, NULL), kind) for name, kind in after[1].items())
