"""Records that should be labelled next as the page shows them, each with why it was chosen."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import orjson
import polars as pl

from datakit.core.language import Language
from datakit.reviewing.words import words_in

UNCERTAIN, DISAGREE, UNLIKE, STANDS_FOR = "uncertain", "voices_disagree", "unlike_labelled", "stands_for"
WHY = "next_why"
UNLABELLED = "unlabelled"
"""Stands for the split of a record that is in none."""


@dataclass(frozen=True)
class Proposal:
    """A record without a label, and why it is worth one."""

    id: str
    why: tuple[str, ...]
    """`uncertain`, `voices_disagree`, `unlike_labelled`, `stands_for`: one at the least."""
    worth: float
    """Errors that its label speaks about."""
    alike: int
    """Other records without a label that it stands for."""
    likeness: float
    """To the nearest labelled record, 0 to 1."""
    probabilities: Mapping[str, float]
    """Label -> probability, by all voices together; empty where nothing is labelled."""
    said: Mapping[str, str]
    """Voice -> the label that it says."""

    @property
    def likeliest(self) -> list[tuple[str, float]]:
        """The labels, the likeliest first."""
        return sorted(self.probabilities.items(), key=lambda item: -item[1])

    def row(self) -> dict[str, Any]:
        """For JSON and tables."""
        (label, probability), (other, next_) = [*self.likeliest, (None, None), (None, None)][:2]
        rounded = [None if value is None else round(value, 4) for value in (probability, next_)]
        return {
            "id": self.id,
            "why": list(self.why),
            "label": label,
            "probability": rounded[0],
            "other_label": other,
            "other_probability": rounded[1],
            "worth": round(self.worth, 4),
            "alike": self.alike,
            "likeness": round(self.likeness, 4),
            "said": [{"by": by, "label": said} for by, said in self.said.items()],
        }

    def words(self, language: Language) -> str:
        """Why, in a sentence a line."""
        words, first = words_in(language), self.likeliest[:2]
        told = []
        for why in self.why:
            values = {"n": f"{self.alike:,}", "said": _said(self.said, words)}
            if why == UNCERTAIN and len(first) == 2:
                (a, pa), (b, pb) = first
                values |= {"a": a, "pa": f"{pa:.0%}", "b": b, "pb": f"{pb:.0%}"}
            told.append(_filled(words[f"{why}_why"], values))
        return "\n".join(told)


def shown(records: pl.DataFrame, proposals: Sequence[Proposal], language: Language) -> pl.DataFrame:
    """The records that are proposed, in that order, with the columns that the page reads."""
    told = pl.DataFrame(
        [
            (
                one.id,
                one.words(language),
                list(one.why),
                *(one.likeliest[0] if one.probabilities else (None, None)),
                orjson.dumps({name: round(value, 6) for name, value in one.likeliest}).decode(),
            )
            for one in proposals
        ],
        schema={
            "id": pl.String,
            WHY: pl.String,
            "@tags": pl.List(pl.String),
            "prediction": pl.String,
            "prediction_probability": pl.Float64,
            "prediction_probabilities": pl.String,
        },
        orient="row",
    )
    others = records.drop([name for name in told.columns if name != "id"], strict=False)
    joined = told.join(others, on="id", how="left", maintain_order="left")
    return joined.with_columns(part=pl.lit(UNLABELLED))


def _said(said: Mapping[str, str], words: Mapping[str, str]) -> str:
    parts = [
        _filled(words["voice_says"], {"by": words.get(by, by), "label": label}) for by, label in said.items()
    ]
    return words["and_then"].join(parts)


def _filled(text: str, values: Mapping[str, str]) -> str:
    """The text with its places filled: what is put in may hold braces of its own."""
    pieces = []
    while (start := text.find("{")) >= 0:
        end = text.index("}", start)
        pieces += [text[:start], values[text[start + 1 : end]]]
        text = text[end + 1 :]
    return "".join([*pieces, text])
