"""Records of one class that resemble each other and, by all other records, another class.

Wrong labels of one template agree with each other: as long as one of them is among those that judge, each
looks right. So a whole cluster is left out, and the others say what it is. Whether it is a mistake is told by
both classes as a whole: had the cluster the other label, would their records tell each other's labels better?
Where the whole template is labelled wrong, nothing of its true class looks like it any more; then the words
that tell a class, its name or a label file's, still say which of two it is.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from datakit.proxy.data import Floats, ProxyData, Rows
from datakit.proxy.model import FittedProxy
from datakit.proxy.named import named
from datakit.proxy.voices import softmax

MOST_OF_CLASS = 0.45
"""Larger parts are what the class is: without them too little is left of it to speak for it."""
MOST = 200
CLEAR = 3.0
"""Gain, in logarithms of probability over the records, under which parts of a class are only parts of it."""
_CERTAIN = 2.0
"""Evidence of one record at most: a template's mistake is in many records, a mistake in one is ranked."""
_FLOOR = 0.02
"""Added to probabilities: what the others call impossible may yet be."""
_LARGE = 2000
"""Records of a class that are compared pair by pair; a larger class is looked at in parts of so many."""


@dataclass(frozen=True)
class Cluster:
    """One finding."""

    rows: tuple[int, ...]
    label: str
    other: str
    """The class that it resembles."""
    probability: float
    """Mean probability of `other`, by the records outside the cluster and the words that tell the classes."""
    own: float
    """The same of the class that it stands in."""
    score: float
    """How much likelier the labels of both classes are with the other label, see `_gain`."""


def clusters(
    fitted: FittedProxy,
    data: ProxyData,
    labels: Sequence[str],
    fewest: int = 3,
    words: Mapping[str, str] | None = None,
) -> list[Cluster]:
    """The clusters of so many records and more that the rest contradicts, the clearest first; none shares a
    record with another. `words` tell a class; its name does where there are none."""
    points = fitted.points
    if points is None:
        return []
    spoken = [(words or {}).get(name, name) for name in fitted.classes]
    told = named(fitted, spoken, np.log(fitted.left_out() + _FLOOR), labels)
    case = _Case(fitted, labels, told)
    speaking = np.array([bool(text.strip()) for text in data.texts])
    if not speaking.any():  # all by pictures
        speaking[:] = True
    judged: list[Cluster | None] = []
    for number in range(len(fitted.classes)):
        rows = np.flatnonzero((case.given == number) & speaking)
        largest = min(MOST, int(MOST_OF_CLASS * len(rows)))
        judged += [case.judged(block) for block in _candidates(points, rows, (fewest, largest))]
    taken: set[int] = set()
    kept = []
    for cluster in sorted(filter(None, judged), key=lambda one: (-one.score, one.rows)):
        if cluster.score >= CLEAR and taken.isdisjoint(cluster.rows):
            kept.append(cluster)
            taken.update(cluster.rows)
    return kept


def _candidates(points: Floats, rows: Rows, sizes: tuple[int, int]) -> Iterator[Rows]:
    """Parts of a class that belong together, of the least to the largest size, at every level of a tree
    (average linkage of unit vectors)."""
    from scipy.cluster.hierarchy import linkage

    fewest, largest = sizes
    if largest < fewest:
        return
    order = rows[np.argsort(points[rows, -1], kind="stable")] if len(rows) > _LARGE else rows
    for start in range(0, len(order), _LARGE):
        part = order[start : start + _LARGE]
        if len(part) < fewest:
            continue
        lengths = np.linalg.norm(points[part], axis=1, keepdims=True)
        tree = linkage(points[part] / np.maximum(lengths, 1e-12), "average")
        members: list[list[int]] = [[at] for at in range(len(part))]
        for first, second, *_ in tree:
            one, two = members[int(first)], members[int(second)]
            joined = one + two if max(len(one), len(two)) <= largest else []
            members.append(joined if joined else [0] * (largest + 1))
            if fewest <= len(joined) <= largest:
                yield np.sort(part[joined])


class _Case:
    """What judges a part of a class: the other records, and the words that tell the classes."""

    def __init__(self, fitted: FittedProxy, labels: Sequence[str], told: Floats) -> None:
        self._fitted, self._told = fitted, told
        places = {name: at for at, name in enumerate(fitted.classes)}
        self.given = np.array([places[label] for label in labels], dtype=np.int64)
        everyone = np.arange(len(labels))
        as_given = fitted.relabelled(everyone[:0], (0, 0), everyone)
        self._before: Floats = np.log(as_given[everyone, self.given] + _FLOOR)

    def judged(self, block: Rows) -> Cluster | None:
        """The part as a cluster; None where those outside it do not contradict its label."""
        given, told = int(self.given[block[0]]), self._told[block]
        by_others = self._fitted.without(block)
        said = np.log(by_others + _FLOOR) + told
        evidence = np.minimum(said - said[:, [given]], _CERTAIN).sum(axis=0)
        evidence[given] = -np.inf
        other = int(evidence.argmax())
        if evidence[other] <= 0:
            return None
        mean = softmax(np.log(by_others + 1e-9) + told).mean(axis=0)
        return Cluster(
            rows=tuple(block.tolist()),
            label=self._fitted.classes[given],
            other=self._fitted.classes[other],
            probability=float(mean[other]),
            own=float(mean[given]),
            score=self._gain(block, given, other),
        )

    def _gain(self, block: Rows, given: int, other: int) -> float:
        """Logarithm of how much likelier the labels are, each left out alone, if the block bears the other
        one: those of both classes (the pseudo-likelihood of Besag 1975), and the block's by the words too.

        So it counts what the block says of the rest as well as what the rest says of it, and nearly half of a
        class with a like neighbour, whose rest would be told worse without it, stands behind a template that
        is labelled wrong. Each record of the block is bounded: one certain record makes no cluster.
        """
        near = np.flatnonzero(np.isin(self.given, (given, other)))
        inside = np.isin(near, block)
        labels = np.where(inside, other, self.given[near])
        after = self._fitted.relabelled(block, (given, other), near)[np.arange(len(near)), labels]
        gain = np.log(after + _FLOOR) - self._before[near]
        own = gain[inside] + self._told[block, other] - self._told[block, given]
        return float(np.minimum(own, _CERTAIN).sum() + gain[~inside].sum())
