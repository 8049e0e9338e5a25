"""What single lines of a text say for a class and against it: a text of two classes is seen by that.

A multinomial naive Bayes of character n-grams, whose log-likelihood is a sum over lines. Each line's is
divided by the root of its n-grams, which overlap and so are no independent evidence.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np

from datakit.proxy.data import Floats, ProxyData, Rows
from datakit.proxy.folds import folds

FOLDS = 5
FEATURES = 3
_SMOOTH = 5.0
"""N-grams that every class is taken to have seen besides its own, by their share in all classes."""
_DIGITS = re.compile(r"\d")


class LineEvidence:
    """Learnt from some labelled texts; `of` weighs the lines of others."""

    def __init__(self, texts: Sequence[str], given: Rows, classes: int) -> None:
        from sklearn.feature_extraction.text import CountVectorizer

        lines, owners = _lines(texts)
        self._counter = CountVectorizer(analyzer="char", ngram_range=(1, 3), binary=True)
        self._ratios: Floats | None = None
        if not lines:
            return
        grams = self._counter.fit_transform(lines)
        of_class = np.zeros((classes, grams.shape[1]))
        for number in range(classes):
            of_class[number] = np.asarray(grams[given[owners] == number].sum(axis=0)).ravel()
        share = of_class.sum(axis=0) / of_class.sum()
        likely = (of_class + _SMOOTH * share) / (of_class.sum(axis=1, keepdims=True) + _SMOOTH)
        self._ratios = np.log(likely / share)

    def of(self, texts: Sequence[str], predicted: Rows) -> Floats:
        """(n, FEATURES) of each text and the class that is predicted of it, as signed logarithms: its lead
        over the next class, what lines say for it alone, and what lines say for another."""
        told = np.zeros((len(texts), FEATURES))
        lines, owners = _lines(texts)
        if self._ratios is None or not lines:
            return told
        grams = self._counter.transform(lines)
        sizes = np.sqrt(np.maximum(np.asarray(grams.sum(axis=1)).ravel(), 1.0))
        said = np.asarray(grams @ self._ratios.T) / sizes[:, None]
        lead = _lead(said, predicted[owners])
        sums = np.zeros((len(texts), said.shape[1]))
        np.add.at(sums, owners, said)
        told[:, 0] = _lead(sums, predicted)
        np.add.at(told[:, 1], owners, np.maximum(lead, 0.0))
        np.add.at(told[:, 2], owners, np.maximum(-lead, 0.0))
        logarithms: Floats = np.sign(told) * np.log1p(np.abs(told))
        return logarithms


def line_evidence(data: ProxyData, labels: Sequence[str], predicted: Sequence[str], seed: int) -> Floats:
    """(n, FEATURES) of labelled records, each by what records of other groups teach."""
    names, given, said = _numbers(labels, predicted)
    told = np.zeros((len(data), FEATURES))
    fold = folds(given, data.groups, FOLDS, seed)
    for number in np.unique(fold).tolist():
        inside, outside = np.flatnonzero(fold == number), np.flatnonzero(fold != number)
        model = LineEvidence(data.take(outside).texts, given[outside], len(names))
        told[inside] = model.of(data.take(inside).texts, said[inside])
    return told


def evidence_of_others(
    data: ProxyData, labels: Sequence[str], others: ProxyData, predicted: Sequence[str]
) -> Floats:
    """(n, FEATURES) of other records, by what all labelled ones teach."""
    names, given, said = _numbers(labels, predicted)
    return LineEvidence(data.texts, given, len(names)).of(others.texts, said)


def _numbers(labels: Sequence[str], predicted: Sequence[str]) -> tuple[list[str], Rows, Rows]:
    """The classes, and labels and predictions as their numbers."""
    names = sorted({*labels, *predicted})
    places = {name: at for at, name in enumerate(names)}
    given, said = ([places[name] for name in texts] for texts in (labels, predicted))
    return names, np.array(given, dtype=np.int64), np.array(said, dtype=np.int64)


def _lines(texts: Sequence[str]) -> tuple[list[str], Rows]:
    """Every line without its digits, and the number of its text."""
    found = [
        (_DIGITS.sub("0", line.strip()), row)
        for row, text in enumerate(texts)
        for line in text.split("\n")
        if line.strip()
    ]
    return [line for line, _ in found], np.array([row for _, row in found], dtype=np.int64)


def _lead(said: Floats, predicted: Rows) -> Floats:
    """(n,) by how much the predicted class is ahead of the best other one."""
    rows = np.arange(len(said))
    own = said[rows, predicted]
    others = said.copy()
    others[rows, predicted] = -np.inf
    best = others.max(axis=1) if said.shape[1] > 1 else np.zeros(len(said))
    lead: Floats = own - best
    return lead
