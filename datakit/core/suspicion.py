"""Who doubts a label, how much, and what several doubts come to.

A voice that ranks all records (a proxy, a model out of fold) has the weight s / (s + rank), where s is the
number of wrong labels to be expected: at that place of its list it has 0.5. By its
rank, not by its probability, because a model's probabilities are no chances of an error and differ from voice
to voice. Voices that speak of single records have a weight of their own. Doubts are joined by noisy-or,
1 - (1 - a)(1 - b)…: one voice alone keeps its own order, and a second one can only raise a record.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby

from datakit.core.language import Language

OUT_OF_FOLD: dict[Language, str] = {
    "zh": "折外模型：预测为{other}{sure}，给{label}的概率 {given}",
    "en": "model out of fold: predicts {other}{sure}, gives {label} {given}",
}
"""What a model says of a record that it was not shown."""
EXPECTED_SHARE = 0.034
"""Share of wrong labels to be expected: the mean of ten test sets in wide use (Northcutt, Athalye and Mueller
2021, Pervasive Label Errors in Test Sets Destabilize Machine Learning Benchmarks)."""
SMALLEST_CLUSTER = 2


@dataclass(frozen=True)
class Doubt:
    """What one voice says against a record's label."""

    voice: str
    says: str
    weight: float
    """0 to 1."""
    label: str | None = None
    """The label that it would give instead."""


@dataclass(frozen=True)
class Guess:
    """What a model says of a record that it was not shown."""

    id: str
    label: str
    predicted: str
    probability: float
    """Of the given label, as far as it is known."""
    predicted_probability: float | None = None


def weight_of_rank(rank: float, ranked: int) -> float:
    """The weight of a voice that ranks all records, for the one at `rank` (from 1) of `ranked`."""
    expected = max(1.0, EXPECTED_SHARE * ranked)
    return expected / (expected + rank)


def combined(doubts: Iterable[Doubt]) -> float:
    """What the doubts come to, 0 to 1."""
    kept = 1.0
    for doubt in doubts:
        kept *= 1 - doubt.weight
    return 1 - kept


def proposed(doubts: Sequence[Doubt]) -> str | None:
    """The label that the doubts come to the most for; the first in order where several are equal."""
    by_label: dict[str, list[Doubt]] = defaultdict(list)
    for doubt in doubts:
        if doubt.label is not None:
            by_label[doubt.label].append(doubt)
    return min(by_label, key=lambda label: (-combined(by_label[label]), label), default=None)


def guess(
    id_: str,
    label: str,
    predicted: str,
    probabilities: Mapping[str, float] | None = None,
    confidence: float | None = None,
) -> Guess:
    """What a prediction says of the given label.

    Without the probability of each label, what the predicted one leaves over is the most that another has.
    """
    if probabilities is not None:
        return Guess(id_, label, predicted, probabilities.get(label, 0.0), probabilities.get(predicted))
    if confidence is None:
        return Guess(id_, label, predicted, float(predicted == label))
    return Guess(id_, label, predicted, confidence if predicted == label else 1 - confidence, confidence)


def told(one: Guess, language: Language) -> str:
    """A guess in a sentence."""
    sure = "" if one.predicted_probability is None else f" ({one.predicted_probability:.2f})"
    return OUT_OF_FOLD[language].format(
        other=one.predicted, sure=sure, label=one.label, given=f"{one.probability:.2f}"
    )


def ranked(guesses: Iterable[Guess]) -> list[tuple[Guess, float]]:
    """The least probable label first, each with its weight; records of one probability share their rank."""
    order = sorted(guesses, key=lambda one: (one.probability, one.predicted == one.label, one.id))
    result: list[tuple[Guess, float]] = []
    for _, group in groupby(order, key=lambda one: (one.probability, one.predicted == one.label)):
        equal = list(group)
        middle = len(result) + (len(equal) + 1) / 2
        result += [(one, weight_of_rank(middle, len(order))) for one in equal]
    return result


def clusters(pairs: Iterable[tuple[str, str, float]]) -> list[tuple[str, str, int, float]]:
    """(label, proposed, records, sum of weights) of what is confused in one direction, the heaviest first."""
    counts: Counter[tuple[str, str]] = Counter()
    weights: dict[tuple[str, str], float] = defaultdict(float)
    for label, other, weight in pairs:
        counts[label, other] += 1
        weights[label, other] += weight
    found = [
        (label, other, count, weights[label, other])
        for (label, other), count in counts.items()
        if count >= SMALLEST_CLUSTER
    ]
    return sorted(found, key=lambda cluster: (-cluster[3], cluster[0], cluster[1]))
