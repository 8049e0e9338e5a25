"""All personal data of a text, and the text without it."""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence

from datakit.personal.addresses import addresses
from datakit.personal.codes import emails, plates
from datakit.personal.names import names
from datakit.personal.numbers import bank_cards, couriers, id_numbers, phones
from datakit.personal.spans import KINDS, Kind, Span, Taken
from datakit.personal.texts import Text

_LEAST = 2
"""Fewer signs hold nothing."""
_UNSEEN = re.compile("[\u00ad\u200b-\u200f\u202a-\u202e\u2060-\u2064\ufeff]")
"""Signs of no width: soft hyphens, spaces and joiners, and marks of direction."""
_NUMBERS = ((id_numbers, 15), (bank_cards, 15), (couriers, 8), (phones, 4), (plates, 1), (emails, 0))
"""In their order, with the signs of the shortest number that each takes: a number with letters or brackets
within has shorter parts."""


def find(text: str, kinds: Collection[Kind] = KINDS) -> list[Span]:
    """The places in their order; none overlaps another.

    >>> [(span.kind, span.mask) for span in find("收件人：张伟 l38 OO13 8000")]
    [('name', '张*'), ('phone', '138****8000')]
    """
    if len(text) < _LEAST:
        return []
    if _UNSEEN.search(text):
        return _found_without_unseen(text, kinds)
    read, taken = Text(text), Taken()
    for finder, least in _NUMBERS:
        for span in finder(read) if read.longest >= least else ():
            taken.add(span)
    if "address" in kinds:
        for span in addresses(read):
            taken.add(span)
    if "name" in kinds:
        for span in names(read, [span.start for span in taken.spans if span.kind == "phone"]):
            taken.add(span)
    return sorted(
        (span for span in taken.spans if span.kind in kinds), key=lambda span: (span.start, span.end)
    )


def _found_without_unseen(text: str, kinds: Collection[Kind]) -> list[Span]:
    """The places of a text with signs of no width in it, such as pages put between digits to break lines."""
    seen = [at for at, sign in enumerate(text) if not _UNSEEN.match(sign)]
    spans = find("".join(text[at] for at in seen), kinds)
    return [span._replace(start=seen[span.start], end=seen[span.end - 1] + 1) for span in spans]


def replaced(text: str, spans: Sequence[Span]) -> str:
    """The text with masks in these places, which are in order."""
    pieces, at = list[str](), 0
    for span in spans:
        pieces += [text[at : span.start], span.mask]
        at = span.end
    return "".join([*pieces, text[at:]])
