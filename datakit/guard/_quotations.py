"""Which quotations of a text do not stand in what OCR read, or do though the text denies them."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from datakit.core.faithful import stand_in_order, stands
from datakit.core.labels import LabelSet
from datakit.core.quotations import Quotation, parts, quotations
from datakit.guard._absence import HIDDEN, Denial, denial
from datakit.guard._conclusion import names_label
from datakit.guard._facts import facts, is_read
from datakit.guard._unmarked import unmarked

STANDS = 0.8
"""Likeness from which a quotation stands in the text: of the lines of real screens about 7% are misread
somewhere, and a model reads the picture better than the engine does. Digits and negations must be equal."""
_PART_CHARS = 2
"""Least letters and digits between dots: single characters stand in every text."""
_EXAMPLES = 3


class Misquotes(NamedTuple):
    """What a reason quotes wrongly, each once."""

    missing: list[str]
    """What does not stand in what was read."""
    denied: list[str]
    """What is said not to be there, and was read."""

    def said(self, wrong: Mapping[str, str]) -> str:
        """What is wrong, by sentences for either; a `{}` in them is what is quoted."""
        words = {name: words_of(quotes) for name, quotes in self._asdict().items() if quotes}
        return "; ".join(wrong[name].format(quotes) for name, quotes in words.items())


def misquotes(text: str, read: str, labels: LabelSet | None) -> Misquotes:
    """The quotations that do not stand in what was read, and those that a text denies and that were read.

    Where one has dots in it each part must stand, in their order and on lines that follow each other. A
    label's name in quotes is no quotation where it is concluded or told apart (`属于“退款页面”`). What is
    said to be read without marks (`写着退款失败`) is looked up too, and so is every amount, time and number.
    What is denied (`没有“退款失败”字样`) must not stand letter by letter: as a text of its own
    where a button or a field is denied.
    """
    marked, missing, denied = quotations(text), list[str](), list[str]()
    bare = list(facts(text, marked))
    for quote in (*marked, *unmarked(text, labels), *bare):
        how = denial(_hidden(text, marked, 0, quote.start), _hidden(text, marked, quote.end, len(text)))
        if how is Denial.NONE:
            is_there = is_read(quote.text, read) if quote in bare else _stands(quote.text, read)
            if not is_there and not names_label(quote, text, labels):
                missing.append(quote.text)
        elif _is_there(quote.text, read, how) and not names_label(quote, text, labels):
            denied.append(quote.text)
    return Misquotes(list(dict.fromkeys(missing)), list(dict.fromkeys(denied)))


def unread(text: str, read: str, labels: LabelSet | None) -> list[str]:
    """The quotations that do not stand in what was read; see `misquotes`."""
    return misquotes(text, read, labels).missing


def words_of(quotes: list[str]) -> str:
    """Quotations for the user."""
    more = f" and {len(quotes) - _EXAMPLES} more" if len(quotes) > _EXAMPLES else ""
    return "、".join(f"“{quote}”" for quote in quotes[:_EXAMPLES]) + more


def _hidden(text: str, marked: Sequence[Quotation], start: int, end: int) -> str:
    """A stretch of a text with its quotations hidden: their own words deny nothing."""
    pieces, at = list[str](), start
    for quote in marked:
        if at <= quote.start and quote.end <= end:
            pieces += [text[at : quote.start], HIDDEN]
            at = quote.end
    return "".join([*pieces, text[at:end]])


def _is_there(quote: str, read: str, how: Denial) -> bool:
    """Whether what is denied stands in what was read, as the denial means it."""
    if how is Denial.OTHER or not any(map(str.isalnum, quote)):
        return False
    if how is Denial.WORDS:
        return stands(quote, read, 1.0)
    signs = [sign for sign in unicodedata.normalize("NFKC", quote).casefold() if sign.isalnum()]
    whole = r"(?<!\w)" + r"[^\S\n]*".join(map(re.escape, signs)) + r"(?![^\W\d])"
    return re.search(whole, unicodedata.normalize("NFKC", read).casefold()) is not None


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
