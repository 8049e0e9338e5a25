"""Which quotations of a text do not stand in what OCR read, or do though the text denies them."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from datakit.core.faithful import stand_in_order, stands
from datakit.core.labels import LabelSet
from datakit.core.quotations import Quotation, apart, parts, quotations
from datakit.guard._absence import HIDDEN, Denial, denial
from datakit.guard._conclusion import names_label
from datakit.guard._facts import facts, is_read
from datakit.guard._unmarked import unmarked

STANDS = 0.8
"""Likeness from which a quotation stands in what OCR is not sure of: about 7% of the lines of real screens
are misread, and a model reads the picture better than the engine. Digits and negations must be equal."""
SURE = 0.95
"""Score from which a line is quoted letter by letter. Of true lines of drawn screens 1 in 1,000 is then a
finding more than at 0.8 everywhere, and of those of five signs and more with another sign for one 6% pass
where 99% did; of screens at half their size and JPEG quality 35, 2 in 100 more, and 26% pass."""
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


class Read(NamedTuple):
    """What was read on a record's pictures."""

    text: str
    unsure: str | None = None
    """The lines with a score below SURE; None where the text comes without scores."""

    def holds(self, quote: str) -> bool:
        """Whether a quotation stands in it: nearly where OCR may have misread, else but for punctuation."""
        if stands(quote, self.text, STANDS, by_letter=True):
            return True
        return stands(quote, self.text if self.unsure is None else self.unsure, STANDS)


def misquotes(text: str, read: Read, labels: LabelSet | None) -> Misquotes:
    """The quotations that do not stand in what was read, and those that a text denies and that were read.

    Where one has dots in it each part must stand, in their order and on lines that follow each other. A
    label's name in quotes is no quotation where it is concluded or told apart (`属于“退款页面”`). What is
    said to be read without marks (`写着退款失败`) is looked up too, and so is every amount, time and number.
    What is denied (`没有“退款失败”字样`) must not stand letter by letter: as a text of its own
    where a button or a field is denied.
    """
    marked, missing, denied = quotations(text), list[str](), list[str]()
    bare = list(facts(text, marked))
    for quote in (*marked, *apart(unmarked(text, labels), marked), *bare):
        how = denial(_hidden(text, marked, 0, quote.start), _hidden(text, marked, quote.end, len(text)))
        if how is Denial.NONE:
            is_there = is_read(quote.text, read.text) if quote in bare else _stands(quote.text, read)
            if not is_there and not names_label(quote, text, labels):
                missing.append(quote.text)
        elif _is_there(quote.text, read.text, how) and not names_label(quote, text, labels):
            denied.append(quote.text)
    return Misquotes(list(dict.fromkeys(missing)), list(dict.fromkeys(denied)))


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


def _stands(quote: str, read: Read) -> bool:
    if read.holds(quote):
        return True
    pieces = parts(quote)
    is_long = all(sum(map(str.isalnum, piece)) >= _PART_CHARS for piece in pieces)
    if pieces == [quote] or not is_long:
        return False
    lines = [line for line in read.text.splitlines() if line.strip()]
    return any(
        stand_in_order(
            pieces, "\n".join(lines[at : at + len(pieces)]), STANDS, by_letter=read.unsure is not None
        )
        for at in range(len(lines))
    )
