"""What the others say once the likeliest wrong labels are no longer among those that judge."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt

from datakit.proxy.data import Floats, Predicted, ProxyData
from datakit.proxy.model import FittedProxy
from datakit.proxy.suspicion import suspicion

Flags = npt.NDArray[np.bool_]
_MOST = 0.05
"""Share of the records that is left out at most: as many labels as a set that people label has wrong."""
_CONTRADICTED = 0.5


def judged(
    fitted: FittedProxy,
    data: ProxyData,
    labels: Sequence[str],
    confusable: Mapping[str, Sequence[str]],
    seed: int,
) -> tuple[Predicted, Floats]:
    """What the others make of each record in both looks, and how suspect its label is, see `suspicion`."""
    first = Predicted(fitted.classes, fitted.out_of_fold())
    said = second_look(data, labels, first, suspicion(first, labels, confusable), seed)
    return said, suspicion(said, labels, confusable)


def second_look(
    data: ProxyData, labels: Sequence[str], first: Predicted, order: Floats, seed: int
) -> Predicted:
    """The mean of a first opinion and of a second one, which learns without the most suspect records.

    Wrong labels between two classes pull the models towards each other. Left out are the first records of
    `order` (the smaller, the more suspect) of which another class has more than half of the probability, up
    to a twentieth of all and half of a class, with their groups (pruning by self-confidence: Northcutt, Jiang
    and Chuang 2021). The mean, as among them are right ones, whose like the second opinion does not know.
    """
    out = _left_out(data, labels, first, order)
    if not out.any() or out.all():
        return first
    kept, gone = np.flatnonzero(~out), np.flatnonzero(out)
    fitted = FittedProxy(data.take(kept), [labels[row] for row in kept.tolist()], seed)
    places = np.array([first.classes.index(name) for name in fitted.classes])
    second = np.zeros_like(first.probabilities)
    second[np.ix_(kept, places)] = fitted.out_of_fold()
    second[np.ix_(gone, places)] = fitted.probabilities(data.take(gone))
    return Predicted(first.classes, (first.probabilities + second) / 2)


def _left_out(data: ProxyData, labels: Sequence[str], first: Predicted, order: Floats) -> Flags:
    """(n,) whether a record is."""
    best = first.probabilities.max(axis=1)
    contradicted = (best > _CONTRADICTED) & (first.of(labels) < best)
    counted, gone = Counter(labels), Counter[str]()
    out = np.zeros(len(labels), dtype=np.bool_)
    for row in np.argsort(order, kind="stable")[: round(_MOST * len(labels))].tolist():
        label = labels[row]
        if contradicted[row] and 2 * (gone[label] + 1) <= counted[label]:
            gone[label] += 1
            out[row] = True
    groups = {data.groups[row] for row in np.flatnonzero(out).tolist()}
    return np.array([group in groups for group in data.groups], dtype=np.bool_)
