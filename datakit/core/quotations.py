"""The quotations of a text, in any of the marks that people and models write."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from functools import cache
from html.entities import html5
from typing import NamedTuple

_DOUBLE, _SINGLE = "double", "single"
_EITHER_WAY = {_DOUBLE, _SINGLE, "angle", "small angle"}
"""Families whose marks are also written the other way round (`”…“`, `»…«`)."""
_FAMILIES = {
    # Name: marks that open, that close, and that do both. People and models mix those of a family.
    _DOUBLE: ("“„‟〝❝⹂ ``", "”〞〟❞", "\"＂″‶˝ʺ〃 ''"),
    _SINGLE: ("‘‚‛❛", "’❜", "'＇`´′‵ʹˋˊ"),
    "angle": ("«", "»", ""),
    "small angle": ("‹", "›", ""),
    "corner": ("「﹁｢", "」﹂｣", ""),
    "white corner": ("『﹃", "』﹄", ""),
    "title": ("《", "》", ""),
    "small title": ("〈", "〉", ""),
    "lens": ("【", "】", ""),
}
_OPENS, _CLOSES, _BOTH = 1, -1, 0
_TOLD_BY_WORDS = "[［〔<＜⟨"
"""Brackets that quote only where the text within, or a word beside them, says so."""


def _rare() -> dict[str, tuple[str, str, str]]:
    """The pairs of brackets that have no other use in running text, each a family: those that Unicode puts
    side by side as opening and closing."""
    known = {*_TOLD_BY_WORDS, *(sign for family in _FAMILIES.values() for part in family for sign in part)}
    signs = (chr(code) for block in ((0x2018, 0x3020), (0xFE17, 0xFF65)) for code in range(*block))
    pairs = ((sign, chr(ord(sign) + 1)) for sign in signs if sign not in known)
    kinds = {("Ps", "Pe"), ("Pi", "Pf")}
    return {
        opening: (opening, closing, "")
        for opening, closing in pairs
        if (unicodedata.category(opening), unicodedata.category(closing)) in kinds
        and re.search("PARENTHES|CURLY", unicodedata.name(opening)) is None
    }


@cache
def _marks() -> dict[str, tuple[str, int]]:
    kinds = (_OPENS, _CLOSES, _BOTH)
    return {
        written: (family, kind)
        for family, groups in (_FAMILIES | _rare()).items()
        for group, kind in zip(groups, kinds, strict=True)
        for part in group.split()
        for mark in ([part] if part in ("``", "''") else part)
        for written in _escapes(mark)
    }


@cache
def _any_mark() -> re.Pattern[str]:
    """Compiled where texts are judged: it takes longer than many a start of the program."""
    return re.compile("|".join(map(re.escape, sorted(_marks(), key=len, reverse=True))))


def _escapes(mark: str) -> list[str]:
    """The mark, and how HTML and JSON write it where a text was escaped."""
    if len(mark) > 1:
        return [mark]
    code = ord(mark)
    names = [f"&{name}" for name, sign in html5.items() if sign == mark and name.endswith(";")]
    digits = (f"{code:04x}", f"{code:04X}")
    numbers = [f"&#{code};", *(f"&#{x}{hexa.lstrip('0')};" for x in "xX" for hexa in digits)]
    return [mark, *names, *numbers, *(f"\\u{hexa}" for hexa in digits)]


_WORD = re.compile("[0-9A-Za-zÀ-ɏ]")
_SENTENCE_END = re.compile(r"[。！？!?\n]|\.(?!\S)")
_NEXT_LINE = re.compile(r"[^\n]*(?:\n(?!\s*\n)[^\n]*)?")
"""The rest of a line and the next, within which a single straight mark is closed."""
_DOTS = re.compile(r"…+|\.{2,}|⋯+|・{2,}|。{2,}")
_HEADS = re.compile(r"(?:^|[。！？!?；;\n])\s*$")
_BRACKETED = re.compile(r"[\[［〔]([^\[\]［］〔〕\n]+)[\]］〕](?!\()|[<＜⟨]([^<>＜＞⟨⟩\n]+)[>＞⟩]")
"""Brackets around a text, but for a link of Markdown."""
_NUMBER = re.compile(r"(?:图|image|figure|fig\.?)\s*\d+", re.IGNORECASE)
_TAG = re.compile(r"/?[a-z][\w-]*\s*(?:/|\s[^㐀-鿿]*=.*)?|[|!/?].*")
"""What stands between `<` and `>` in HTML and chat templates."""
_EMPHASIS = re.compile(r"(?<![A-Za-z0-9*_])(\*{1,3}|_{1,3})(?![\s*_])([^*_\n]+)(?<!\s)\1(?![A-Za-z0-9*_])")
"""Markdown's emphasis: a quotation where the words beside it say that it can be read."""
_READ_BEFORE = re.compile(
    r"(?:写|标|显示|读到|看到|见|有|出现|印|题|字样|文字|内容|按钮|提示|弹出|列出|注明|含|名为|说"
    r"|\b(?:says?|reads?|shows?|titled?|text|words?|written|labell?ed|button|heading|message|line))"
    r"(?:着|有|了|明|出|到|是|为|的|the|an?|[:：\s])*$",
    re.IGNORECASE,
)
_READ_AFTER = re.compile(
    r"\s*(?:的?(?:字样|标题|按钮|提示|文字|入口)|[两三四五六七八几\d]+个?(?:大|小)?字|一[词行句]|\b(?:stands|appears|buttons?"
    r"|headings?|titles?|text|can be read|is (?:written|shown))\b)",
    re.IGNORECASE,
)


