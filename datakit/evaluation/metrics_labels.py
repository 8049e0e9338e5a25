"""Several labels a record: how near each set of answered labels comes to the true set.

Formulas as in scikit-learn's user guide 3.4.4 on indicator matrices (checked against it in the tests): a
column for each label that is true or answered anywhere, 0 for a ratio of which only the part is 0. An answer
that is no set of labels counts as the empty set and is never right.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from datakit.evaluation.bootstrap import Right, ratio
from datakit.evaluation.metrics import Floats

Labels = frozenset[str]
Ints = NDArray[np.int64]


@dataclass(frozen=True)
class LabelSets:
    """True and answered labels of some records; the `Figures` of the task."""

    truth: tuple[Labels, ...]
    answers: tuple[Labels | None, ...]
    """None for an answer that is no set of labels."""
    classes: tuple[str, ...]
    """Every label that is true or answered, each a column."""
    possible: int = 0
    """Labels that a record may have, for the Hamming loss; the classes when the label file has fewer."""

    shares = frozenset({"subset_accuracy"})

    @property
    def records(self) -> int:
        return len(self.truth)

    @cached_property
    def right(self) -> Right:
        """Whether the answer is the true set, no more and no less."""
        pairs = zip(self.truth, self.answers, strict=True)
        return np.array([truth == answer for truth, answer in pairs], dtype=bool)

    def of(self, weights: Floats) -> dict[str, Floats]:
        """subset_accuracy, micro_f1, macro_f1, weighted_f1 and hamming_loss for each row of weights."""
        hit, answered, true = self._sums(weights)
        total = weights.sum(axis=1)
        both = answered + true
        f1 = np.nan_to_num(ratio(2 * hit, both))  # 0 for a class that no drawn record has
        support = true.sum(axis=1)
        weighted = np.where(support > 0, np.nan_to_num(ratio((f1 * true).sum(axis=1), support)), 0.0)
        possible = max(self.possible, len(self.classes))
        return {
            "subset_accuracy": weights @ self.right / total,
            "micro_f1": ratio(2 * hit.sum(axis=1), both.sum(axis=1)),
            "macro_f1": ratio(f1.sum(axis=1), (both > 0).sum(axis=1).astype(float)),
            "weighted_f1": np.where(both.sum(axis=1) > 0, weighted, np.nan),
            "hamming_loss": ratio((both - 2 * hit).sum(axis=1), total * possible),
        }

    def per_class(self) -> dict[str, Floats]:
        """precision, recall, f1, support and answered of every class; 0 for a ratio of nothing."""
        hit, answered, true = (sums[0] for sums in self._sums(np.ones((1, self.records))))
        return {
            "precision": np.nan_to_num(ratio(hit, answered)),
            "recall": np.nan_to_num(ratio(hit, true)),
            "f1": np.nan_to_num(ratio(2 * hit, answered + true)),
            "support": true,
            "answered": answered,
        }

    def _sums(self, weights: Floats) -> tuple[Floats, Floats, Floats]:
        hit, answered, true = self._members
        return hit.sums(weights), answered.sums(weights), true.sums(weights)

    @cached_property
    def _members(self) -> tuple[_Members, _Members, _Members]:
        answers = [answer or frozenset() for answer in self.answers]
        hits = [truth & answer for truth, answer in zip(self.truth, answers, strict=True)]
        return tuple(_Members.of(sets, self.classes) for sets in (hits, answers, self.truth))  # type: ignore[return-value]


def classes_of(sets: Iterable[Labels | None], order: Sequence[str] = ()) -> tuple[str, ...]:
    """Every label of the sets: those of `order` as they stand there, the others behind them by name."""
    present = {label for labels in sets if labels for label in labels}
    ordered = [label for label in order if label in present]
    return (*ordered, *sorted(present - set(ordered)))


@dataclass(frozen=True)
class _Members:
    """Which records have which label: the records of the first class that has any, then of the next."""

    rows: Ints
    starts: Ints
    present: Ints
    """The classes that some record has."""
    classes: int

    @classmethod
    def of(cls, sets: Sequence[Labels], classes: Sequence[str]) -> _Members:
        place = {label: at for at, label in enumerate(classes)}
        pairs = sorted((place[label], row) for row, labels in enumerate(sets) for label in labels)
        codes = np.array([code for code, _ in pairs], dtype=np.int64)
        present, starts = np.unique(codes, return_index=True)
        return cls(np.array([row for _, row in pairs], dtype=np.int64), starts, present, len(classes))

    def sums(self, weights: Floats) -> Floats:
        """The weight of the records of every class, for each row of weights."""
        sums = np.zeros((len(weights), self.classes))
        if len(self.rows):
            sums[:, self.present] = np.add.reduceat(weights[:, self.rows], self.starts, axis=1)
        return sums
