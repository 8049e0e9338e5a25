"""What tells a picture from those of a neighbour of its label: keywords of it that stand nowhere."""

from __future__ import annotations

import random
import re
from collections.abc import Iterator, Sequence

from datakit.core.keywords import holds
from datakit.core.labels import Label
from datakit.core.likeness import standing

STANDS = 0.8
"""Likeness from which a text counts as read: of the lines of real screens about 7% are misread somewhere."""
_HAN = re.compile(r"[㐀-鿿]")
_LATIN = re.compile(r"[A-Za-z]{3,}")


def absence(
    text: str, label: Label, others: Sequence[Label], rng: random.Random
) -> tuple[Label, list[str]] | None:
    """The neighbour that a picture's text is likest and none of whose keywords stands there, with its
    keywords that nothing is like. Where the text is like none of them, one by chance of those that the label
    file names as confusable, else the one likest the label. None where each has a keyword that stands there
    or may stand there misread."""
    for group in _in_turn(text, label, others, rng):
        for other in group:
            if any(holds(text, word) for word in other.keywords):
                continue
            missing = [word for word in other.keywords if _tells(word, label) and is_missing(word, text)]
            if missing:
                return other, missing
    return None


def _in_turn(
    text: str, label: Label, others: Sequence[Label], rng: random.Random
) -> Iterator[Sequence[Label]]:
    """The confusable labels and then the rest, each time those first that the text comes near."""
    confused = [other for other in others if other.name in label.confusable_with]
    near_by = {other.name: nearness(text, other) for other in others}
    for group in (confused, [other for other in others if other not in confused]):
        near = [other for other in group if near_by[other.name] > 0]
        yield sorted(near, key=lambda other: -near_by[other.name])
        far = [other for other in group if other not in near]
        yield rng.sample(far, len(far)) if group is confused else far


def _tells(keyword: str, label: Label) -> bool:
    """Whether a neighbour's keyword can be said to be missing: a plain word, and none of the label's own."""
    own = (label.name, *label.aliases, *label.keywords)
    return keyword[0].isalnum() and keyword[-1].isalnum() and not any(holds(word, keyword) for word in own)


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
