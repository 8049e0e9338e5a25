"""guard.reason: reasons that are worth training on: varied, in the right language, true to their label."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Any, ClassVar, Literal

import polars as pl
from pydantic import Field

from datakit.core.likeness import grams, jaccard
from datakit.core.outcome import Batch, reject_rows
from datakit.core.tools import Tools
from datakit.core.transform import Columns, Guard, Worker
from datakit.guard._alike import likely_pairs
from datakit.guard._conclusion import Conclusions

_LETTER = r"\p{L}"
_HAN = r"\p{Han}"
_WORDS = {
    "reason_missing": "the record has no reason",
    "reason_too_short": "shorter than min_chars",
    "reason_too_long": "longer than max_chars",
    "reason_language": "too few of its letters are Chinese (min_chinese)",
    "reason_contradicts": "it concludes another label than the record's",
    "reason_repeated": "another record of the label has the same words",
    "reason_too_similar": "another reason of the label is more alike than max_similarity",
    "reason_opening": "too many reasons of the label open with the same words",
}


class Reason(Guard):
    """The same records, with their reasons checked: each fault is marked, or rejects its record.

    Reasons that are too alike make a trained model repeat itself and its score collapse. Marked records carry
    `<column>_flags`, a list of the words below (empty for a good reason), and `<column>_similarity`, the
    Jaccard similarity of character 3-grams to the nearest reason of the same label (0 to 1; null where the
    reason is missing, or where in a label of over 300 records no near one was found).

    - reason_missing: null or blank
    - reason_too_short, reason_too_long: outside `min_chars` to `max_chars`
    - reason_language: the share of Chinese among its letters is below `min_chinese`
    - reason_contradicts: it concludes another label. A neighbour told apart (不是, 而非, 不同于, 区别于)
      may be named, and so may words in quotes
    - reason_repeated: another record of the label has exactly these words
    - reason_too_similar: its similarity to another reason of the label exceeds `max_similarity`
    - reason_opening: more than `max_equal_openings` of a label's reasons begin with the same `opening_chars`

    Of reasons that are alike, the one with the smallest id stands and the others are flagged. Compared
    within a label: up to 300 reasons each with each, more by MinHash, which misses about one in a hundred
    pairs at the bound and fewer above it.
    """

    compares: ClassVar[bool] = True

    column: str = "reason"
    """The column of texts."""
    max_similarity: float | None = Field(default=0.6, gt=0, le=1)
    """Highest similarity of two reasons of a label. null: any."""
    max_equal_openings: float | None = Field(default=0.3, gt=0, le=1)
    """Largest share of a label's reasons that may begin alike (three may always). null: any."""
    opening_chars: int = Field(default=8, ge=1)
    """Length of the beginning that is compared."""
    consistent: bool = True
    """Whether a reason may not conclude another label of the closed set. Needs `labels:`."""
    min_chars: int = Field(default=12, ge=0)
    """Fewest characters."""
    max_chars: int = Field(default=300, ge=1)
    """Most characters."""
    min_chinese: float = Field(default=0.5, ge=0, le=1)
    """Smallest share of Chinese characters among the letters. 0: any language."""
    on_fail: Literal["mark", "reject"] = "mark"
    """`mark` keeps every record and adds the two columns; `reject` drops records with a fault."""

    def needs(self, tools: Tools) -> tuple[str, ...]:
        return (self.column, "label")

    def gives(self, tools: Tools) -> Columns:
        if self.on_fail == "reject":
            return {}
        return {f"{self.column}_flags": pl.List(pl.String()), f"{self.column}_similarity": pl.Float64()}

    def start(self, tools: Tools, frame: pl.LazyFrame) -> Worker:
        table = frame.select("id", "label", text=self.column).sort("id").collect()
        return _Check(self, tools, table)


