"""What a guard held a record to: its limits beside the values that they are limits of."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

from datakit.core.errors import UserError
from datakit.core.image import ImageProblem, read_header
from datakit.core.step_context import StepContext
from datakit.core.transform import Guard, Transform

_OF_CALLS = ("max_tokens", "max_rewrites")
"""What a model may do; nothing is held to it."""
_LONG = 60
"""Characters of a text that is a value and not what is judged by other values."""


def guard_figures(transform: Transform, row: dict[str, Any], context: StepContext) -> dict[str, Any]:
    """Limit -> its value, then column -> the record's; {} for a step that guards nothing.

    Pictures are told by their sizes, `720 x 1560`.
    """
    # guard.image opens pictures and keeps what it found, so that it is an annotator by its kind.
    if not (isinstance(transform, Guard) or transform.name().startswith("guard.")):
        return {}
    settings = transform.model_dump().items()
    limits = {name: value for name, value in settings if _is_limit(name) and _is_number(value)}
    names: list[str] = []
    with suppress(UserError):  # told before any step works
        names = [*transform.inputs(context), *transform.outputs(context)]
    values = {
        name: row[name] for name in dict.fromkeys(names) if name != "images" and _is_short(row.get(name))
    }
    shown = row.get("images") or () if "images" in names and not values else ()
    sizes = [size for path in shown if (size := _size(path))]
    return {**limits, **({"images": ", ".join(sizes)} if sizes else {}), **values}


def _is_limit(name: str) -> bool:
    return name.startswith(("min_", "max_")) and name not in _OF_CALLS


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _is_short(value: Any) -> bool:
    return _is_number(value) or (isinstance(value, str) and 0 < len(value) <= _LONG)


def _size(path: str) -> str:
    try:
        header = read_header(path)
    except (ImageProblem, OSError, ValueError):
        return ""
    return f"{header.width} x {header.height}"
