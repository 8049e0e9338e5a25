"""Free text: how near an answer comes to the nearest of its references, from 0 to 1.

Three figures, each the best over a record's references, and the mean over the records:

- exact match, after `normal`: NFKC, case, punctuation and white space aside.
- character F1: SQuAD's F1 (Rajpurkar and others 2016) with characters for words, as Chinese is scored in MLQA
  (Lewis and others 2020). Of the two normal forms, overlap = the characters they share, each as often as it
  stands in both; F1 = 2 * overlap / (characters of the answer + characters of the reference).
- ANLS: Average Normalised Levenshtein Similarity (Biten and others 2019, ST-VQA): 1 - distance / the longer
  length, and 0 where distance / length is 0.5 or more. On NFKC without case and with white space folded to
  one space; punctuation counts, as it does there.
"""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np

from datakit.evaluation.bootstrap import Right, ratio
from datakit.evaluation.metrics import Floats

THRESHOLD = 0.5
"""A distance of this part of the longer text or more is worth nothing (ST-VQA's)."""
_PERCENT = re.compile(r"(?<=\d)\s+(?=%)")
_KEPT = re.compile(r"(?<=\d)[.:/-](?=\d)|(?<![\w%])-(?=\d)|(?<=\d)%")
"""Punctuation that belongs to a number: inside it, its sign and its percent sign. 3.5 is not 35."""


@dataclass(frozen=True, slots=True)
class TextScore:
    """What one answer is worth."""

    exact: bool
    char_f1: float
    anls: float


NOTHING = TextScore(exact=False, char_f1=0.0, anls=0.0)
"""Of an answer that is no text."""


@dataclass(frozen=True)
class Texts:
    """The scores of some records; the `Figures` of the task."""

    scores: Sequence[TextScore]
    referee: Floats | None = None
    """What a referee gave each, 0 to 1; NaN where there is no verdict. None without a referee."""

    shares: frozenset[str] = field(default=frozenset({"exact_match"}), repr=False)

    @property
    def records(self) -> int:
        return len(self.scores)

    @cached_property
    def right(self) -> Right:
        """Whether each answer is one of its references."""
        return np.array([score.exact for score in self.scores], dtype=bool)

    @cached_property
    def _columns(self) -> tuple[Floats, Floats]:
        char_f1, anls = [score.char_f1 for score in self.scores], [score.anls for score in self.scores]
        return np.array(char_f1), np.array(anls)

    def of(self, weights: Floats) -> dict[str, Floats]:
        """char_f1, anls and exact_match for each row of weights; referee, over the records it has judged."""
        total = weights.sum(axis=1)
        char_f1, anls = self._columns
        figures = {
            "char_f1": weights @ char_f1 / total,
            "anls": weights @ anls / total,
            "exact_match": weights @ self.right / total,
        }
        if self.referee is not None:
            judged = ~np.isnan(self.referee)
            drawn = weights[:, judged]
            figures["referee"] = ratio(drawn @ self.referee[judged], drawn.sum(axis=1))
        return figures


def text_score(answer: str, references: Sequence[str]) -> TextScore:
    """The answer against the nearest of its references, figure by figure."""
    plain, folded = normal(answer), _factored(answer)
    forms = [normal(text) for text in references]
    return TextScore(
        exact=plain in forms,
        char_f1=max(_char_f1(plain, form) for form in forms),
        anls=max(_similarity(folded, _factored(text)) for text in references),
    )


def normal(text: str) -> str:
    """The text in NFKC, without case, white space and punctuation.

    Punctuation (Unicode's categories P) stays where it belongs to a number: `.`, `:`, `/` and `-` between two
    digits, `-` in front of a number, `%` behind one.
    """
    text = _PERCENT.sub("", unicodedata.normalize("NFKC", text).casefold().replace("\N{MINUS SIGN}", "-"))
    places = {match.start() for match in _KEPT.finditer(text)}
    return "".join(
        char
        for at, char in enumerate(text)
        if not char.isspace() and (at in places or not unicodedata.category(char).startswith("P"))
    )


def char_f1(answer: str, reference: str) -> float:
    """Character F1 of two texts; 1 when neither has a character left, 0 when one has none."""
    return _char_f1(normal(answer), normal(reference))


def anls(answer: str, reference: str) -> float:
    """Thresholded normalised Levenshtein similarity of two texts."""
    return _similarity(_factored(answer), _factored(reference))


def edit_distance(first: str, second: str) -> int:
    """Levenshtein's distance in characters.

    Myers' bit vectors (1999) in Hyyrö's form (2003): a column of the table is one integer of any length.
    """
    pattern, text = sorted((first, second), key=len)
    if not pattern:
        return len(text)
    full, last = (1 << len(pattern)) - 1, 1 << (len(pattern) - 1)
    places: dict[str, int] = {}
    for at, char in enumerate(pattern):
        places[char] = places.get(char, 0) | 1 << at
    up, down, distance = full, 0, len(pattern)
    for char in text:
        equal = places.get(char, 0)
        across = equal | down
        equal |= (((equal & up) + up) ^ up) | down
        more, less = down | ~(equal | up), up & equal
        distance += bool(more & last) - bool(less & last)
        more, less = more << 1 | 1, less << 1
        up, down = (less | ~(across | more)) & full, more & across & full
    return distance


def _factored(text: str) -> str:
    return " ".join(unicodedata.normalize("NFKC", text).casefold().split())


def _char_f1(answer: str, reference: str) -> float:
    if not answer or not reference:
        return float(answer == reference)
    overlap = sum((Counter(answer) & Counter(reference)).values())
    return 2 * overlap / (len(answer) + len(reference))


def _similarity(answer: str, reference: str) -> float:
    longer = max(len(answer), len(reference))
    distance = edit_distance(answer, reference) / longer if longer else 0.0
    return 1.0 - distance if distance < THRESHOLD else 0.0
