"""Whether a neighbour's keywords are missing from a text, and how near the text comes to them."""

from __future__ import annotations

import re

from datakit.core.keywords import holds
from datakit.core.labels import Label
from datakit.core.likeness import standing

STANDS = 0.8
"""Likeness from which a text counts as read: of the lines of real screens about 7% are misread somewhere."""
_HAN = re.compile(r"[㐀-鿿]")
_LATIN = re.compile(r"[A-Za-z]{3,}")


def is_missing(keyword: str, text: str) -> bool:
    """Whether nothing in a text may be the keyword: OCR misreads a sign here and there, of four too."""
    misread = 1 - 1 / len(keyword) if len(keyword) > 2 else STANDS
    return standing(keyword, text) < min(STANDS, misread) - 1e-9


def nearness(text: str, label: Label) -> float:
    """Share of the parts of a label's keywords that stand in a text: pairs of characters, words in Latin."""
    parts = [part for word in label.keywords for part in _parts(word)]
    return sum(holds(text, part) for part in parts) / max(len(parts), 1)


def _parts(keyword: str) -> list[str]:
    pairs = [keyword[at : at + 2] for at in range(len(keyword) - 1)]
    return [pair for pair in pairs if len(_HAN.findall(pair)) == 2] + _LATIN.findall(keyword)


def is_plain(keyword: str) -> bool:
    return keyword[0].isalnum() and keyword[-1].isalnum()
