"""Whether records have a column that a step measured, and not one of a source that is only called so.

A source may bring `width: "80 cm"` or a column `bytes` of lists. What a step gives is known by its kind too.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import polars as pl

_Test = Callable[[Any], bool]


def _is_number(dtype: Any) -> bool:
    return bool(dtype.is_numeric())


def _is_whole(dtype: Any) -> bool:
    return bool(dtype.is_integer())


def _is_text(dtype: Any) -> bool:
    return bool(dtype == pl.String)


_MEASURED: dict[str, _Test] = {
    "width": _is_number,
    "height": _is_number,
    "bytes": _is_number,
    "prompt_chars": _is_number,
    "prompt_tokens": _is_number,
    "shrink_rung": _is_whole,
    "repeat_number": _is_whole,
    "sha256": _is_text,
    "duplicate_of": _is_text,
    "shares_picture_with": _is_text,
    "review": _is_text,
    "answer_form": _is_text,
    "noise_rank": _is_whole,
    "noise_probability": _is_number,
    "noise_label": _is_text,
    "noise_label_probability": _is_number,
    "noise_cluster": _is_text,
}
"""Column -> what its type must be, for what pages and verdicts reckon with."""


def measured(columns: Mapping[str, Any], *names: str) -> bool:
    """Whether all of these columns are there, and of the kind that steps give."""
    return all(name in columns and _MEASURED[name](columns[name]) for name in names)
