"""How sure a prediction is in truth: its probability, set right by records whose label is known.

A logistic curve of the probability's log-odds and of further evidence, where there is any, with an offset for
each predicted class (Platt 1999; the offsets under a normal prior, as in a multilevel model: Gelman and Hill
2007, ch. 14). A class with few known
records stays at the curve of all, so one bound on what comes out is a threshold of its own for each class,
shrunk towards the global one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]

LEAST = 30
"""Known records from which a curve is fitted; with fewer, probabilities are taken as they are."""
_EDGE = 1e-6
_SLOPE_PRIOR, _INTERCEPT_PRIOR, _EVIDENCE_PRIOR, _CLASS_PRIOR = 1.0, 0.1, 8.0, 8.0
"""Precisions of the normal priors: of the slope around 1, of the intercept, of the weights of evidence in
units of its standard deviation, and of the classes' offsets. As strong as keeps the curve from learning its
own records by heart: those that it was not fitted on are then right as often as it says."""
_ROUNDS = 50


@dataclass(frozen=True)
class Calibration:
    """From a probability and its class to the probability that the prediction is right."""

    slope: float = 1.0
    intercept: float = 0.0
    offsets: tuple[tuple[str, float], ...] = ()
    weights: tuple[float, ...] = ()
    """Of the evidence, once `means` are taken off."""
    means: tuple[float, ...] = ()
    known: int = 0
    """Records that it was fitted on; 0 for one that leaves probabilities as they are."""

    def sure(self, probabilities: Floats, predicted: Sequence[str], evidence: Floats) -> Floats:
        """(n,) probability that each prediction is right; `evidence` is (n, any) and may be empty."""
        offsets = dict(self.offsets)
        of_class = np.array([offsets.get(name, 0.0) for name in predicted], dtype=np.float64)
        odds = self.slope * _log_odds(probabilities) + self.intercept + of_class
        if self.weights and evidence.shape[1] == len(self.weights):
            odds = odds + (evidence - np.array(self.means)) @ np.array(self.weights)
        return _logistic(odds)

    def threshold(self, bound: float, predicted: str) -> float:
        """The probability from which a prediction of this class is right with probability `bound`, where
        other evidence says neither more nor less than on average."""
        wanted = _log_odds(np.array([bound]))[0] - self.intercept - dict(self.offsets).get(predicted, 0.0)
        return float(_logistic(np.array([wanted / self.slope]))[0])


def calibrate(probabilities: Floats, predicted: Sequence[str], right: Bools, evidence: Floats) -> Calibration:
    """The curve of records whose label is known, by penalised Newton steps."""
    if len(right) < LEAST:
        return Calibration()
    names, places = np.unique(np.asarray(predicted, dtype=object), return_inverse=True)
    means, spread = evidence.mean(axis=0), evidence.std(axis=0) + _EDGE
    first = 2 + evidence.shape[1]
    design = np.zeros((len(right), first + len(names)))
    design[:, 0], design[:, 1] = _log_odds(probabilities), 1.0
    design[:, 2:first] = (evidence - means) / spread
    design[np.arange(len(right)), first + places] = 1.0
    priors = [_EVIDENCE_PRIOR] * evidence.shape[1] + [_CLASS_PRIOR] * len(names)
    prior = np.array([_SLOPE_PRIOR, _INTERCEPT_PRIOR, *priors])
    hits = int(right.sum())
    # Platt's targets: however many were right, the next one may be wrong.
    wanted = np.where(right, (hits + 1) / (hits + 2), 1 / (len(right) - hits + 2))
    start = np.zeros(len(prior))
    start[0] = 1.0
    weights = start.copy()
    for _ in range(_ROUNDS):
        said = _logistic(design @ weights)
        slope = design.T @ (wanted - said) - prior * (weights - start)
        bend = (design * (said * (1 - said))[:, None]).T @ design + np.diag(prior)
        step = np.linalg.solve(bend, slope)
        weights += step / max(1.0, float(np.abs(step).max()))  # at most 1 a round, so that it cannot run away
        if np.abs(step).max() < 1e-8:
            break
    weights[0] = max(weights[0], 0.05)  # a higher probability is never less sure
    return Calibration(
        slope=float(weights[0]),
        intercept=float(weights[1]),
        offsets=tuple(zip(names.tolist(), weights[first:].tolist(), strict=True)),
        weights=tuple((weights[2:first] / spread).tolist()),
        means=tuple(means.tolist()),
        known=len(right),
    )


def _log_odds(probabilities: Floats) -> Floats:
    inner = np.clip(probabilities, _EDGE, 1 - _EDGE)
    odds: Floats = np.log(inner / (1 - inner))
    return odds


def _logistic(values: Floats) -> Floats:
    return 1 / (1 + np.exp(-np.clip(values, -700, 700)))
