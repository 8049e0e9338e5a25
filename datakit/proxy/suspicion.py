"""How suspect a label is: its own probability, against that of coming about by a mistake."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from datakit.proxy.data import Floats, Predicted

_FLOOR = 0.001
_SHARES = (0.0, 0.25, 0.5, 0.75, 1.0)
_RATES = (0.01, 0.03, 0.06, 0.1)
_POWERS = (1.0, 1.5, 2.0)
_NATURAL, _CLEAR, _MOST = 0.7, 0.9, 0.7


def suspicion(said: Predicted, labels: Sequence[str], confusable: Mapping[str, Sequence[str]]) -> Floats:
    """(n,) the smaller, the more suspect.

    The probability of the given label, the best order where a mistake hits any class alike; calibrated by
    nothing else, as class-adjusted scores find less with 15 to 39 records a class. Where the label file names
    confusable classes and the mistakes at hand are mostly among those (see `_share`), it is divided by the
    probability that the record is of a class which is mistaken for the given one.
    """
    probabilities = (said.probabilities + _FLOOR) / (1 + _FLOOR * len(said.classes))
    places = {name: at for at, name in enumerate(said.classes)}
    given = np.array([places[label] for label in labels], dtype=np.int64)
    rows = np.arange(len(given))
    own: Floats = probabilities[rows, given]
    near = _mistakes(said.classes, confusable)
    if len(said.classes) < 3 or not near.any():
        return own
    anyone = (1 - np.eye(len(said.classes))) / (len(said.classes) - 1)
    near = np.where(near.any(axis=1, keepdims=True), near, anyone)
    share = _share(probabilities, given, anyone, near)
    weight = float(np.clip((share - _NATURAL) / (_CLEAR - _NATURAL), 0, _MOST))
    if not weight:
        return own
    by_mistake = (probabilities @ ((1 - weight) * anyone + weight * near))[rows, given]
    return own / by_mistake


def _mistakes(classes: Sequence[str], confusable: Mapping[str, Sequence[str]]) -> Floats:
    """(true, given) how likely a mistake leads where, by the label file; zeros for a class without any."""
    places = {name: at for at, name in enumerate(classes)}
    table = np.zeros((len(classes), len(classes)))
    for name, others in confusable.items():
        near = [places[other] for other in others if other in places and other != name]
        if name in places and near:
            table[places[name], near] = 1 / len(near)
    return table


def _share(probabilities: Floats, given: np.ndarray[tuple[int], np.dtype[np.int64]], *kinds: Floats) -> float:
    """Which share of the mistakes is among confusable classes, 0 to 1: the mean over the likelihood of a
    mixture, under which a label is right, or with some rate a mistake of either kind. Of labels without
    planted mistakes it is 0.7 to 0.9 on hard drawn screens, with uniform ones 0.3 to 0.65."""
    anyone, near = kinds
    rows = np.arange(len(given))
    fits = np.full(len(_SHARES), -np.inf)
    for power in _POWERS:
        sharp = probabilities**power
        sharp = sharp / sharp.sum(axis=1, keepdims=True)
        right, far, by = sharp[rows, given], (sharp @ anyone)[rows, given], (sharp @ near)[rows, given]
        for at, share in enumerate(_SHARES):
            wrong = (1 - share) * far + share * by
            fits[at] = max(fits[at], *(np.log((1 - rate) * right + rate * wrong).sum() for rate in _RATES))
    weights = np.exp(fits - fits.max())
    return float(weights @ np.array(_SHARES) / weights.sum())
