"""Whether a quotation stands in a text: nearly letter by letter, its digits and its negations exactly."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator, Sequence
from functools import lru_cache
from typing import NamedTuple

from datakit.core.likeness import distances

_DENIES = re.compile(
    r"不(?:支持|需要?|可以?|[能会是再用必予得])?|[无無](?:需要?|须|法|任何)?|未[能曾]?|[没沒][有能]?|勿|(?<!是)否|非(?!常)"
    r"|n['’]t\b|\bno\b(?!\.?\s*\d)"
    r"|\b(?:not|never|none|nor|neither|cannot|without)\b|\b(?:un|non|dis|in|im|ir)(?=-?[a-z]{3})"
)
"""Words of denial, and the syllables that turn a word round."""
_UNIT = re.compile(
    r"[天日月年时分秒周件个元块角毛笔次人张单折条位份倍级层楼双只盒袋瓶斤克米万亿千百%％℃]"
    r"|(?:小时|分钟|公里|工作日|[kmg]b|[kcm]?m|[km]?g|ml|px|days?|hours?|hrs?|min(?:ute)?s?|items?|pcs|usd|cny)(?![a-z])"
)
"""Begins what a number counts: without it the text says something else."""
_MAGNITUDE = re.compile(r"[万亿千百]|[kmw](?![a-z])")
"""Is a part of the number that it follows."""
_NUMERAL = re.compile(
    r"[零〇一二两三四五六七八九十百千]+"
    r"(?=\s*(?:[个天日月年周件元块笔次人张单折条位份倍级层楼双盒袋瓶斤克米岁号]|小时|分钟|工作日))"
)
"""A number in Chinese: what counts something."""
_DIGITS = {**dict(zip("零〇一二三四五六七八九", (0, 0, *range(1, 10)), strict=True)), "两": 2}
_TIMES = {"十": 10, "百": 100, "千": 1000}
_MINUS = re.compile("[‐‑‒–−]")
"""Other ways to write `-`."""
_THOUSANDS = re.compile(r"(?<![\d.,])\d{1,3}(?:,\d{3})+(?![\d,])")
_SIGN = re.compile(r"(?<![\da-z)\]])-(?=[¥$€£]?\d)")
"""The sign of a number, and no separator."""
_NARROW = {
    ord(wide): narrow for wide, narrow in zip("０１２３４５６７８９，．－", "0123456789,.-", strict=True)
}
_STARTS, _GOES_ON, _MAY_GO_ON = 0, 1, 2
_NEVER = 1 << 30
_MOST_CHARS = 2000
"""Longer quotations must stand letter by letter."""
_LINE_END = 2


class _Text(NamedTuple):
    """A text without white space, case and width."""

    signs: str
    exact: tuple[bool, ...]
    """Digits, the points within numbers, and negations, or every letter: nothing may stand in their place."""
    denies: tuple[bool, ...]
    gaps: tuple[int, ...]
    """What stands before each: nothing, blanks (1) or the end of a line (2)."""
    digits: tuple[int, ...]
    """Whether a digit starts a group of digits, goes on with one, or may do either: behind a blank."""

    def agrees(self, at: int, other: _Text, place: int) -> bool:
        """Whether a sign is that of another text, a digit in its place within a number too."""
        if self.signs[at] != other.signs[place]:
            return False
        own, others = self.digits[at], other.digits[place]
        return own == others or _MAY_GO_ON in (own, others)

    def inside_number(self, at: int) -> bool:
        """Whether what stands before a place and behind it is one number."""
        before, behind = self.signs[max(at - 2, 0) : at], self.signs[at : at + 2]
        if not before or not behind or self.gaps[at]:
            return False
        left, right = before[-1].isdigit(), behind[0].isdigit()
        if left and right:
            return True
        if left and behind[0] in ".,":
            return behind[1:].isdigit() and not self.gaps[at + 1]
        return right and before[-1] in ".," and before[:-1].isdigit() and not self.gaps[at - 1]

    def may_start(self, at: int) -> bool:
        """Whether a quotation may begin here: not within a number, nor behind a word that denies it."""
        if at == 0:
            return True
        last = self.signs[at - 1 : at]
        is_near = at == len(self.signs) or self.gaps[at] < (_LINE_END if last.isascii() else 1)
        cuts_number = last.isdigit() and self.gaps[at : at + 1] == (0,) and _UNIT.match(self.signs, at)
        return not (self.inside_number(at) or cuts_number or (self.denies[at - 1] and is_near))

    def is_signed(self, at: int) -> bool:
        """Whether the number at a place has a sign before it: to leave that out is no misreading."""
        return at > 0 and self.signs[at - 1] == "-" and self.exact[at - 1]

    def may_end(self, at: int) -> bool:
        """Whether a quotation may end here: not within a number."""
        is_magnitude = at < len(self.signs) and not self.gaps[at] and _MAGNITUDE.match(self.signs, at)
        return not self.inside_number(at) and not (is_magnitude and self.signs[at - 1 : at].isdigit())

    def core(self) -> _Text:
        """The text without punctuation at its ends, but for the sign of a number."""
        start, end = 0, len(self.signs)
        while end and unicodedata.category(self.signs[end - 1])[0] in "PZ":
            end -= 1
        while start < end and unicodedata.category(self.signs[start])[0] in "PZ" and not self.exact[start]:
            start += 1
        return self.part(start, end)

    def part(self, start: int, end: int) -> _Text:
        return _Text(
            self.signs[start:end],
            self.exact[start:end],
            self.denies[start:end],
            self.gaps[start:end],
            self.digits[start:end],
        )


def stands(quotation: str, text: str, least: float, *, by_letter: bool = False) -> bool:
    """Whether a part of the text is at least so like the quotation (see `likeness.standing`) with the same
    digits and the same negations; `by_letter`: with the same letters too, so that only signs may differ.

    A part ends at the end of a number, not within it, and does not begin behind the word that denies it, nor
    between a number and what it counts: `¥19` does not stand in `¥199`, nor `支持退货` in `不支持退货`, nor
    `天内到账` in `7天内到账`. Digits fall into the same groups with the same points and signs: `13` does not
    stand in `1-3`. `七天` and `7天` are one, and so are `2,000` and `2000`. What says nothing stands
    everywhere.

    >>> stands("退款成切", "退款成功", 0.75), stands("¥189.00", "¥199.00", 0.75)
    (True, False)
    """
    wanted, within = _read(quotation, by_letter).core(), _read(text, by_letter)
    return not wanted.signs or next(_ends(wanted, within, 0, least), None) is not None


def stand_in_order(quotations: Sequence[str], text: str, least: float, *, by_letter: bool = False) -> bool:
    """Whether quotations stand in a text one behind the other; see `stands`."""
    within, at = _read(text, by_letter), 0
    for quotation in quotations:
        wanted = _read(quotation, by_letter).core()
        if wanted.signs:
            end = next(_ends(wanted, within, at, least), None)
            if end is None:
                return False
            at = end
    return True


@lru_cache(maxsize=64)
def _read(text: str, by_letter: bool) -> _Text:
    signs, gaps, gap = list[str](), list[int](), 0
    spaced = list[str]()
    for sign in _NUMERAL.sub(_in_digits, _plain_numbers(text)):
        if sign.isspace():
            gap = max(gap, _LINE_END if sign in "\n\r\v\f" else 1)
            continue
        spaced += ["", " ", "\n"][gap]
        for part in unicodedata.normalize("NFKC", sign).casefold():
            if not part.isspace():
                signs.append(part)
                spaced.append(part)
                gaps.append(gap)
                gap = 0
    whole = "".join(spaced)
    places = [at for at, sign in enumerate(whole) if not sign.isspace()]
    denied = {at for match in _DENIES.finditer(whole) for at in range(*match.span())}
    minus = {match.start() for match in _SIGN.finditer(whole)}
    denies = tuple(at in denied for at in places)
    plain = "".join(signs)
    exact = tuple(
        at in denied or at in minus or _is_number(plain, spot) or (by_letter and plain[spot].isalpha())
        for spot, at in enumerate(places)
    )
    return _Text(plain, exact, denies, tuple(gaps), _groups(plain, gaps))


def _plain_numbers(text: str) -> str:
    """A text without the commas of thousands, and with one sign for minus."""
    form = unicodedata.normalize("NFC", text).translate(_NARROW)
    return _THOUSANDS.sub(lambda match: match[0].replace(",", ""), _MINUS.sub("-", form))


def _groups(signs: str, gaps: Sequence[int]) -> tuple[int, ...]:
    behind = [False, *(sign.isdigit() for sign in signs)]
    return tuple(
        (_MAY_GO_ON if gaps[at] else _GOES_ON) if sign.isdigit() and behind[at] else _STARTS
        for at, sign in enumerate(signs)
    )


def _in_digits(numeral: re.Match[str]) -> str:
    """A number of Chinese characters in digits: 7 for 七, 24 for 二十四, 2026 for 二〇二六."""
    if not _TIMES.keys() & set(numeral[0]):
        return "".join(str(_DIGITS[sign]) for sign in numeral[0])
    total, last = 0, 0
    for sign in numeral[0]:
        if sign in _TIMES:
            total, last = total + (last or 1) * _TIMES[sign], 0
        else:
            last = _DIGITS[sign]
    return str(total + last)


def _is_number(signs: str, at: int) -> bool:
    if signs[at] == "." and 0 < at < len(signs) - 1:
        return signs[at - 1].isdigit() and signs[at + 1].isdigit()
    return signs[at].isdigit()


def _ends(wanted: _Text, within: _Text, start: int, least: float) -> Iterator[int]:
    """Where parts of a text end that are the quotation, from a place on, the first first."""
    size, at = len(wanted.signs), within.signs.find(wanted.signs, start)
    while at >= 0:
        if (
            within.may_start(at)
            and within.may_end(at + size)
            and all(wanted.agrees(spot, within, at + spot) for spot in range(size))
        ):
            yield at + size
        at = within.signs.find(wanted.signs, at + 1)
    most = int((1 - least) * size + 1e-9)
    if most and size <= _MOST_CHARS:
        near = enumerate(distances(wanted.signs, within.signs[start:]), start + 1)
        for low, high in _windows((end for end, distance in near if distance <= most), size + most, start):
            yield from _near(wanted, within, (low, high), most)


def _windows(ends: Iterator[int], reach: int, start: int) -> Iterator[tuple[int, int]]:
    """The stretches of a text that hold all parts of so many characters which end at these places."""
    low, high = -1, -1
    for end in ends:
        begin = max(end - reach, start)
        if begin > high:
            if high >= 0:
                yield low, high
            low = begin
        high = end
    if high >= 0:
        yield low, high


def _near(wanted: _Text, within: _Text, window: tuple[int, int], most: int) -> list[int]:
    """Where parts end that differ in so many characters at most, none of them exact.

    Not where a part is nearer that may not start where it does: to leave out the first letter behind a denial
    makes it no other place.
    """
    low, high = window
    starts = [within.may_start(at) and not within.is_signed(at) for at in range(low, high + 1)]
    distance = _distances(wanted, within.part(low, high), [0 if may else _NEVER for may in starts])
    nearest = distance if all(starts) else _distances(wanted, within.part(low, high), [0] * len(starts))
    return [
        low + at
        for at, own in enumerate(distance)
        if own <= most and own == nearest[at] and within.may_end(low + at)
    ]


def _distances(wanted: _Text, within: _Text, above: list[int]) -> list[int]:
    """For each place the fewest edits of letters that are not exact between the quotation and a part that
    ends there (Sellers 1980); `above` says what it costs to start at each."""
    for spot, is_exact in enumerate(wanted.exact):
        lost = _NEVER if is_exact else 1
        row = [above[0] + lost]
        for at, stays in enumerate(within.exact):
            more = _NEVER if stays else 1
            turned = 0 if wanted.agrees(spot, within, at) else max(lost, more)
            row.append(min(above[at + 1] + lost, row[at] + more, above[at] + turned))
        above = row
    return above
