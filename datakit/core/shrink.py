"""Shorter forms of a value, at its own boundaries: whole lines, whole sentences, the surest lines."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

_BOUNDARIES = (re.compile(r"\n+"), re.compile(r"[。！？!?；;…]+[”’」』\"')）]*|\.(?=\s)"))
"""Where a text may end: at a line, else at a sentence."""


def rung_words(columns: Sequence[str], rung: int) -> str:
    """How far a prompt was shortened, with every column that gave way: each of `shrink` is cut, then dropped.

    >>> [rung_words(["ocr_text", "description"], rung) for rung in (0, 1, 2, 3)]
    ['whole', 'ocr_text cut', 'ocr_text dropped', 'ocr_text dropped, description cut']
    """
    if not rung:
        return "whole"
    count = (rung + 1) // 2
    names = [*columns[:count], *(f"column {place} of shrink" for place in range(len(columns) + 1, count + 1))]
    words = [f"{name} dropped" for name in names[: rung // 2]]
    return ", ".join([*words, *(f"{name} cut" for name in names[rung // 2 :])])


Fits = Callable[[Any], bool]


def longest_that_fits(value: Any, fits: Fits) -> Any:
    """The longest shorter form of a value for which `fits` holds; None when there is none.

    A text loses lines from its end, or sentences when not even its first line fits. A list (OCR lines) loses
    its items of lowest `score` first, the later of equal ones, and keeps its order.
    """
    if isinstance(value, str):
        for pattern in _BOUNDARIES:
            ends = [match.end() for match in pattern.finditer(value) if match.end() < len(value)]
            longest = _largest(len(ends), partial(_start, value, ends), fits)
            if longest:
                return longest
        return None
    if isinstance(value, list):
        order = sorted(range(len(value)), key=lambda at: (-_score(value[at]), at))
        return _largest(len(value) - 1, lambda count: [value[at] for at in sorted(order[:count])], fits)
    return None


def _largest(most: int, form: Callable[[int], Any], fits: Fits) -> Any:
    """The form of the largest size from 1 to `most` that fits: a longer form is never shorter rendered."""
    low, high, best = 1, most, None
    while low <= high:
        middle = (low + high) // 2
        candidate = form(middle)
        if fits(candidate):
            best, low = candidate, middle + 1
        else:
            high = middle - 1
    return best


def _start(text: str, ends: list[int], count: int) -> str:
    return text[: ends[count - 1]].rstrip()


def _score(item: Any) -> float:
    score = item.get("score") if isinstance(item, dict) else None
    return float(score) if score is not None else 0.0
