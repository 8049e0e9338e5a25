"""The words of a card in the language of its data: English in the code, Chinese out of one catalogue.

`t` gives a text with its values in the language that is spoken; `told` translates what was noted down in
English before, such as a line of a build's verdict, by the form of its sentence.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from functools import cache
from pathlib import Path

from datakit.core.language import Language

CATALOGUE = Path(__file__).parent / "wording_zh.json"
"""`texts`: what `t` is given; `noted`: forms of sentences that `told` knows; `notes`: keys of what steps note
down. English -> Chinese, with the same places for values."""
WORDS_IN = "_words"
"""Ending of a place in a noted sentence whose value is words that are translated too."""
_NUMBERS = (
    "count",
    "total",
    "lines",
    "train",
    "val",
    "groups",
    "clusters",
    "several",
    "few",
    "share",
    "wrong",
)
"""Places of noted sentences whose values are numbers."""
_NUMBER = r"\d[\d,.]*%?"
_CLAUSES = re.compile(r"; (?![^(]*\))")
_PLACE = re.compile(r"\{(\w+)\}")
_spoken: ContextVar[Language] = ContextVar("spoken", default="en")


def t(english: str, /, **values: object) -> str:
    """The text in the language that is spoken, its places filled with the values.

    >>> t("{count:,} alike", count=1_000)
    '1,000 alike'
    """
    text = _catalogue()["texts"].get(english, english) if _spoken.get() == "zh" else english
    return text.format(**values) if values else text


def later(english: str) -> str:
    """The text as it is: it stands for the catalogue's test here, and `t` is given it where it is shown."""
    return english


@contextmanager
def speaking(language: Language) -> Iterator[None]:
    """In it `t` and `told` give this language."""
    before = _spoken.set(language)
    try:
        yield
    finally:
        _spoken.reset(before)


def told(noted: str, *, parts: bool = True) -> str:
    """A sentence that was noted down in English, in the language that is spoken.

    Of clauses behind semicolons, and with `parts` of theirs behind commas, each is translated that is known;
    what is not known stays as it is.
    """
    if _spoken.get() != "zh":
        return noted
    return "；".join(_clause(clause, parts=parts) for clause in _CLAUSES.split(noted))


def note_name(key: str) -> str:
    """A key of what a step of datakit noted down as words. In Chinese one that is not known, such as the name
    of an answer form, stays as the recipe has it.

    >>> note_name("left_out")
    'left out'
    """
    if _spoken.get() != "zh":
        return key if " " in key else key.replace("_", " ")
    return _catalogue()["notes"].get(key) or _told(key) or key


def _clause(clause: str, *, parts: bool = True) -> str:
    """A clause, behind the name of a task too, or each of its parts behind commas that is known."""
    whole = _told(clause)
    if whole is not None:
        return whole
    task, colon, words = clause.partition(": ")
    if colon and (known := _told(words)) is not None:
        return f"{task}：{known}"
    behind_commas = clause.split(", ") if parts else [clause]
    said = [_told(part) or part for part in behind_commas]
    return clause if said == behind_commas else "、".join(said)


def _told(noted: str) -> str | None:
    """None for a sentence of no known form."""
    catalogue = _catalogue()["noted"]
    if noted in catalogue:
        return catalogue[noted]
    for form, chinese in _forms():
        if found := form.fullmatch(noted):
            values = found.groupdict()
            return chinese.format(
                **{
                    name: _clause(value) if name.endswith(WORDS_IN) else value
                    for name, value in values.items()
                }
            )
    return None


@cache
def _catalogue() -> dict[str, dict[str, str]]:
    catalogue: dict[str, dict[str, str]] = json.loads(CATALOGUE.read_text("utf-8"))
    return catalogue


@cache
def _forms() -> list[tuple[re.Pattern[str], str]]:
    """The sentences with places, those with the most fixed words first."""
    forms = [
        (english, chinese) for english, chinese in _catalogue()["noted"].items() if _PLACE.search(english)
    ]
    forms.sort(key=lambda form: -len(_PLACE.sub("", form[0])))
    return [(re.compile(_pattern(english), re.DOTALL), chinese) for english, chinese in forms]


def _pattern(english: str) -> str:
    pieces = _PLACE.split(english)
    return "".join(
        rf"(?P<{piece}>{_values(piece)})" if at % 2 else re.escape(piece) for at, piece in enumerate(pieces)
    )


def _values(place: str) -> str:
    """What may stand at a place; names alone in a list are not the head of a sentence with a colon."""
    return _NUMBER if place in _NUMBERS else "(?:(?!: ).)+?" if place == "listed" else ".+?"
