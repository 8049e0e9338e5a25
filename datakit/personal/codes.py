"""E-mail addresses and licence plates."""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import chain

from datakit.personal.spans import STARS, Span
from datakit.personal.texts import Text

_ENDINGS = (
    "com|c0m|corn|cn|net|org|edu|gov|io|me|co|info|biz|cc|vip|top|xyz|hk|tw|jp|kr|sg|uk|de|fr|us|ru|eu|in"
)
_EMAIL = re.compile(
    r"(?<![A-Za-z0-9._%+*-])[A-Za-z0-9][A-Za-z0-9._%+-]{0,63}[ ]{0,2}@[ ]{0,2}"
    rf"(?P<domain>(?:[A-Za-z0-9-]{{1,63}}[ ]{{0,2}}[.,。·][ ]{{0,2}}){{1,4}}(?:{_ENDINGS}))(?![A-Za-z0-9])"
)
_HAN_ENDINGS = "中国|中國|公司|网络|網絡|集团|商城|网址|网店|在线|中文网|政务|公益|香港|台湾|台灣"
_HAN_EMAIL = re.compile(
    r"(?<![A-Za-z0-9._%+*-])[A-Za-z0-9][A-Za-z0-9._%+-]{0,63}@"
    rf"(?P<domain>(?:[A-Za-z0-9\u4e00-\u9fff-]{{1,63}}\.){{1,4}}(?:{_HAN_ENDINGS}|{_ENDINGS}))"
    r"(?![A-Za-z0-9\u4e00-\u9fff])"
)
"""A domain of Chinese characters, written without gaps and with nothing behind it: others are sentences."""
_PLATE = re.compile(
    r"(?P<place>[京津沪渝冀豫云辽黑湘皖鲁新苏浙赣鄂桂甘晋蒙陕吉闽贵粤青藏川宁琼])"
    r"(?P<gap> ?)(?P<city>[A-HJ-NP-Z])[ ]?[·.\-]?[ ]?"
    r"(?P<number>(?:[DFABCEGHJK][A-HJ-NP-Z0-9O][0-9O]{4}|[0-9O]{5}[DFABCEGHJK]"
    r"|[A-HJ-NP-Z0-9O]{5}|[A-HJ-NP-Z0-9]{4}[挂学警港澳领使]))(?![A-Za-z0-9*款型])"
)
_EMBASSY = re.compile(r"使(?P<gap> ?)[0-9]{3}[·.\- ]?[0-9]{3}(?![0-9A-Za-z*.%人元个名次万亿年])")
_PLATE_WORDS = re.compile(r"车牌|牌照|车辆|号牌|车号|[Pp]late|网约车|司机|座驾|车主|尾号")
_BEFORE = 10
_LEAST_DIGITS = 3
_HAN = re.compile(r"[\u4e00-\u9fff]")


def emails(text: Text) -> Iterator[Span]:
    """E-mail addresses, with OCR's spaces and 。 for dots; the mask keeps the first letter and the domain."""
    if "@" not in text.plain:
        return
    ends = 0
    for match in sorted(
        chain(*(form.finditer(text.plain) for form in (_EMAIL, _HAN_EMAIL))), key=re.Match.start
    ):
        if match.start() < ends:
            continue  # both forms fit
        ends = match.end()
        domain = re.sub(r"[,。·]", ".", match["domain"].replace(" ", ""))
        yield Span("email", match.start(), match.end(), f"{match[0][0]}***@{domain}")


def plates(text: Text) -> Iterator[Span]:
    """Licence plates, those of new-energy vehicles and embassies too. `新A12345` in the middle of words is a
    model, and `新 A12345` is where nothing says that a plate comes."""
    for match in _PLATE.finditer(text.plain):
        named = _PLATE_WORDS.search(text.plain, max(0, match.start() - _BEFORE), match.start())
        digits = len(re.findall(r"[0-9O]", match["number"]))
        inside = _HAN.match(text.plain[match.start() - 1]) if match.start() else None
        if digits >= _LEAST_DIGITS - bool(named) and (named or not (inside or match["gap"])):
            yield Span("plate", match.start(), match.end(), f"{match['place']}{match['city']}{STARS}")
    for match in _EMBASSY.finditer(text.plain):
        named = _PLATE_WORDS.search(text.plain, max(0, match.start() - _BEFORE), match.start())
        if named or not (match["gap"] or _HAN.match(text.plain[match.start() - 1 : match.start()])):
            yield Span("plate", match.start(), match.end(), f"使{STARS}")
