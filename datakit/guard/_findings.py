"""What is wrong with the reasons of one label: each on its own, and compared with one another."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple, Protocol

import polars as pl

from datakit.core.likeness import grams, jaccard
from datakit.core.near_texts import likely_pairs
from datakit.core.step_context import StepContext
from datakit.guard._conclusion import Conclusions

_LETTER = r"\p{L}"
_HAN = r"\p{Han}"
FLAGS = {
    "reason_missing": "the record has no reason",
    "reason_too_short": "shorter than min_chars",
    "reason_too_long": "longer than max_chars",
    "reason_language": "too few of its letters are Chinese (min_chinese)",
    "reason_contradicts": "it concludes another label than the record's",
    "reason_repeated": "another record of the label has the same words",
    "reason_too_similar": "another reason of the label is more alike than max_similarity",
    "reason_opening": "too many reasons of the label open with the same words",
}
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


@dataclass
class Findings:
    """The faults of one label's reasons, by record id."""

    limits: ReasonSettings
    bounds: Bounds
    flags: dict[str, list[str]] = field(default_factory=dict)
    details: dict[tuple[str, str], str] = field(default_factory=dict)
    """(id, flag) -> the figures, for the user."""
    similarity: dict[str, float] = field(default_factory=dict)
    """To the nearest reason of the label, as far as it is known."""
    neighbours: dict[str, list[str]] = field(default_factory=dict)
    """Ids of the reasons that a flagged one is too much like, the nearest first."""

    def detail(self, id_: str, flag: str) -> str:
        return self.details.get((id_, flag), FLAGS[flag])

    def _flag(self, id_: str, flag: str, detail: str = "") -> None:
        self.flags.setdefault(id_, []).append(flag)
        if detail:
            self.details[id_, flag] = detail

    def shape(self, ids: Sequence[str], texts: Sequence[str | None]) -> None:
        """Missing, too short, too long, not Chinese."""
        text = pl.col("text").str.strip_chars()
        letters = text.str.count_matches(_LETTER)
        table = pl.DataFrame({"id": ids, "text": texts}, schema={"id": pl.String, "text": pl.String})
        measured = table.select(
            "id",
            chars=text.str.len_chars(),
            chinese=text.str.count_matches(_HAN) / pl.max_horizontal(letters, 1),
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
                    id_, "reason_language", f"{chinese:.0%} of its letters are Chinese, see min_chinese"
                )

    def contradictions(
        self, label: str, ids: Sequence[str], texts: Sequence[str | None], conclusions: Conclusions
    ) -> None:
        """Reasons that conclude another label."""
        for id_, text in zip(ids, texts, strict=True):
            other = conclusions.other(text, label) if text else None
            if other is not None:
                self._flag(id_, "reason_contradicts", f"it concludes {other}, the label is {label}")

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


def counted(findings: Sequence[Findings]) -> dict[str, int]:
    """How often each flag was raised."""
    counts = Counter(flag for group in findings for flags in group.flags.values() for flag in flags)
    return dict(sorted(counts.items()))
