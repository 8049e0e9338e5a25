"""A fence around a record's text, of tags that the text cannot write itself."""

from __future__ import annotations

import html
import re
import sys
import unicodedata
from functools import lru_cache

_TAG = re.compile(r"[a-z][a-z_]{0,19}", re.ASCII)
_INSTEAD = "（"
_OPENS = re.compile(r"\bLESS|PRECEDE|LEFT|SUBGROUP")
"""Within the Unicode name of a sign that looks like `<`, points left or opens."""
_OPENING_LETTERS = "ᐸㄑᚲ"
"""Letters that look like `<`."""
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


def is_tag(tag: str) -> bool:
    """Whether a word can be a fence's tag: up to 20 small letters and underscores."""
    return _TAG.fullmatch(tag) is not None


def fence(text: str, tag: str) -> str:
    """The text on lines of its own between `<tag>` and `</tag>`, which nothing in it can close.

    Wherever a reader could take what stands in the text for the tag, its bracket becomes `（`: with whatever
    signs or spaces in it, with any sign that opens or points left for its bracket, in letters of any alphabet
    or width, written out or escaped (`&lt;`, `\\u003c`).
    """
    return f"<{tag}>\n{_unforged(text, tag).strip()}\n</{tag}>"


def _unforged(text: str, tag: str) -> str:
    letters, spans = _letters(text)
    pieces, at = [], 0
    for match in _looks(tag).finditer(letters):
        start, end = spans[match.start()]
        behind = spans[match.end(1) - 1][1]
        if _ANY in match[1] and text[behind : behind + 1].isalpha():
            continue  # a longer word of another alphabet
        pieces += [text[at:start], _INSTEAD]
        at = end
    return "".join([*pieces, text[at:]])


def _letters(text: str) -> tuple[str, list[tuple[int, int]]]:
    """The brackets and letters of a text as a reader takes them, and where each stands in it; all other signs
    are left out, however many."""
    if not any(_shown(sign) == "<" or sign in "&\\%+" for sign in set(text)):
        return "", []
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
def _shown(sign: str) -> str:
    """What a sign is to a reader: `<`, letters and digits, `*` for a letter that may be any, or nothing."""
    if _opens(sign):
        return "<"
    plain = unicodedata.normalize("NFKD", sign).casefold()
    return "".join(
        letter if letter.isascii() or not _is_foreign(letter) else _ANY
        for letter in plain
        if letter.isalnum()
    )


def _opens(sign: str) -> bool:
    name = unicodedata.name(sign, "")
    if unicodedata.category(sign)[0] not in "PS":
        return sign in _OPENING_LETTERS
    if unicodedata.normalize("NFKC", sign)[0] in "(⦅" or _QUOTES.search(name):
        return False
    return unicodedata.category(sign) == "Ps" or _OPENS.search(name) is not None


def _is_foreign(letter: str) -> bool:
    return letter.isalpha() and _FOREIGN.match(unicodedata.name(letter, "")) is not None


@lru_cache(maxsize=64)
def _looks(tag: str) -> re.Pattern[str]:
    letters = tag.replace("_", "")  # a sign like others
    return re.compile("<(?=(" + "".join(f"[{letter}{_DIGITS.get(letter, '')}*]" for letter in letters) + "))")
