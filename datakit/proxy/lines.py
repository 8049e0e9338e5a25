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
_SMOOTH = 15.0
"""N-grams that every class is taken to have seen besides its own, by their share in all classes."""
_WHOLE = 1.5
"""Weight of a line as a whole beside its n-grams."""
_SHARE = 0.2
"""How much of a line's evidence counts as its own: the lines of a page repeat each other."""
_UNSEEN = 0.5
"""Records that every class is taken to have besides its own."""
_DIGITS = re.compile(r"\d")


class LineVoice:
    """What the lines of some texts say, by what labelled records of other groups teach.

    The labelled records come first, each heard by the folds that its group is not in, then the others.
    """

    def __init__(self, data: ProxyData, labels: Sequence[str], others: ProxyData, seed: int) -> None:
        names, given = np.unique(np.asarray(labels, dtype=object), return_inverse=True)
        self.classes: tuple[str, ...] = tuple(names.tolist())
        counts = np.bincount(given, minlength=len(names)) + _UNSEEN
        self._shares: Floats = np.asarray(counts / counts.sum(), dtype=np.float64)
        self._said = [np.zeros((0, len(names)))] * (len(data) + len(others))
        given = given.astype(np.int64)
        fold = folds(given, data.groups, FOLDS, seed)
        for number in np.unique(fold).tolist():
            inside, outside = np.flatnonzero(fold == number), np.flatnonzero(fold != number)
            self._hear(data.take(outside).texts, given[outside], inside, data.take(inside).texts)
        self._hear(data.texts, given, len(data) + np.arange(len(others)), others.texts)

    def _hear(self, known: Sequence[str], given: Rows, rows: Rows, texts: Sequence[str]) -> None:
        said, owners = _said(known, given, len(self.classes), texts)
        for place, row in enumerate(rows.tolist()):
            first, last = np.searchsorted(owners, [place, place + 1])
            self._said[row] = said[first:last]

    def probabilities(self, of_silent: Floats) -> Floats:
        """(n, classes), each row sums to 1: the class of each text, of which a stretch may be another's; for
        a text without a line its row of `of_silent`."""
        told = of_silent.copy()
        for row, lines in enumerate(self._said):
            if len(lines):
                told[row] = class_of_lines(_SHARE * lines, self._shares)
        return told

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
    grams, asked = counter.fit_transform(learnt), counter.transform(lines)
    of_class = np.zeros((classes, grams.shape[1]))
    for number in range(classes):
        of_class[number] = np.asarray(grams[given[teachers] == number].sum(axis=0)).ravel()
    share = of_class.sum(axis=0) / of_class.sum()
    likely = (of_class + _SMOOTH * share) / (of_class.sum(axis=1, keepdims=True) + _SMOOTH)
    sizes = np.sqrt(np.maximum(np.asarray(asked.sum(axis=1)).ravel(), 1.0))
    by_grams = np.asarray(asked @ np.log(likely / share).T) / sizes[:, None]
    return by_grams + _WHOLE * _as_wholes(learnt, given[teachers], lines, classes), owners


def _as_wholes(learnt: list[str], given: Rows, lines: list[str], classes: int) -> Floats:
    """(lines, classes) the same by the lines as they stand: buttons and headings. One never seen says 0."""
    shares = (np.bincount(given, minlength=classes) + _UNSEEN) / (len(given) + _UNSEEN * classes)
    places = {line: at for at, line in enumerate(dict.fromkeys(learnt))}
    seen = np.zeros((len(places) + 1, classes))
    np.add.at(seen, (np.array([places[line] for line in learnt], dtype=np.int64), given), 1)
    said = np.log((seen + shares) / (seen.sum(axis=1, keepdims=True) + 1) / shares)
    wholes: Floats = said[[places.get(line, len(places)) for line in lines]]
    return wholes


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