class Quotation(NamedTuple):
    """What stands in quotes."""

    text: str
    start: int
    """Where its opening mark stands."""
    end: int
    """Behind its closing mark."""
    is_closed: bool
    """Whether a mark closes it; else it is taken to run to the end of its sentence."""


class _Mark(NamedTuple):
    start: int
    end: int
    family: str
    kind: int
    may_open: bool
    may_close: bool


def quotations(text: str) -> list[Quotation]:
    """The quotations of a text in their order, of quotations within quotations the outer.

    Marks of one family may be mixed (`“…"`, `”…”`) and escaped (`&quot;`). An apostrophe within a word is
    none, nor is an inch mark; `【…】` and `[…]` at the head of a sentence are headings. Words in Markdown's
    emphasis are a quotation where those beside them say so (`写着**…**`).
    """
    found = _in_marks(text)
    found += apart((*_in_brackets(text), *_emphasised(text)), found)
    return sorted(found, key=lambda quotation: quotation.start)


def _in_brackets(text: str) -> Iterator[Quotation]:
    for match in _BRACKETED.finditer(text):
        within = match[1] or match[2]
        is_heading = match[1] is not None and _HEADS.search(text, 0, match.start()) is not None
        is_heading = is_heading or _NUMBER.fullmatch(within) is not None
        is_tag = match[2] is not None and _TAG.fullmatch(within) is not None
        if any(map(str.isalpha, within)) and not is_heading and not is_tag:
            yield Quotation(within, match.start(), match.end(), True)


def _emphasised(text: str) -> Iterator[Quotation]:
    for match in _EMPHASIS.finditer(text):
        is_read = _READ_BEFORE.search(text, max(match.start() - 40, 0), match.start())
        if any(map(str.isalnum, match[2])) and (is_read or _READ_AFTER.match(text, match.end())):
            yield Quotation(match[2], match.start(), match.end(), True)


def _in_marks(text: str) -> list[Quotation]:
    marks = [mark for mark in _marks_in(text) if mark.may_open or mark.may_close]
    result, at = [], 0
    while at < len(marks):
        quotation, at = _quotation(text, marks, at)
        if quotation is not None and any(map(str.isalnum, quotation.text)):
            result.append(quotation)
    return result


def apart(others: Iterable[Quotation], found: Sequence[Quotation]) -> list[Quotation]:
    """Those quotations that share no sign with one that was found."""
    return [one for one in others if not any(one.start < two.end and two.start < one.end for two in found)]


def parts(quotation: str) -> list[str]:
    """The pieces of a quotation between the dots with which it leaves something out."""
    return [part.strip() for part in _DOTS.split(quotation) if any(map(str.isalnum, part))]


def _marks_in(text: str) -> Iterator[_Mark]:
    for match in _any_mark().finditer(text):
        family, kind = _marks()[match[0]]
        start, end = match.span()
        before, after = text[max(start - 1, 0) : start], text[end : end + 1]
        is_glued = _WORD.match(before) is not None, _WORD.match(after) is not None
        may_open = kind == _OPENS or family in _EITHER_WAY
        may_close = kind != _OPENS or family in _EITHER_WAY
        if family == _SINGLE and kind != _OPENS:  # it's, sellers'
            may_open, may_close = may_open and not is_glued[0], not is_glued[1]
        if kind == _BOTH and family == _DOUBLE and before.isdigit():  # 6.1"
            may_open = False
        if family == "lens" and kind == _OPENS and _HEADS.search(text, 0, match.start()):
            may_open = False
        yield _Mark(match.start(), match.end(), family, kind, may_open, may_close)


def _quotation(text: str, marks: list[_Mark], at: int) -> tuple[Quotation | None, int]:
    """The quotation that a mark opens, and the first mark behind it."""
    opening = marks[at]
    if not opening.may_open:
        return None, at + 1
    closing = _closing(text, marks, at)
    if closing is not None:
        mark = marks[closing]
        return Quotation(text[opening.end : mark.start], opening.start, mark.end, True), closing + 1
    runs = opening.kind == _OPENS or (opening.kind == _BOTH and opening.family == _DOUBLE)
    if not runs or (opening.family == _SINGLE and text[opening.end : opening.end + 1].isdigit()):  # ‘90s
        return None, at + 1
    end = _sentence_end(text, opening.end)
    behind = next((later for later in range(at, len(marks)) if marks[later].start >= end), len(marks))
    return Quotation(text[opening.end : end], opening.start, end, False), behind


def _closing(text: str, marks: list[_Mark], at: int) -> int | None:
    """The mark that closes the one at a place: its partner, else the next of its family in the sentence."""
    opening = marks[at]
    family = [number for number in range(at + 1, len(marks)) if marks[number].family == opening.family]
    if opening.family == _SINGLE and opening.kind != _OPENS:
        end = _NEXT_LINE.match(text, opening.end)
        family = [number for number in family if end and marks[number].start < end.end()]
    closers = [number for number in family if marks[number].may_close]
    if opening.kind == _CLOSES:
        return closers[0] if closers else None
    depth = 1
    for number in family:
        kind = marks[number].kind
        depth += 1 if kind == _OPENS else -1 if marks[number].may_close else 0
        if depth == 0:
            return number
    if closers and marks[closers[0]].start <= _sentence_end(text, opening.end):
        return closers[0]
    return None


def _sentence_end(text: str, start: int) -> int:
    match = _SENTENCE_END.search(text, start)
    return match.start() if match else len(text)