class _Check:
    def __init__(self, guard: Reason, tools: Tools, table: pl.DataFrame) -> None:
        self.guard = guard
        self.flags: dict[str, list[str]] = {}
        self.details: dict[str, str] = {}
        self.similarity: dict[str, float] = {}
        self._shape(table)
        if guard.consistent and tools.labels is not None:
            self._contradictions(table, Conclusions(tools.labels))
        usable = table.filter(pl.col("text").str.strip_chars() != "")
        for _, group in usable.group_by("label", maintain_order=True):
            self._compare(group["id"].to_list(), group["text"].to_list())
        counted = Counter(flag for flags in self.flags.values() for flag in flags)
        self.notes: dict[str, Any] = {
            "flagged": len(self.flags),
            "of": table.height,
            "flags": dict(sorted(counted.items())),
        }

    def __call__(self, frame: pl.DataFrame) -> Batch:
        ids = frame["id"].to_list()
        if self.guard.on_fail == "mark":
            name = self.guard.column
            flags = pl.Series([self.flags.get(id_, []) for id_ in ids], dtype=pl.List(pl.String()))
            near = pl.Series([self.similarity.get(id_) for id_ in ids], dtype=pl.Float64())
            return Batch(frame.with_columns(flags.alias(f"{name}_flags"), near.alias(f"{name}_similarity")))
        bad = pl.Series([id_ in self.flags for id_ in ids], dtype=pl.Boolean())
        rejects = []
        for row in frame.filter(bad).iter_slices(1):
            (id_,) = row["id"]
            flag = self.flags[id_][0]
            rejects += reject_rows(row, flag, [self.details.get(f"{id_}\0{flag}", _WORDS[flag])])
        return Batch(frame.filter(~bad), rejects)

    def _flag(self, id_: str, flag: str, detail: str = "") -> None:
        self.flags.setdefault(id_, []).append(flag)
        if detail:
            self.details[f"{id_}\0{flag}"] = detail

    def _shape(self, table: pl.DataFrame) -> None:
        """Missing, too short, too long, not Chinese."""
        text = pl.col("text").str.strip_chars()
        letters = text.str.count_matches(_LETTER)
        counted = table.with_columns(
            chars=text.str.len_chars(), chinese=text.str.count_matches(_HAN) / pl.max_horizontal(letters, 1)
        )
        for id_, chars, chinese in counted.select("id", "chars", "chinese").iter_rows():
            if not chars:
                self._flag(id_, "reason_missing")
                continue
            if chars < self.guard.min_chars:
                self._flag(
                    id_, "reason_too_short", f"{chars} characters, min_chars is {self.guard.min_chars}"
                )
            if chars > self.guard.max_chars:
                self._flag(id_, "reason_too_long", f"{chars} characters, max_chars is {self.guard.max_chars}")
            if chinese < self.guard.min_chinese:
                self._flag(
                    id_, "reason_language", f"{chinese:.0%} of its letters are Chinese, see min_chinese"
                )

    def _contradictions(self, table: pl.DataFrame, conclusions: Conclusions) -> None:
        for id_, label, text in table.iter_rows():
            other = conclusions.other(text, label) if label and text else None
            if other is not None:
                self._flag(id_, "reason_contradicts", f"it concludes {other}, the label is {label}")

    def _compare(self, ids: list[str], texts: list[str]) -> None:
        """Repeats, likeness and openings among the reasons of one label, in order of their ids."""
        first: dict[str, str] = {}
        single: list[int] = []
        for at, text in enumerate(texts):
            words = "".join(text.split())
            if words in first:
                self.similarity[ids[at]] = 1.0
                self.similarity[first[words]] = 1.0
                self._flag(ids[at], "reason_repeated", f"the same words as {first[words]}")
            else:
                first[words] = ids[at]
                single.append(at)
        self._likeness([ids[at] for at in single], [texts[at] for at in single])
        self._openings([ids[at] for at in single], [texts[at] for at in single], len(ids))

    def _likeness(self, ids: list[str], texts: list[str]) -> None:
        most = self.guard.max_similarity
        near: dict[int, list[tuple[int, float]]] = {}
        for one, two, likeness in _similarities(texts, most or 1.0):
            for id_ in (ids[one], ids[two]):
                self.similarity[id_] = max(self.similarity.get(id_, 0.0), likeness)
            if most is not None and likeness > most:
                near.setdefault(max(one, two), []).append((min(one, two), likeness))
        out: set[int] = set()
        for at in sorted(near):
            standing = [(likeness, -other) for other, likeness in near[at] if other not in out]
            if standing:
                likeness, other = max(standing)
                out.add(at)
                self._flag(ids[at], "reason_too_similar", f"{likeness:.2f} like {ids[-other]} (max {most})")

    def _openings(self, ids: list[str], texts: list[str], of: int) -> None:
        if self.guard.max_equal_openings is None:
            return
        allowed = max(3, int(of * self.guard.max_equal_openings))
        seen: Counter[str] = Counter()
        for id_, text in zip(ids, texts, strict=True):
            opening = "".join(text.split())[: self.guard.opening_chars]
            seen[opening] += 1
            if seen[opening] > allowed:
                self._flag(
                    id_,
                    "reason_opening",
                    f"“{opening}” opens more than {allowed} of {of} reasons of the label",
                )


def _similarities(texts: list[str], threshold: float) -> Iterator[tuple[int, int, float]]:
    sets = [grams(text) for text in texts]
    for one, two in likely_pairs(sets, threshold):
        yield one, two, jaccard(sets[one], sets[two])
