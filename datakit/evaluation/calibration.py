"""Whether a confidence of 0.8 means right in 80 of 100 cases."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from pydantic import BaseModel

from datakit.evaluation.outcomes import Outcomes

BINS = 10
THRESHOLDS = (0.5, 0.7, 0.8, 0.9, 0.95, 0.99)


class Bin(BaseModel):
    """Answers whose confidence lies above `low` and not above `high`."""

    low: float
    high: float
    count: int
    confidence: float
    """Mean."""
    accuracy: float


class Threshold(BaseModel):
    """What remains when only answers of at least this confidence are taken, as pseudo-labels are."""

    confidence: float
    count: int
    share: float
    """Of the answers that have a confidence."""
    accuracy: float | None
    """None when none remains."""


class Calibration(BaseModel):
    """Confidence against truth."""

    count: int
    """Answers that have a confidence; those that are no label have none."""
    without: int
    """Labels that came without one."""
    mean_confidence: float
    accuracy: float
    """Of the answers that have a confidence."""
    ece: float
    """Expected calibration error: |accuracy - confidence| of ten equal bins, weighted by their answers
    (Naeini, Cooper and Hauskrecht 2015; Guo and others 2017)."""
    bins: list[Bin]
    thresholds: list[Threshold]


def calibration(outcomes: Outcomes) -> Calibration | None:
    """The calibration of the answers; None when none has a confidence."""
    pairs = [
        (answer.confidence, answer.predicted == truth)
        for answer, truth in zip(outcomes.answers, outcomes.truth, strict=True)
        if answer.confidence is not None and answer.predicted is not None
    ]
    if not pairs:
        return None
    labels = sum(answer.predicted is not None for answer in outcomes.answers)
    confidence = np.array([pair[0] for pair in pairs])
    right = np.array([pair[1] for pair in pairs])
    bins = _bins(confidence, right)
    return Calibration(
        count=len(pairs),
        without=labels - len(pairs),
        mean_confidence=float(confidence.mean()),
        accuracy=float(right.mean()),
        ece=sum(bin_.count * abs(bin_.accuracy - bin_.confidence) for bin_ in bins) / len(pairs),
        bins=bins,
        thresholds=_thresholds(confidence, right),
    )


def _bins(confidence: np.ndarray, right: np.ndarray) -> list[Bin]:
    places = np.clip(np.ceil(confidence * BINS).astype(int) - 1, 0, BINS - 1)
    bins = []
    for number in range(BINS):
        inside = places == number
        if inside.any():
            bins.append(
                Bin(
                    low=number / BINS,
                    high=(number + 1) / BINS,
                    count=int(inside.sum()),
                    confidence=float(confidence[inside].mean()),
                    accuracy=float(right[inside].mean()),
                )
            )
    return bins


def _thresholds(
    confidence: np.ndarray, right: np.ndarray, levels: Sequence[float] = THRESHOLDS
) -> list[Threshold]:
    thresholds = []
    for level in levels:
        sure = confidence >= level
        count = int(sure.sum())
        accuracy = float(right[sure].mean()) if count else None
        thresholds.append(
            Threshold(confidence=level, count=count, share=count / len(confidence), accuracy=accuracy)
        )
    return thresholds
