"""All answers compared by record: what each change did to the base. Archives of ablations carry this."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from datakit.artifacts.ablation_record import BASE, Change
from datakit.evaluation.evaluation import Evaluated
from datakit.evaluation.metrics import Counts, Floats
from datakit.evaluation.outcomes import Outcomes
from datakit.evaluation.pooled import Effect, Noise, compare

OVERLAP = 0.5
"""A change that holds out fewer than this share of the base's records is compared with nothing."""

Key = tuple[str, str]
"""Id and label of a record."""


@dataclass
class Answered:
    """What a change's trainings answered."""

    change: Change
    runs: list[Evaluated] = field(default_factory=list)
    files: list[Path] = field(default_factory=list)
    build: str = ""
    """Name of the first one's build."""

    @property
    def tables(self) -> list[dict[Key, str | None]]:
        """Of each training, by id and label, what was answered."""
        found = []
        for run in self.runs:
            outcomes = run.outcomes
            assert isinstance(outcomes, Outcomes)  # an ablation is of answers of one label
            rows = zip(outcomes.ids, outcomes.truth, outcomes.answers)  # noqa: B905 (they are of one length)
            found.append({(id_, truth): answer.predicted for id_, truth, answer in rows})
        return found


@dataclass
class Comparison:
    """All changes, compared on the records that all of them held out."""

    base: Answered | None = None
    changes: list[Answered] = field(default_factory=list)
    """Those that were compared."""
    effects: dict[str, Effect] = field(default_factory=dict)
    """By the name of the change."""
    accuracy: dict[str, float] = field(default_factory=dict)
    """Of each change and the base, meant over trainings, on the compared records."""
    common: list[Key] = field(default_factory=list)
    """The records that were compared, in the base's order."""
    right: dict[str, Floats] = field(default_factory=dict)
    """By the name of the change how often each record was right, from 0 to 1."""
    unanswered: list[str] = field(default_factory=list)
    """Builds that have no answers yet."""
    notes: list[str] = field(default_factory=list)
    spread: float | None = None
    """Standard deviation of accuracy from training to training; None where nothing was trained twice."""

    @property
    def records(self) -> int:
        return len(self.common)

    @property
    def is_whole(self) -> bool:
        return self.base is not None and not self.unanswered


def compare_answers(answered: Sequence[Answered], seed: int) -> Comparison:
    """The comparison of the answers that are there; with the base's missing, of none."""
    result = Comparison()
    base = next((own for own in answered if own.change.name == BASE and own.runs), None)
    if base is None:
        return result
    result.base = base
    common = _common(base.tables)
    of = len(base.tables[0])
    for own in answered:
        if own is base or not own.runs:
            continue
        shared = _common([dict.fromkeys(common), *own.tables])
        if len(shared) < OVERLAP * of:
            result.notes.append(
                f"{own.change.words} is not compared: of the base's {of:,} held-out records it holds out "
                f"{len(shared):,} with the same label"
            )
            continue
        common = shared
        result.changes.append(own)
    result.common = common
    if len(common) < of:
        result.notes.append(f"compared on the {len(common):,} records that all hold out, of {of:,}")
    if result.changes and common:
        _compare(result, seed)
    return result


def missing_note(build: str, run: Evaluated) -> list[str]:
    """What is to be said of records that got no answer."""
    missing = run.evaluation.trouble.get("missing")
    if missing is None:
        return []
    return [f"{build}: {missing.count:,} records have no answer and count as wrong"]


def _common(tables: Sequence[dict[Key, str | None]]) -> list[Key]:
    """The records that all have with one label, in the first one's order."""
    return [key for key in tables[0] if all(key in table for table in tables[1:])]


def _compare(result: Comparison, seed: int) -> None:
    assert result.base is not None  # the caller has one
    given = {
        own.change.name: [[table[key] for key in result.common] for table in own.tables]
        for own in (result.base, *result.changes)
    }
    said = {label for own in given.values() for table in own for label in table if label is not None}
    place = {label: at for at, label in enumerate(sorted({label for _, label in result.common} | said))}
    truth = _codes([label for _, label in result.common], place)
    answers = {name: np.stack([_codes(table, place) for table in own]) for name, own in given.items()}
    result.effects = compare(truth, answers, BASE, seed=seed)
    noise = Noise.of([(own == truth).mean(axis=1) for own in answers.values()])
    result.spread = round(noise.variance**0.5, 6) if noise.degrees else None
    result.right = {name: (own == truth).mean(axis=0) for name, own in answers.items()}
    result.accuracy = {name: float(own.mean()) for name, own in result.right.items()}


def _codes(values: Sequence[str | None], place: dict[str, int]) -> Counts:
    return np.array([-1 if value is None else place[value] for value in values], dtype=np.int64)
