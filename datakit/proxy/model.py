"""The proxy: several quick models of text, and one of pictures, whose probabilities are averaged."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from datakit.proxy.data import Floats, Predicted, ProxyData, Rows
from datakit.proxy.folds import folds
from datakit.proxy.looks import Looks, blocks
from datakit.proxy.spaces import TextSpace, characters, line_characters, whole_lines
from datakit.proxy.voices import (
    LINE_SHARPNESS,
    Learned,
    Lines,
    Ridge,
    bayes,
    regression,
    sharpest,
    softmax,
)

FOLDS = 10
_GRAMS = (line_characters, whole_lines, characters)
PICTURE_SHARE = 0.25
"""Weight of the picture where there is a text too; real screens gained from just that, when pictures were
told by their look alone."""
_LEAST = 1e-6
"""Share under which no class is taken to be, where opinions are multiplied."""
REGRESSION_UP_TO = 100_000
"""Records times classes up to which logistic regressions speak too (1,000 records of 100 classes take 20 CPU
seconds); beyond, least squares and naive Bayes go on alone, whose time hardly grows with the classes."""


class FittedProxy:
    """What some labelled records taught; `probabilities` says what it makes of others."""

    def __init__(self, data: ProxyData, labels: Sequence[str], seed: int) -> None:
        self._data, self._seed = data, seed
        names, given = np.unique(np.asarray(labels, dtype=object), return_inverse=True)
        self.classes: tuple[str, ...] = tuple(names.tolist())
        self._given: Rows = given.astype(np.int64)
        self._spaces: list[TextSpace] = []
        if any(text.strip() for text in data.texts):
            self._spaces = [TextSpace(data.texts, grams, seed) for grams in _GRAMS]
        self._ridges = [Ridge(space.points, self._given, len(names)) for space in self._spaces]
        self._looks = Looks(data, self._given, len(names))
        self._learned: list[Learned] | None = None
        self._lines: tuple[Lines, float] | None = None

    def probabilities(self, data: ProxyData) -> Floats:
        """(n, classes), each row sums to 1. Where nothing can be told, all classes are as likely."""
        weighed = [space.weigh(data.texts) for space in self._spaces]
        placed = [space.put(grams) for space, grams in zip(self._spaces, weighed, strict=True)]
        said = []
        for points, ridge in zip(placed, self._ridges, strict=True):
            said.append(ridge.probabilities(points @ ridge.weights))
        if self._learned is None:
            everyone = np.arange(len(self._given))
            self._learned = [self._learn(kind, features, everyone) for kind, features in self._kinds()]
        for model, features in zip(self._learned, [*weighed[-1:], *placed], strict=False):
            said.append(model.probabilities(features))
        if self._spaces:
            said.append(self._by_lines(weighed[1]))
        return self._fused(data.texts, said, *self._looks.of(data))

    @property
    def points(self) -> Floats | None:
        """(n, d) the fitted texts, or where there are none the pictures, as points: alike ones are near."""
        if self._spaces:
            return self._spaces[0].points
        return self._looks.points

    def nearness(self, words: Sequence[str]) -> Floats | None:
        """(n, words) how much the n-grams of each fitted text are those of others; None without texts."""
        if not self._spaces:
            return None
        space = self._spaces[0]
        return np.asarray(space.points @ space.put(space.weigh(words)).T)

    def without(self, block: Rows) -> Floats:
        """(block, classes) of fitted records, as those see them that are not in the block (least squares)."""
        said = [ridge.probabilities(ridge.without(block)) for ridge in self._ridges]
        return self._fused(self._data.take(block).texts, said, *self._looks.without(block))

    def relabelled(self, rows: Rows, change: tuple[int, int], among: Rows) -> Floats:
        """(among, classes) of some fitted records, as all others would see each of them (least squares) had
        `rows` not the first label of the change but the second, both numbers of classes."""
        said = [ridge.probabilities(ridge.relabelled(rows, change, among)) for ridge in self._ridges]
        texts = [self._data.texts[row] for row in among.tolist()]
        return self._fused(texts, said, *self._looks.relabelled(rows, change, among))

    def left_out(self) -> Floats:
        """The same of each record, without its group."""
        said = [ridge.probabilities(ridge.left_out(blocks(self._data.groups))) for ridge in self._ridges]
        return self._fused(self._data.texts, said, *self._looks.left_out(self._data.groups))

    def out_of_fold(self) -> Floats:
        """The same by all models, without the record's group: the others than least squares in folds."""
        apart = blocks(self._data.groups)
        said = [ridge.probabilities(ridge.left_out(apart)) for ridge in self._ridges]
        for at, (kind, features) in enumerate(self._kinds()):
            fold = folds(self._given, self._data.groups, FOLDS, self._seed + at)
            one = np.full((len(fold), len(self.classes)), 1 / len(self.classes))
            for number in np.unique(fold).tolist():
                inside, outside = np.flatnonzero(fold == number), np.flatnonzero(fold != number)
                if len(outside):
                    one[inside] = self._learn(kind, features, outside).probabilities(features[inside])
            said.append(one)
        if self._spaces:
            values, sharpness = self._lines_left()
            said.append(softmax(sharpness * values))
        return self._fused(self._data.texts, said, *self._looks.left_out(self._data.groups))

    def _by_lines(self, counts: Any) -> Floats:
        """What single lines say of other texts."""
        if self._lines is None:
            lines = Lines(self._spaces[1].counts, self._given, len(self.classes))
            self._lines = lines, self._lines_left()[1]
        lines, sharpness = self._lines
        return softmax(sharpness * lines.values(counts))

    def _lines_left(self) -> tuple[Floats, float]:
        """What single lines say of each record, learnt from other folds, and how sharp that should be."""
        counts = self._spaces[1].counts
        fold = folds(self._given, self._data.groups, FOLDS, self._seed)
        values = np.zeros((len(fold), len(self.classes)))
        for number in np.unique(fold).tolist():
            inside, outside = np.flatnonzero(fold == number), np.flatnonzero(fold != number)
            if len(outside):
                lines = Lines(counts[outside], self._given[outside], len(self.classes))
                values[inside] = lines.values(counts[inside])
        return values, sharpest(values, self._given, LINE_SHARPNESS, 1e-3)

    def _kinds(self) -> Iterator[tuple[str, Any]]:
        """The models besides least squares, each with what it learns from."""
        if self._spaces:
            yield "bayes", self._spaces[-1].counts
            if len(self._given) * len(self.classes) <= REGRESSION_UP_TO:
                yield from (("regression", space.points) for space in self._spaces)

    def _learn(self, kind: str, features: Any, rows: Rows) -> Learned:
        model = bayes() if kind == "bayes" else regression(self._seed)
        return Learned(model, features[rows], self._given[rows], len(self.classes))

    def _fused(self, texts: Sequence[str], said: list[Floats], looks: Floats, rows: Rows) -> Floats:
        """One opinion: the mean of those of text, and of the picture where `rows` have one.

        A record without text is told by its picture: what the models of text say of it is how common each
        class is among such records, and that counts as the picture's prior.
        """
        even = np.full((len(texts), len(self.classes)), 1 / max(len(self.classes), 1))
        text = np.mean(said, axis=0) if said else even
        if not len(rows):
            return text
        if not said:
            text[rows] = looks
            return text
        told = (1 - PICTURE_SHARE) * text[rows] + PICTURE_SHARE * looks
        silent = np.array([not texts[row].strip() for row in rows.tolist()], dtype=bool)
        shares = np.bincount(self._given[self._looks.seen], minlength=len(self.classes)) + 1.0
        weighed = looks * text[rows] / (shares / shares.sum()) + _LEAST
        told[silent] = (weighed / weighed.sum(axis=1, keepdims=True))[silent]
        text[rows] = told
        return text


def fit(data: ProxyData, labels: Sequence[str], seed: int) -> FittedProxy:
    """A proxy that learnt from all of `data`. Needs one record at least."""
    if not len(data):
        raise ValueError("no labelled record: there is nothing to learn from")
    return FittedProxy(data, labels, seed)


def out_of_fold(data: ProxyData, labels: Sequence[str], seed: int) -> Predicted:
    """What the other records make of each record; those of its group are no others.

    What n-grams are rare is counted over all records, labels never.
    """
    fitted = fit(data, labels, seed)
    return Predicted(fitted.classes, fitted.out_of_fold())
