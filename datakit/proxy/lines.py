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
from datakit.proxy.spaces import line_characters
from datakit.proxy.stretches import class_of_lines

FOLDS = 5
FEATURES = 3
_SMOOTH = 5.0
"""N-grams that every class is taken to have seen besides its own, by their share in all classes."""
_SHARE = 0.2
"""How much of a line's evidence counts as its own: the lines of a page repeat each other."""
_UNSEEN = 0.5
"""Records that every class is taken to have besides its own."""
_LEAST = 1e-5
"""Probability that nobody goes below, so that neither silences the other."""
_DIGITS = re.compile(r"\d")


class LineVoice:
    """What the lines of some texts say, by what labelled records of other groups teach.

    The labelled records come first, each heard by the folds that its group is not in, then the others.
    """

    def __init__(self, data: ProxyData, labels: Sequence[str], others: ProxyData, seed: int) -> None:
        names, given = np.unique(np.asarray(labels, dtype=object), return_inverse=True)
        self.classes: tuple[str, ...] = tuple(names.tolist())
        self._shares = np.bincount(given, minlength=len(names)) + _UNSEEN
        self._shares = self._shares / self._shares.sum()
        self._said = [np.zeros((0, len(names)))] * (len(data) + len(others))
        given = given.astype(np.int64)
        fold = folds(given, data.groups, FOLDS, seed)
        for number in np.unique(fold).tolist():
            inside, outside = np.flatnonzero(fold == number), np.flatnonzero(fold != number)
            self._hear([data.texts[at] for at in outside], given[outside], inside, data.take(inside).texts)
        self._hear(data.texts, given, len(data) + np.arange(len(others)), others.texts)

    def _hear(self, known: Sequence[str], given: Rows, rows: Rows, texts: Sequence[str]) -> None:
        said, owners = _said(known, given, len(self.classes), texts)
        for place, row in enumerate(rows.tolist()):
            first, last = np.searchsorted(owners, [place, place + 1])
            self._said[row] = said[first:last]

    def probabilities(self) -> Floats:
        """(n, classes), each row sums to 1: the class of each text, of which a stretch may be another's."""
        rows = [class_of_lines(_SHARE * lines, self._shares) for lines in self._said]
        return np.array(rows, dtype=np.float64).reshape(len(rows), len(self.classes))

    def joined(self, probabilities: Floats) -> Floats:
        """Another's probabilities with these: the geometric mean of both, where a text has a line at all."""
        speaks = np.array([len(lines) > 0 for lines in self._said], dtype=bool)
        both = np.sqrt(np.maximum(probabilities, _LEAST) * np.maximum(self.probabilities(), _LEAST))
        both /= both.sum(axis=1, keepdims=True)
        joined: Floats = np.where(speaks[:, None], both, probabilities)
        return joined

    def evidence(self, predicted: Rows) -> Floats:
        """(n, FEATURES) of each text and the class that is predicted of it, as signed logarithms: its lead
        over the next class, what lines say for it alone, and what lines say for another."""
        told = np.zeros((len(self._said), FEATURES))
        for row, lines in enumerate(self._said):
            at = predicted[row : row + 1]
            lead = _lead(lines, np.repeat(at, len(lines)))
            told[row, 0] = _lead(lines.sum(axis=0, keepdims=True), at)[0]
            told[row, 1], told[row, 2] = np.maximum(lead, 0.0).sum(), np.maximum(-lead, 0.0).sum()
        logarithms: Floats = np.sign(told) * np.log1p(np.abs(told))
        return logarithms


def _said(known: Sequence[str], given: Rows, classes: int, texts: Sequence[str]) -> tuple[Floats, Rows]:
    """(lines, classes) how much likelier each line of the texts is in the class than in all, as a logarithm,
    by known texts; and the number of each line's text."""
    from sklearn.feature_extraction.text import CountVectorizer

    learnt, teachers = _lines(known)
    lines, owners = _lines(texts)
    if not learnt or not lines:
        return np.zeros((len(lines), classes)), owners
    counter = CountVectorizer(analyzer=line_characters, binary=True)
    grams = counter.fit_transform(learnt)
    of_class = np.zeros((classes, grams.shape[1]))
    for number in range(classes):
        of_class[number] = np.asarray(grams[given[teachers] == number].sum(axis=0)).ravel()
    share = of_class.sum(axis=0) / of_class.sum()
    likely = (of_class + _SMOOTH * share) / (of_class.sum(axis=1, keepdims=True) + _SMOOTH)
    asked = counter.transform(lines)
    sizes = np.sqrt(np.maximum(np.asarray(asked.sum(axis=1)).ravel(), 1.0))
    return np.asarray(asked @ np.log(likely / share).T) / sizes[:, None], owners


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
