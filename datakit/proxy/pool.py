"""Several opinions as one: a weighted product of probabilities, the weights by labelled records.

A logarithmic opinion pool (Genest and Zidek 1986, 3). Voices that say the same thing share a weight, and one
that knows little gets little.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from datakit.proxy.data import Floats, Rows
from datakit.proxy.voices import softmax

NEVER = 1e-5
"""Probability that no voice goes below, so that none silences the others."""
_PRIOR = 10.0
"""Precision of the normal prior of a weight, around equal ones that add up to 1."""
_ROUNDS = 50


def pooled(voices: Sequence[Floats], weights: Sequence[float]) -> Floats:
    """(n, classes), each row sums to 1."""
    parts = [weight * _logarithms(one) for one, weight in zip(voices, weights, strict=True)]
    return softmax(np.sum(parts, axis=0))


def pool_weights(voices: Sequence[Floats], given: Rows) -> list[float]:
    """The weights, 0 and more, under which voices that did not see these labels fit them best (Newton)."""
    told = np.stack([_logarithms(one) for one in voices], axis=-1)
    start = np.full(len(voices), 1 / len(voices))
    weights, rows = start.copy(), np.arange(len(given))
    for _ in range(_ROUNDS):
        likely = softmax(told @ weights)
        mean = np.einsum("nc,ncv->nv", likely, told)
        slope = (told[rows, given] - mean).sum(axis=0) - _PRIOR * (weights - start)
        spread = np.einsum("nc,ncv,ncw->vw", likely, told, told) - mean.T @ mean
        step = np.linalg.solve(spread + _PRIOR * np.eye(len(voices)), slope)
        weights = weights + step / max(1.0, float(np.abs(step).max()))
        if np.abs(step).max() < 1e-6:
            break
    return [max(float(weight), 0.0) for weight in weights]


def _logarithms(said: Floats) -> Floats:
    logarithms: Floats = np.log(np.maximum(said, NEVER))
    return logarithms
