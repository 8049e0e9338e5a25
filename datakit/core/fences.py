"""A fence around a record's text, of tags that the text cannot write itself."""

from __future__ import annotations

import html
import re
import sys
import unicodedata
from functools import lru_cache

_TAG = re.compile(r"[a-z][a-z_]{0,19}", re.ASCII)
_INSTEAD = {"<": "（", ">": "）"}
_OPENS = re.compile(r"\bLESS|PRECEDE|LEFT|SUBGROUP")
"""Within the Unicode name of a sign that looks like `<`, points left or opens."""
_CLOSES = re.compile(r"\bGREATER|SUCCEED|RIGHT|SUPERGROUP")
"""The same of `>`."""
_SLASHES = re.compile(r"\b(?:SOLIDUS|SLASH|SET MINUS)\b")
_OPENING_LETTERS, _CLOSING_LETTERS = "ᐸㄑᚲくᐊ", "ᐳᐅ"
"""Letters that look like `<` and `>`."""
_DRAWN_LETTER = re.compile(r"(?:LATIN (?:CAPITAL|SMALL)|REGIONAL INDICATOR SYMBOL) LETTER ([A-Z])$")
"""A letter in a box, a circle or a flag, which Unicode has no plain letter for."""
_WITHIN_CHARS = 12
"""Letters between a tag and the bracket that closes it."""
_PATH = re.compile(r"[A-Za-z0-9._-]{2}$|[\u4e00-\u9fff]{2}$")
"""What stands before the slash of a path; a bracket that was read as a letter stands alone."""
_QUOTES = re.compile(r"(?<!ANGLE )QUOTATION MARK")
_FOREIGN = re.compile(r"(?!CJK|HIRAGANA|KATAKANA|HANGUL|BOPOMOFO|YI |IDEOGRAPH)")
_ANY = "*"
"""Stands for a letter that may look like any: one of another alphabet, or of Latin beyond a to z."""
_DIGITS = {"o": "0", "i": "1l", "l": "1i", "e": "3", "a": "4", "s": "5", "t": "7", "b": "8", "g": "9"}
"""Digits and letters that are read as a letter."""
_ESCAPE = re.compile(
    r"&(?:amp;)*(?P<entity>#\d{1,7};?|#x[0-9a-f]{1,6};?|[a-z]{2,30};?)"
    r"|(?:\\+u(?:0{4})?|U\+)(?P<four>[0-9a-f]{4})|(?:\\+x|%(?:25)*)(?P<two>[0-9a-f]{2})"
    r"|\\+[ux]\{(?P<any>[0-9a-f]{1,6})\}|\\+(?P<octal>[0-7]{2,3})",
    re.IGNORECASE,
)
"""A sign as HTML, JSON, web addresses and programs write it, also escaped twice."""
_UNTELLING = re.compile(r"[\n 0-9A-Za-z\u4e00-\u9fff]+")
"""Most of a text: signs that are neither brackets nor in escapes."""
_IN_ESCAPES = "&\\%+"
"""Every escape has one of these."""


def is_tag(tag: str) -> bool:
    """Whether a word can be a fence's tag: up to 20 small letters and underscores."""
    return _TAG.fullmatch(tag) is not None


def fence(text: str, tag: str) -> str:
    """The text on lines of its own between `<tag>` and `</tag>`, which nothing in it can close.

    Wherever a reader could take what stands in the text for the tag, its brackets become `（` and `）`: with
    whatever signs or spaces in it, with any signs that open and close or point left and right for its
    brackets, in letters of any alphabet or width, written out or escaped (`&lt;`, `\\u003c`). Of a slash, the
    tag and a bracket behind them (`/ocr>`) the bracket does. A longer word in brackets (`《ocr入门》`) stays.
    """
    return f"<{tag}>\n{_unforged(text, tag).strip()}\n</{tag}>"


def _unforged(text: str, tag: str) -> str:
    opened, slashed = _looks(tag)
    if _is_plain(text, opened, slashed):
        return text
    signs, spans = _signs(text)
    instead = dict[int, str]()
    for match in opened.finditer(signs):
        if _is_tag(text, signs, match, spans):
            instead[match.start()] = _INSTEAD["<"]
            closing = _closing(text, signs, spans, match.end(1))
            if closing is not None:
                instead[closing] = _INSTEAD[">"]
    for match in slashed.finditer(signs):
        if match[1].strip("/>") != _ANY * len(tag) and not _PATH.search(text[: spans[match.start()][0]]):
            instead[match.end(1)] = _INSTEAD[">"]
    pieces, at = [], 0
    for place in sorted(instead):
        start, end = spans[place]
        pieces += [text[at:start], instead[place]]
        at = end
    return "".join([*pieces, text[at:]])


def _is_plain(text: str, *looks: re.Pattern[str]) -> bool:
    """Whether a text without escaped signs has no such look, told without the place of each sign: in a third
    of the time (2026-11-28)."""
    if not any(map(_is_telling, set(_UNTELLING.sub("", text)))):
        return True
    if any(map(text.__contains__, _IN_ESCAPES)) and _ESCAPE.search(text):
        return False
    signs = "".join(map(_shown, text))
    return not any(look.search(signs) for look in looks)


