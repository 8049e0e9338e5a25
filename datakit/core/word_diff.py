"""What differs between two texts, word by word; Chinese, Japanese and Korean sign by sign."""

from __future__ import annotations

import difflib
import re
from collections import Counter
from collections.abc import Iterable, Iterator
from typing import Literal

Sign = Literal["=", "-", "+"]
Piece = tuple[Sign, str]
"""`=` stands in both texts, `-` in the first alone, `+` in the second alone."""

MOST_WORDS = 4_000
"""Words of either text, without their common beginning and end, that are compared one by one: the time grows
with the square. Longer ones differ as a whole."""
_SHORT = 2
"""Equal words between two changes that are too few to be read as kept: one change is quicker to read."""
_WIDE = "\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uac00-\ud7af\uf900-\ufaff\U00020000-\U000323af"
_WORD = re.compile(rf"[{_WIDE}]|[^\W{_WIDE}]+|\s+|[^\w\s]")


def words(text: str) -> list[str]:
    """The words, blanks and signs of a text, which together are the text.

    >>> words("红色 T-shirt")
    ['红', '色', ' ', 'T', '-', 'shirt']
    """
    return _WORD.findall(text)


def word_diff(before: str, after: str) -> list[Piece]:
    """The pieces of both texts in order; those with `=` or `-` are the first one, with `=` or `+` the second.

    >>> word_diff("a red shirt", "a blue shirt")
    [('=', 'a '), ('-', 'red'), ('+', 'blue'), ('=', ' shirt')]
    """
    first, second = words(before), words(after)
    head = _common(first, second)
    tail = _common(first[head:][::-1], second[head:][::-1])
    old, new = first[head : len(first) - tail], second[head : len(second) - tail]
    pieces: list[tuple[Sign, list[str]]] = [
        ("=", first[:head]),
        *_changes(old, new),
        ("=", first[len(first) - tail :]),
    ]
    return list(_merged(pieces))


def changed_share(before: str, after: str) -> float:
    """How much of two texts is in one of them alone, 0 to 1, by their words without order: quick."""
    first, second = Counter(words(before)), Counter(words(after))
    total = first.total() + second.total()
    return 1 - 2 * (first & second).total() / total if total else 0.0


def as_plain(pieces: Iterable[Piece]) -> str:
    """The pieces as one text: `[-gone-]` and `{+new+}`, as `wdiff` and `git diff --word-diff` write them."""
    marks = {"=": "{}", "-": "[-{}-]", "+": "{{+{}+}}"}
    return "".join(marks[sign].format(text) for sign, text in pieces)


def shortened(pieces: Iterable[Piece], around: int) -> list[Piece]:
    """The pieces with so many characters of what stands in both beside each change, and of long changes the
    beginning."""
    listed = list(pieces)
    shown: list[Piece] = []
    for at, (sign, text) in enumerate(listed):
        first, last = at == 0, at == len(listed) - 1
        if sign == "=" and len(text) > around * (1 if first or last else 2) + 1:
            text = ("" if first else text[:around]) + "…" + ("" if last else text[-around:])
        elif sign != "=" and len(text) > 4 * around:
            text = f"{text[: 4 * around]}… ({len(text):,} characters)"
        shown.append((sign, text))
    return shown


def _common(first: list[str], second: list[str]) -> int:
    """How many words both begin with."""
    for at, (word, other) in enumerate(zip(first, second, strict=False)):
        if word != other:
            return at
    return min(len(first), len(second))


def _changes(old: list[str], new: list[str]) -> Iterator[tuple[Sign, list[str]]]:
    if max(len(old), len(new)) > MOST_WORDS:
        yield from (("-", old), ("+", new))
        return
    blocks = difflib.SequenceMatcher(None, old, new, autojunk=False).get_opcodes()
    for at, (kind, start, end, new_start, new_end) in enumerate(blocks):
        if kind == "equal" and (end - start > _SHORT or at in (0, len(blocks) - 1)):
            yield "=", old[start:end]
        else:
            yield "-", old[start:end]
            yield "+", new[new_start:new_end]


def _merged(pieces: Iterable[tuple[Sign, list[str]]]) -> Iterator[Piece]:
    """Each change as one piece that goes and one that comes."""
    gone: list[str] = []
    come: list[str] = []
    for sign, part in pieces:
        if sign == "-":
            gone += part
        elif sign == "+":
            come += part
        elif part:
            yield from _change(gone, come)
            gone, come = [], []
            yield "=", "".join(part)
    yield from _change(gone, come)


def _change(gone: list[str], come: list[str]) -> Iterator[Piece]:
    if gone:
        yield "-", "".join(gone)
    if come:
        yield "+", "".join(come)
