"""Which quotations of a text do not stand in what OCR read."""

from __future__ import annotations

from datakit.core.faithful import stand_in_order, stands
from datakit.core.labels import LabelSet
from datakit.core.quotations import parts, quotations
from datakit.guard._conclusion import names_label
from datakit.guard._unmarked import unmarked

STANDS = 0.8
"""Likeness from which a quotation stands in the text: of the lines of real screens about 7% are misread
somewhere, and a model reads the picture better than the engine does. Digits and negations must be equal."""
_PART_CHARS = 2
"""Least letters and digits between dots: single characters stand in every text."""
_EXAMPLES = 3


def unread(text: str, read: str, labels: LabelSet | None) -> list[str]:
    """The quotations that do not stand in what was read, each once.

    Where one has dots in it each part must stand, in their order and on lines that follow each other. A
    label's name in quotes is no quotation where it is concluded or told apart (`属于“退款页面”`). What is
    said to be read without marks (`写着退款失败`) is looked up too.
    """
    missing = [
        quotation.text
        for quotation in quotations(text)
        if not _stands(quotation.text, read) and not names_label(quotation, text, labels)
    ]
    missing += [claim for claim in unmarked(text, labels) if not stands(claim, read, STANDS)]
    return list(dict.fromkeys(missing))


def words_of(missing: list[str]) -> str:
    """The quotations that do not stand, for the user."""
    more = f" and {len(missing) - _EXAMPLES} more" if len(missing) > _EXAMPLES else ""
    return "、".join(f"“{quote}”" for quote in missing[:_EXAMPLES]) + more


def _stands(quote: str, read: str) -> bool:
    if stands(quote, read, STANDS):
        return True
    pieces = parts(quote)
    is_long = all(sum(map(str.isalnum, piece)) >= _PART_CHARS for piece in pieces)
    if pieces == [quote] or not is_long:
        return False
    lines = [line for line in read.splitlines() if line.strip()]
    return any(
        stand_in_order(pieces, "\n".join(lines[at : at + len(pieces)]), STANDS) for at in range(len(lines))
    )
