"""Whether a label's keywords stand in a text: case, width and white space make no difference."""

from __future__ import annotations

import re
import unicodedata
from functools import lru_cache


@lru_cache(maxsize=8192)
def _pattern(keyword: str) -> re.Pattern[str]:
    signs = "".join(unicodedata.normalize("NFKC", keyword).split()).casefold()
    spaced = r"\s*".join(map(re.escape, signs))
    before = r"(?<![a-z0-9])" if signs[:1].isascii() and signs[:1].isalnum() else ""
    after = r"(?![a-z0-9])" if signs[-1:].isascii() and signs[-1:].isalnum() else ""
    return re.compile(f"{before}{spaced}{after}" if signs else r"(?!)")


def holds(text: str, keyword: str) -> bool:
    """Whether the keyword stands in the text; a Latin one as a word of its own.

    >>> holds("购物车（12）", "购物车("), holds("Cartoon", "cart"), holds("Refund  Amount", "refund amount")
    (True, False, True)
    """
    return _pattern(keyword).search(unicodedata.normalize("NFKC", text).casefold()) is not None


def as_written(text: str, keyword: str) -> str | None:
    """The keyword as the text has it; None where it does not stand there or in signs of another width."""
    place = _pattern(keyword).search(text.casefold())
    if place is None or len(text.casefold()) != len(text):
        return None
    return text[place.start() : place.end()]
