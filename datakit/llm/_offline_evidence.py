"""Texts of a picture that hold a keyword of its label, and which of them a reason quotes."""

from __future__ import annotations

import random
import re
from collections.abc import Sequence
from typing import NamedTuple

from datakit.core.keywords import asserts, refuted
from datakit.core.labels import Label
from datakit.core.language import Language
from datakit.llm._offline_facts import Facts
from datakit.llm._offline_pieces import (
    QUOTE_MARKS,
    SURE,
    Piece,
    bounded,
    is_known_text,
    is_whole,
    may_be_joined,
    trimmed,
)

_HAN = re.compile(r"[㐀-鿿]")
_QUOTE_CHARS = {"zh": 22, "en": 60}
_LONG = 4
"""Chinese signs of a keyword that is no piece of other words."""


class Evidence(NamedTuple):
    """A text that stands on the picture and holds a keyword."""

    quote: str
    keyword: str
    piece: Piece
    is_doubtful: bool
    """Whether the engine may have read two texts of a row as this one."""


def evidence_of(facts: Facts, label: Label, language: Language, known: Sequence[str] = ()) -> list[Evidence]:
    """Texts of the picture that hold a keyword of the label, its names where it has no keywords, and do not
    deny it; each keyword once, where it stands surest and shortest. Those that may be two texts only where
    there are no others. `known` are words at which a text may end."""
    by_keyword: dict[str, Evidence] = {}
    for piece in facts.lines:
        if piece.score < SURE:
            continue
        for keyword in wanted(label):
            if refuted(facts.text, keyword):
                continue
            found = _found(piece, keyword, [*known, *facts.texts], _QUOTE_CHARS[language])
            before = by_keyword.get(keyword)
            if found and (before is None or _rank(found) < _rank(before)):
                by_keyword[keyword] = found
    by_quote = {entry.quote: entry for entry in by_keyword.values()}
    sure = [entry for entry in by_quote.values() if not entry.is_doubtful]
    return sorted(sure or by_quote.values(), key=lambda entry: (entry.piece.y, entry.piece.x))


def _rank(entry: Evidence) -> tuple[bool, int]:
    return entry.is_doubtful, len(entry.quote)


def wanted(label: Label) -> tuple[str, ...]:
    """The words that speak for a label."""
    return label.keywords or (label.name, *label.aliases)


def _found(piece: Piece, keyword: str, known: Sequence[str], most: int) -> Evidence | None:
    """The whole line that says so, else a whole phrase of it; never a cut text."""
    if not asserts(piece.text, keyword):
        return None
    line = trimmed(piece.text)
    whole = [line] if is_whole(piece) or _is_filled(piece, keyword) else []
    if whole and line.endswith(keyword) and is_known_text(line.removesuffix(keyword).rstrip(), known):
        return Evidence(keyword, keyword, piece, is_doubtful=False)  # two texts, each known as one
    for text in (*whole, *bounded(piece)):
        if len(text) <= most and asserts(text, keyword) and not QUOTE_MARKS.search(text):
            return Evidence(text, keyword, piece, text == line and may_be_joined(piece, known))
    return None


def _is_filled(piece: Piece, keyword: str) -> bool:
    """Whether a keyword that is no piece of other words is all that a line says, and no line of the same text
    denies it: the rows of a form stand as close as those of a paragraph."""
    is_long = len(_HAN.findall(keyword)) >= _LONG or keyword[0] in "已未"
    is_all = trimmed(piece.text) == keyword and not piece.is_at_edge
    around = f"{piece.above} {piece.text} {piece.below}".strip()
    return is_long and is_all and asserts(around, keyword)


def chosen(evidence: list[Evidence], rng: random.Random) -> list[Evidence]:
    """One to three of them, in their order on the picture."""
    count = min(len(evidence), rng.choice((1, 1, 2, 2, 2, 3)))
    return sorted(rng.sample(evidence, count), key=lambda entry: (entry.piece.y, entry.piece.x))


def times(facts: Facts, entry: Evidence) -> int:
    """How many lines are the quotation, and nothing else."""
    return sum(trimmed(piece.text) == entry.quote for piece in facts.lines)
