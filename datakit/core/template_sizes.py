"""How much a template's operators, methods and filters can make, told before they make it."""

from __future__ import annotations

import re
from collections.abc import Callable, ItemsView, KeysView, Mapping, ValuesView
from itertools import chain
from typing import Any

MAX_ROUNDS = 1_000_000
"""A prompt with 200 labels and 2,500 characters, each compared with each, has half as many; 1 s of work."""
MAX_CHARS = 20_000_000
"""A prompt has 2,500; a text of 2 MB can go through nine filters. Takes 0.5 GB at most."""
MAX_WIDTH = 100_000
"""Of padding, indents and digits."""
MAX_BITS = 1 << 14
"""Of a whole number; Python writes out no longer ones (4,300 digits)."""
_MEMBER = 8
SIZED = (str, bytes, list, tuple, dict, set, frozenset)
"""What has a size; nothing else that a template can hold takes much room."""


class Unbounded(Exception):
    """A template that would go on too long, or make too much."""


def too_much(what: str, bound: int, unit: str) -> Unbounded:
    return Unbounded(f"{what} more than {bound:,} {unit}")


def size_of(value: Any) -> int:
    """Characters of a text, or of all texts in a list with its members; a list in it twice counts twice.

    Goes no further than the bound.
    """
    if isinstance(value, str | bytes):
        return len(value)
    if not isinstance(value, SIZED):
        return 0
    size, rest = 0, [value]
    while rest and size <= MAX_CHARS:
        members = rest.pop()
        size += _MEMBER * len(members) + _MEMBER
        if size > MAX_CHARS:
            break
        for member in chain(members, members.values()) if isinstance(members, dict) else members:
            if isinstance(member, str | bytes):
                size += len(member)
            elif isinstance(member, SIZED):
                rest.append(member)
    return size


def length_of(value: Any) -> int:
    """What going through a value costs: its characters, or sixteen for each member."""
    if isinstance(value, str | bytes):
        return len(value)
    return (
        2 * _MEMBER * len(value) if isinstance(value, (*SIZED, range, KeysView, ValuesView, ItemsView)) else 0
    )


def number_of(value: Any) -> int:
    return abs(value) if isinstance(value, int) else 0


def check_number(operator: str, left: int, right: int) -> None:
    """Raises Unbounded for a whole number with too many digits, before it is made."""
    bits = left.bit_length() * right if operator == "**" else left.bit_length() + right.bit_length()
    if bits > MAX_BITS:
        raise Unbounded("it makes a number of more than 4,000 digits")


def _wide(*values: Any) -> None:
    """Raises Unbounded for a number that is too large for a width, or for the digits of one."""
    if any(number_of(value) > MAX_WIDTH for value in values):
        raise too_much("it asks for a width of", MAX_WIDTH, "characters")


def percent_size(form: str, values: Any) -> int:
    """How long `form % values` can become: widths stand in the form, or among the values where it says so."""
    return _formatted(form, "%", _PERCENT, values)


def _braces(form: str, values: Any) -> int:
    """How long `form.format(*values)` can become."""
    return _formatted(form, "{", _BRACES, values)


_PERCENT = re.compile(r"%(?:\([^)]*\))?[-+ #0]*(\d+|\*)?(?:\.(\d+|\*))?")
_BRACES = re.compile(r"\{[^{}:]*:[^{}]*?(?:(\d{6,})|(\{))")


def _formatted(form: str, sign: str, width: re.Pattern[str], values: Any) -> int:
    inner = list(values.values()) if isinstance(values, Mapping) else values
    inner = list(inner) if isinstance(inner, list | tuple) else [inner]
    widest = 0
    for match in width.finditer(form):
        for digits in filter(None, match.groups()):
            widest = max([widest, int(digits[:9])] if digits.isdigit() else [widest, *map(number_of, inner)])
    _wide(widest)
    longest = max(map(size_of, inner), default=0)
    return len(form) + form.count(sign) * (longest + widest)


def _joined(separator: Any, parts: Any) -> int:
    if not isinstance(parts, SIZED):
        return 0
    return len(parts) * size_of(separator) + size_of(parts)


def _replaced(text: Any, old: Any, new: Any) -> int:
    if not all(isinstance(part, str | bytes) for part in (text, old, new)) or type(text) is not type(old):
        return 0
    return int(text.count(old)) * len(new)


def made_by_method(owner: Any, name: str, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> int:
    """How much a method of a text or number can make."""
    if name in ("center", "ljust", "rjust", "zfill", "to_bytes"):
        _wide(*args, *kwargs.values())
    elif name == "expandtabs":
        _wide(*args, *kwargs.values())
        return len(owner) * max(map(number_of, (*args, *kwargs.values())), default=8)
    elif name == "join" and args:
        return _joined(owner, args[0])
    elif name == "replace" and len(args) > 1:
        return _replaced(owner, *args[:2])
    elif name == "translate" and args and isinstance(args[0], dict):
        return len(owner) * max(map(size_of, args[0].values()), default=0)
    elif name == "format":
        return _braces(owner, [*args, *kwargs.values()])
    elif name == "format_map" and args:
        return _braces(owner, args[0])
    return 0


def _widths(value: Any, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> int:
    """For filters that fill up: each line of a text by so many characters, or by a text."""
    given = (*args, *kwargs.values())
    _wide(*given)
    most = max((max(number_of(other), size_of(other)) for other in given), default=0)
    lines = value.count("\n") + 1 if isinstance(value, str) else 1
    return lines * most


def _of_indent(value: Any, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> int:
    given = (*args, *kwargs.values())
    if any(number_of(width) > 100 for width in given):
        raise Unbounded("it asks for an indent of more than 100 characters")
    return size_of(value) * max(map(number_of, given), default=1)


def _digits(value: Any, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> int:
    if any(number_of(digits) > 300 for digits in (*args, *kwargs.values())):
        raise Unbounded("it asks for more than 300 digits")
    return 0


def _sum(value: Any, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> int:
    """Lists are copied for each one that is added."""
    start = args[1] if len(args) > 1 else kwargs.get("start", 0)
    return 0 if isinstance(start, int | float) else size_of(value) * max(1, len(value)) // 2


FILTER_BOUNDS: dict[str, Callable[[Any, tuple[Any, ...], Mapping[str, Any]], int]] = {
    "batch": _widths,
    "center": _widths,
    "format": lambda value, args, kwargs: percent_size(str(value), [*args, *kwargs.values()]),
    "indent": _widths,
    "join": lambda value, args, kwargs: _joined(args[0] if args else kwargs.get("d", ""), value),
    "replace": lambda value, args, kwargs: _replaced(str(value), *args[:2]) if len(args) > 1 else 0,
    "round": _digits,
    "slice": _widths,
    "sum": _sum,
    "tojson": _of_indent,
    "wordwrap": lambda value, args, kwargs: (
        size_of(value) * max(map(size_of, (*args, *kwargs.values())), default=1)
    ),
}
"""Filter -> how much it can make of a value (that of a generator is a list then) and its arguments."""