def _is_tag(text: str, signs: str, match: re.Match[str], spans: list[tuple[int, int]]) -> bool:
    """Whether what follows a bracket can be taken for the tag: with a slash, or with a bracket right behind
    it; not if it is but the start of a longer word of another alphabet."""
    has_slash, word = "/" in match[1], match[1].replace(">", "").replace("/", "")
    behind = spans[match.end(1) - 1][1]
    if has_slash:
        return not (_ANY in word and text[behind : behind + 1].isalpha())
    return signs[match.end(1) : match.end(1) + 1] == ">" and word != _ANY * len(word)


def _closing(text: str, signs: str, spans: list[tuple[int, int]], end: int) -> int | None:
    """The place of the bracket that closes a tag, on its line or right behind it."""
    place = next(
        (at for at in range(end, min(end + _WITHIN_CHARS + 1, len(signs))) if signs[at] in "<>"), None
    )
    if place is None or signs[place] == "<":
        return None
    is_near = place == end or "\n" not in text[spans[end - 1][1] : spans[place][0]]
    return place if is_near else None


def _signs(text: str) -> tuple[str, list[tuple[int, int]]]:
    """The brackets, slashes and letters of a text as a reader takes them, and where each stands in it; all
    other signs are left out, however many."""
    letters, spans, at = list[str](), list[tuple[int, int]](), 0
    while at < len(text):
        escape = _ESCAPE.match(text, at) if text[at] in "&\\%Uu" else None
        sign, end = _meant(escape) if escape else (text[at], at + 1)
        for letter in _shown(sign):
            letters.append(letter)
            spans.append((at, end))
        at = end
    return "".join(letters), spans


def _meant(escape: re.Match[str]) -> tuple[str, int]:
    """The sign that is escaped, and where its escape ends; the sign that stands there where it is none."""
    if escape["entity"]:
        plain = html.unescape(f"&{escape['entity']}")  # `&ltocr` needs no semicolon
        none = not plain or plain[0] == "&" or (plain[1:] and not escape[0].endswith(plain[1:]))
        return ("&", escape.start() + 1) if none else (plain[0], escape.end() - len(plain) + 1)
    digits = escape["four"] or escape["two"] or escape["any"]
    code = int(digits, 16) if digits else int(escape["octal"], 8)
    is_sign = code <= sys.maxunicode
    return (chr(code), escape.end()) if is_sign else (escape[0][0], escape.start() + 1)


@lru_cache(maxsize=8192)
def _is_telling(sign: str) -> bool:
    """Whether a tag is to be looked for in a text with this sign."""
    return _shown(sign) in ("<", ">") or sign in _IN_ESCAPES


@lru_cache(maxsize=8192)
def _shown(sign: str) -> str:
    """What a sign is to a reader: `<`, `>`, `/`, letters and digits, `*` for a letter that may be any, or
    nothing."""
    if 0xE0020 <= ord(sign) <= 0xE007E:  # invisible, and plain text to a model
        return _shown(chr(ord(sign) - 0xE0000))
    bracket = _bracket(sign)
    if bracket:
        return bracket
    name = unicodedata.name(sign, "")
    if unicodedata.category(sign)[0] in "PS" and _SLASHES.search(name):
        return "/"
    drawn = _DRAWN_LETTER.search(name)
    plain = unicodedata.normalize("NFKD", sign).casefold()
    if drawn and not plain.isascii():
        return drawn[1].lower()
    return "".join(
        letter if letter.isascii() or not _is_foreign(letter) else _ANY
        for letter in plain
        if letter.isalnum()
    )


def _bracket(sign: str) -> str:
    """`<` or `>` for a sign that looks like it, points there, opens or closes; "" for others."""
    if unicodedata.category(sign)[0] not in "PS":
        return "<" if sign in _OPENING_LETTERS else ">" if sign in _CLOSING_LETTERS else ""
    name = unicodedata.name(sign, "")
    if unicodedata.normalize("NFKC", sign)[0] in "()⦅⦆" or _QUOTES.search(name):
        return ""
    category = unicodedata.category(sign)
    if category == "Ps" or _OPENS.search(name):
        return "<"
    return ">" if category == "Pe" or _CLOSES.search(name) else ""


def _is_foreign(letter: str) -> bool:
    return letter.isalpha() and _FOREIGN.match(unicodedata.name(letter, "")) is not None


@lru_cache(maxsize=64)
def _looks(tag: str) -> tuple[re.Pattern[str], re.Pattern[str]]:
    """The tag behind an opening bracket, and behind a slash with a closing bracket behind it."""
    letters = tag.replace("_", "")  # a sign like others
    word = "[/>]*".join(f"[{letter}{_DIGITS.get(letter, '')}*]" for letter in letters)
    return re.compile(f"<(?=([/>]*{word}))"), re.compile(f"/(?=({word})>)")
