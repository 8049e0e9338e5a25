"""Which quotations of a text do not stand in what OCR read."""

from __future__ import annotations

import re

from datakit.core.labels import LabelSet
from datakit.core.likeness import standing
from datakit.core.quotations import quoted
from datakit.guard._conclusion import is_told_apart, leads_to_label

STANDS = 0.8
"""Likeness from which a quotation stands in the text: of the lines of real screens about 7% are misread
somewhere, and a model reads the picture better than the engine does."""

_DOTS = re.compile(r"…+|\.{2,}|⋯+|・{2,}")
_EXAMPLES = 3


def unread(text: str, read: str, labels: LabelSet | None) -> list[str]:
    """The quotations that do not stand in what was read, each once.

    Where one has dots in it each part must stand. A label's name in quotes is no quotation where it is
    concluded or told apart (`属于“退款页面”`).
    """
    missing = [
        quote
        for quote, before, after in quoted(text)
        if not _stands(quote, read) and not _names_label(quote, before, after, labels)
    ]
    return list(dict.fromkeys(missing))


def words_of(missing: list[str]) -> str:
    """The quotations that do not stand, for the user."""
    more = f" and {len(missing) - _EXAMPLES} more" if len(missing) > _EXAMPLES else ""
    return "、".join(f"“{quote}”" for quote in missing[:_EXAMPLES]) + more


def _stands(quote: str, read: str) -> bool:
    return all(standing(part, read) >= STANDS for part in _DOTS.split(quote))


def _names_label(quote: str, before: str, after: str, labels: LabelSet | None) -> bool:
    if labels is None or labels.find(quote) is None:
        return False
    return leads_to_label(before) or is_told_apart(after)
