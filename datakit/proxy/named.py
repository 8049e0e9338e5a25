"""What the words that tell a class say of a text: a witness that no wrong label can bend."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from datakit.proxy.data import Floats
from datakit.proxy.model import FittedProxy
from datakit.proxy.voices import softmax

_WEIGHTS = (0.0, 0.1, 0.2, 0.3, 0.5, 0.7, 1.0, 1.5, 2.0, 3.0)
_LEAST = 1e-3


def named(fitted: FittedProxy, words: Sequence[str], said: Floats, labels: Sequence[str]) -> Floats:
    """(n, classes) what to add to `said`, logarithms of what the other records make of each fitted record.

    `words` of each class: its name, and what else a label file says. It is how near a text is to them, in
    units of each class's own spread, by the weight under which the given labels are likeliest: 0 where such
    words do not tell the records at hand, as with classes that are named by numbers.
    """
    near = fitted.nearness(words)
    if near is None:
        return np.zeros_like(said)
    spread = near.std(axis=0)
    near = (near - near.mean(axis=0)) / np.where(spread > 1e-9, spread, np.inf)
    places = {name: at for at, name in enumerate(fitted.classes)}
    rows, given = np.arange(len(labels)), np.array([places[label] for label in labels], dtype=np.int64)
    fits = [
        np.log(np.maximum(softmax(said + weight * near)[rows, given], _LEAST)).mean() for weight in _WEIGHTS
    ]
    weighed: Floats = _WEIGHTS[int(np.argmax(fits))] * near
    return weighed
