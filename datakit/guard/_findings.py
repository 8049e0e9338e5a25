"""What is wrong with reasons: each on its own, and compared with others of its label and of all labels."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import NamedTuple, Protocol

import polars as pl

from datakit.core.labels import Label, LabelSet
from datakit.core.likeness import grams, jaccard
from datakit.core.near_texts import likely_pairs, near_pairs
from datakit.core.step_context import StepContext
from datakit.guard._conclusion import Conclusions, own_words_of
from datakit.guard._opening import opens_with_label
from datakit.guard._quotations import Misquotes

_LETTER = r"\p{L}"
_HAN = r"\p{Han}"
FLAGS = {
    "reason_missing": "the record has no reason",
    "reason_too_short": "shorter than min_chars",
    "reason_too_long": "longer than max_chars",
    "reason_language": "too few of its own letters are Chinese (min_chinese)",
    "reason_contradicts": "it concludes another label than the record's",
    "reason_concludes_first": "it names its label before it gives any evidence",
    "reason_misquotes": "it quotes what does not stand in the record's OCR text",
    "reason_repeated": "another record has the same words",
    "reason_too_similar": "another reason is more alike than max_similarity",
    "reason_opening": "too many reasons of the label open with the same words",
}
_MISQUOTES = {
    "missing": "{} does not stand in the OCR text",
    "denied": "it says that {} is not there, and OCR reads it",
}
_ALIKE = {"reason_repeated", "reason_too_similar"}
MOST_NEIGHBOURS = 3


class Bounds(NamedTuple):
    """What depends on the language of the reasons."""

    min_chars: int
    max_chars: int
    min_chinese: float
    opening_chars: int


BY_LANGUAGE = {"zh": Bounds(12, 300, 0.5, 8), "en": Bounds(30, 1000, 0.0, 24)}
"""A Chinese character says about what three or four letters say."""


class ReasonSettings(Protocol):
    """The parameters of guard.reason: what reasons are held to, and how they are written again."""

    column: str
    max_similarity: float | None
    max_equal_openings: float | None
    consistent: bool
    quotes_in: str | None
    template: str
    max_rewrites: int
    budget_usd: float | None
    temperature: float
    max_tokens: int

    @property
    def marks(self) -> bool:
        """Whether records that have a fault in the end are marked; else they are rejected."""
        ...

    def bounds(self, context: StepContext) -> Bounds:
        """The lengths and shares that are in force."""
        ...

    def rewrites_across(self, context: StepContext) -> bool:
        """Whether a reason that is like one of another label is written again for it."""
        ...

    def is_evidence_first(self, context: StepContext) -> bool:
        """Whether the evidence stands before the label in the recipe's answers."""
        ...


