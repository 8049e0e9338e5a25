"""Amounts, times, dates and identifiers of a text: nobody sees one that is not written."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator, Sequence
from decimal import Decimal

from datakit.core.faithful import stands
from datakit.core.quotations import Quotation, apart

_FACT = re.compile(
    r"[¥￥$€£]\s?(?P<priced>\d[\d,]*(?:\.\d+)?)|(?<![\w.,:：-])(?P<amount>\d[\d,]*\.\d{1,2})(?=\s*元)"
    r"|(?<![\w.,:：-])(?P<time>\d{1,2}[:：]\d{2}(?:[:：]\d{2})?|20\d{2}[-/.]\d{1,2}[-/.]\d{1,2})(?![\d:：])"
    r"|(?<![\w.,-])(?P<id>\d{8,}|[A-Za-z]{1,12}_\d{2,})(?![\w.])",
    re.ASCII,
)
_AMOUNT = re.compile(r"\d[\d,]*(?:\.\d+)?", re.ASCII)
_DIGITS = re.compile(r"\d+", re.ASCII)


def facts(text: str, marked: Sequence[Quotation]) -> Iterator[Quotation]:
    """Those of a text that stand in no quotation of it."""
    found = (Quotation(match[0], *match.span(), True) for match in _FACT.finditer(text))
    yield from apart(found, marked)


def is_read(fact: str, text: str) -> bool:
    """Whether one stands in what was read: an amount by its value, a time and a date by their numbers, which
    may be written in another way; an identifier as it is."""
    match, form = _FACT.match(fact + "元"), unicodedata.normalize("NFKC", text)
    if match is None or match["id"]:
        return stands(fact, text, 1.0)
    if amount := match["priced"] or match["amount"]:
        return _value(amount) in {_value(found) for found in _AMOUNT.findall(form)}
    wanted, found = ([int(digits) for digits in _DIGITS.findall(part)] for part in (fact, form))
    return any(found[at : at + len(wanted)] == wanted for at in range(len(found)))


def _value(amount: str) -> Decimal:
    return Decimal(amount.replace(",", ""))
