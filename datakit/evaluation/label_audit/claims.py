"""What a description claims, clause by clause, and on how many pictures of its class text bears it out."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache

from datakit.core.labels import Label, normal_form

_CLAUSE_END = re.compile(r"[，,；;。！!？?\n]|\.(?:\s|$)|(?:：|: )")
_PIECE_END = re.compile(r"[、/“”\"「」（）()和或与及以等]|\s(?:and|or|with)\s")
_DENIAL = re.compile(
    r"没有|不是|不写|不含|不带|不选|不显示|并非|而非|不同于|不再|区别于|\b(?:no|not|without|never|unlike)\b"
)
_OPENING = re.compile(r"^(?:[^有写]{0,2}有|[^写]{0,2}写着|可?是|[^为]{0,2}为|带|含)(?=..)")
"""What a clause opens with before the thing that it names: 可有, 醒目写着, 标题多为."""
_WORD = re.compile(r"[a-z]{4,}")
_GAP = re.compile(r"(?<=[a-z0-9])\s+(?=[a-z0-9])")
_RUN = 3
"""Characters in a row that a piece of a clause must share with a text; all of a shorter piece."""
_LEAST = 2


@dataclass(frozen=True)
class Clause:
    """A part of a description between two signs of punctuation."""

    text: str

    @cached_property
    def claimed(self) -> tuple[str, ...]:
        """What it says there is, in pieces."""
        return _pieces(self._halves[0])

    @cached_property
    def denied(self) -> tuple[str, ...]:
        """What it says there is not, in pieces."""
        return _pieces(self._halves[1])

    @cached_property
    def _halves(self) -> tuple[str, str]:
        denial = _DENIAL.search(self.text.casefold())
        return (self.text, "") if denial is None else (self.text[: denial.start()], self.text[denial.end() :])


def clauses(description: str) -> list[Clause]:
    return [Clause(part.strip()) for part in _CLAUSE_END.split(description) if part and part.strip()]


def text_form(line: str) -> str:
    """A line in the form that `bears` looks in: without differences of width and case, and without white
    space but for that between Latin words, which are looked for whole."""
    return " ".join(map(normal_form, _GAP.split(unicodedata.normalize("NFKC", line).casefold())))


def bears(form: str, pieces: Sequence[str]) -> bool:
    """Whether a text, in its `text_form`, holds one of the pieces, or enough of it."""
    return any(_holds(form, piece) for piece in pieces)


def tells_apart(label: Label, rival: Label) -> bool:
    """Whether a description says what the label is not, in words of the rival's name or description."""
    own_words = text_form(label.name)
    words = (rival.name, *rival.aliases, *rival.keywords, rival.short)
    about = "\n".join((*map(text_form, words), _claims(rival)))
    return any(
        _holds(about, piece) and piece not in own_words
        for clause in clauses(label.description)
        for piece in clause.denied
    )


def _claims(label: Label) -> str:
    return "\n".join(piece for clause in clauses(label.description) for piece in clause.claimed)


def _holds(form: str, piece: str) -> bool:
    if piece.isascii() and (words := _WORD.findall(piece)):
        return any(_whole(word).search(form) for word in words)
    if len(piece) <= _RUN:
        return piece in form
    return any(piece[at : at + _RUN] in form for at in range(len(piece) - _RUN + 1))


@lru_cache(maxsize=8192)
def _whole(word: str) -> re.Pattern[str]:
    """A Latin word of its own, in the singular or plural: `board` stands not in `boarding`."""
    return re.compile(rf"(?<![a-z]){word.removesuffix('s')}(?:e?s)?(?![a-z])")


def _pieces(text: str) -> tuple[str, ...]:
    return tuple(_split(unicodedata.normalize("NFKC", text).casefold()))


def _split(text: str) -> Iterator[str]:
    for part in _PIECE_END.split(text):
        piece = part.strip() if _WORD.search(part) else _OPENING.sub("", normal_form(part))
        if len(piece) >= _LEAST:
            yield piece