@dataclass
class Findings:
    """The faults of reasons, by record id."""

    limits: ReasonSettings
    bounds: Bounds
    flags: dict[str, list[str]] = field(default_factory=dict)
    details: dict[tuple[str, str], str] = field(default_factory=dict)
    """(id, flag) -> the figures, for the user."""
    similarity: dict[str, float] = field(default_factory=dict)
    """To the nearest reason of the label, as far as it is known."""
    neighbours: dict[str, list[str]] = field(default_factory=dict)
    """Ids of the reasons that a flagged one is too much like, the nearest first."""
    misquotes: dict[str, Misquotes] = field(default_factory=dict)
    """What a reason quotes wrongly by its record's OCR text."""

    def detail(self, id_: str, flag: str) -> str:
        return self.details.get((id_, flag), FLAGS[flag])

    def _flag(self, id_: str, flag: str, detail: str = "") -> None:
        if flag in self.flags.get(id_, ()):
            return
        self.flags.setdefault(id_, []).append(flag)
        if detail:
            self.details[id_, flag] = detail

    def shape(self, ids: Sequence[str], texts: Sequence[str | None], labels: LabelSet | None) -> None:
        """Missing, too short, too long, not Chinese: quotations and the labels' words are in the language of
        the pictures and left out."""
        own_words = own_words_of(labels)
        table = pl.DataFrame(
            {"id": ids, "text": texts, "own": [own_words(text or "") for text in texts]},
            schema=dict.fromkeys(("id", "text", "own"), pl.String()),
        )
        letters = pl.col("own").str.count_matches(_LETTER)
        measured = table.select(
            "id",
            chars=pl.col("text").str.strip_chars().str.len_chars(),
            chinese=pl.when(letters > 0).then(pl.col("own").str.count_matches(_HAN) / letters).otherwise(1.0),
        )
        least, most = self.bounds.min_chars, self.bounds.max_chars
        for id_, chars, chinese in measured.iter_rows():
            if not chars:
                self._flag(id_, "reason_missing")
                continue
            if chars < least:
                self._flag(id_, "reason_too_short", f"{chars} characters, min_chars is {least}")
            if chars > most:
                self._flag(id_, "reason_too_long", f"{chars} characters, max_chars is {most}")
            if chinese < self.bounds.min_chinese:
                self._flag(
                    id_, "reason_language", f"{chinese:.0%} of its own letters are Chinese, see min_chinese"
                )

    def contradictions(
        self, label: str, ids: Sequence[str], texts: Sequence[str | None], conclusions: Conclusions
    ) -> None:
        """Reasons that conclude another label."""
        for id_, text in zip(ids, texts, strict=True):
            other = conclusions.other(text, label) if text else None
            if other is not None:
                self._flag(id_, "reason_contradicts", f"it concludes {other}, the label is {label}")

    def openings(self, ids: Sequence[str], texts: Sequence[str | None], label: Label) -> None:
        """Reasons that open with their conclusion; one that is too short has nothing else to open with."""
        for id_, text in zip(ids, texts, strict=True):
            is_short = "reason_too_short" in self.flags.get(id_, ())
            if text and not is_short and opens_with_label(text, label):
                self._flag(id_, "reason_concludes_first", f"it opens with {label.name}, before any evidence")

    def quotations(self, misquotes: Mapping[str, Misquotes]) -> None:
        """Reasons that quote what was not read, or deny what was."""
        for id_, wrong in misquotes.items():
            self.misquotes[id_] = wrong
            self._flag(id_, "reason_misquotes", wrong.said(_MISQUOTES))

    def compare(self, ids: Sequence[str], texts: Sequence[str]) -> None:
        """Repeats, likeness and openings; of reasons that are alike the earlier in `ids` stands."""
        first: dict[str, str] = {}
        single: list[int] = []
        for at, text in enumerate(texts):
            words = "".join(text.split())
            if words in first:
                self.similarity[ids[at]] = 1.0
                self.similarity[first[words]] = 1.0
                self._flag(ids[at], "reason_repeated", f"the same words as {first[words]}")
                self._near(ids[at], [first[words]])
            else:
                first[words] = ids[at]
                single.append(at)
        self._likeness([ids[at] for at in single], [texts[at] for at in single])
        self._openings([ids[at] for at in single], [texts[at] for at in single], len(ids))

    def _near(self, id_: str, others: Sequence[str]) -> None:
        neighbours = self.neighbours.setdefault(id_, [])
        neighbours += [other for other in others if other not in neighbours][
            : MOST_NEIGHBOURS - len(neighbours)
        ]

    def _likeness(self, ids: Sequence[str], texts: Sequence[str]) -> None:
        most = self.limits.max_similarity
        near: dict[int, list[tuple[int, float]]] = {}
        sets = [grams(text) for text in texts]
        for left, right in likely_pairs(sets, most or 1.0):
            likeness = jaccard(sets[left], sets[right])
            for id_ in (ids[left], ids[right]):
                self.similarity[id_] = max(self.similarity.get(id_, 0.0), likeness)
            if most is not None and likeness > most:
                near.setdefault(max(left, right), []).append((min(left, right), likeness))
        out: set[int] = set()
        for at in sorted(near):
            standing = sorted(((likeness, -other) for other, likeness in near[at] if other not in out))
            if standing:
                likeness, other = standing[-1]
                out.add(at)
                self._flag(ids[at], "reason_too_similar", f"{likeness:.2f} like {ids[-other]} (max {most})")
                self._near(ids[at], [ids[-number] for _, number in standing[::-1]])

    def _openings(self, ids: Sequence[str], texts: Sequence[str], of: int) -> None:
        if self.limits.max_equal_openings is None:
            return
        allowed = max(3, int(of * self.limits.max_equal_openings))
        by_opening: dict[str, list[str]] = {}
        for id_, text in zip(ids, texts, strict=True):
            opening = "".join(text.split())[: self.bounds.opening_chars]
            same = by_opening.setdefault(opening, [])
            if len(same) >= allowed:
                detail = f"“{opening}” opens more than {allowed} of {of} reasons of the label"
                self._flag(id_, "reason_opening", detail)
                self._near(id_, same)
            same.append(id_)

    def across(self, ids: Sequence[str], masked: Sequence[str], labels: Mapping[str, str | None]) -> None:
        """Repeats and likeness of reasons of different labels, whose names are masked in the texts; of those
        that are alike the earlier in `ids` stands."""
        first: dict[str, str] = {}
        for id_, text in zip(ids, masked, strict=True):
            other = first.setdefault(text, id_)
            if labels[other] != labels[id_]:
                self._flag(id_, "reason_repeated", f"the same words as {other} but for the label")
                self._near(id_, [other])
        most = self.limits.max_similarity
        if most is None:
            return
        texts = list(first)
        near: dict[int, list[tuple[float, str]]] = {}
        for left, right, likeness in near_pairs(texts, most):
            if likeness > most and labels[first[texts[left]]] != labels[first[texts[right]]]:
                near.setdefault(right, []).append((likeness, first[texts[left]]))
        for at in sorted(near):
            id_ = first[texts[at]]
            standing = sorted(((-likeness, other) for likeness, other in near[at] if not self._is_out(other)))
            if standing and not self._is_out(id_):
                likeness, other = -standing[0][0], standing[0][1]
                words = f"{likeness:.2f} like {other} but for the label (max {most})"
                self._flag(id_, "reason_too_similar", words)
                self._near(id_, [neighbour for _, neighbour in standing])

    def _is_out(self, id_: str) -> bool:
        """Whether a reason has to give way to another already."""
        return not _ALIKE.isdisjoint(self.flags.get(id_, ()))

    def copy(self) -> Findings:
        """The same findings in lists of their own, so that more can be added."""
        flags = {id_: list(words) for id_, words in self.flags.items()}
        neighbours = {id_: list(ids) for id_, ids in self.neighbours.items()}
        return replace(
            self,
            flags=flags,
            details=dict(self.details),
            similarity=dict(self.similarity),
            neighbours=neighbours,
            misquotes=dict(self.misquotes),
        )

    def join(self, other: Findings) -> None:
        """Adds what was found of other records."""
        for name in ("flags", "details", "similarity", "neighbours", "misquotes"):
            getattr(self, name).update(getattr(other, name))


def counted(findings: Findings) -> dict[str, int]:
    """How often each flag was raised."""
    counts = Counter(flag for flags in findings.flags.values() for flag in flags)
    return dict(sorted(counts.items()))
