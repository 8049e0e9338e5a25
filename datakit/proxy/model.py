"""The proxy: logistic regression on characters of the text, fused with one on what pictures look like."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from datakit.proxy.data import Floats, Predicted, ProxyData, Rows
from datakit.proxy.folds import folds

FOLDS = 5
PICTURE_SHARE = 0.25
"""Weight of the picture in the mean of both opinions."""


class FittedProxy:
    """What some labelled records taught; `probabilities` says what it makes of others."""

    def __init__(self, data: ProxyData, labels: Sequence[str], seed: int) -> None:
        names, given = np.unique(np.asarray(labels, dtype=object), return_inverse=True)
        self.classes: tuple[str, ...] = tuple(names.tolist())
        self._share = np.bincount(given, minlength=len(names)) / max(len(given), 1)
        self._text = _TextModel(data.texts, given, seed)
        self._picture = None if data.pictures is None else _PictureModel(data.pictures, given, seed)

    def probabilities(self, data: ProxyData) -> Floats:
        """(n, classes), each row sums to 1. A record without text and picture gets the classes' shares."""
        count = len(self.classes)
        total, weight = np.zeros((len(data), count)), np.zeros(len(data))
        opinions = [(self._text.probabilities(data.texts, count), 1 - PICTURE_SHARE)]
        if self._picture is not None and data.pictures is not None:
            opinions.append((self._picture.probabilities(data.pictures, count), PICTURE_SHARE))
        for (said, rows), share in opinions:
            total[rows] += share * said
            weight[rows] += share
        silent = weight == 0
        total[silent], weight[silent] = self._share, 1
        return total / weight[:, None]


def fit(data: ProxyData, labels: Sequence[str], seed: int) -> FittedProxy:
    """A proxy that learnt from all of `data`. Needs one record at least."""
    if not len(data):
        raise ValueError("no labelled record: there is nothing to learn from")
    return FittedProxy(data, labels, seed)


def out_of_fold(data: ProxyData, labels: Sequence[str], seed: int) -> Predicted:
    """What the records of the other folds make of each record.

    A class that only one group has is unknown to whoever predicts that group: its probability is 0 there.
    """
    names, given = np.unique(np.asarray(labels, dtype=object), return_inverse=True)
    classes = tuple(names.tolist())
    probabilities = np.zeros((len(data), len(classes)))
    fold = folds(given.astype(np.int64), data.groups, FOLDS, seed)
    places = {name: at for at, name in enumerate(classes)}
    for number in np.unique(fold).tolist():
        inside, outside = np.flatnonzero(fold == number).tolist(), np.flatnonzero(fold != number).tolist()
        if not len(outside):
            probabilities[:] = 1 / len(classes)
            continue
        fitted = fit(data.take(outside), [labels[row] for row in outside], seed)
        columns = [places[name] for name in fitted.classes]
        probabilities[np.ix_(inside, columns)] = fitted.probabilities(data.take(inside))
    return Predicted(classes, probabilities)


class _TextModel:
    def __init__(self, texts: Sequence[str], given: Rows, seed: int) -> None:
        from sklearn.feature_extraction.text import TfidfVectorizer

        rows = _written(texts)
        self._model: Any = None
        self._only = _only(given[rows])
        if len(rows) and self._only is None:
            self._words = TfidfVectorizer(analyzer="char", ngram_range=(1, 3), sublinear_tf=True)
            features = self._words.fit_transform([texts[row] for row in rows.tolist()])
            self._model = _regression(10.0, seed).fit(features, given[rows])

    def probabilities(self, texts: Sequence[str], count: int) -> tuple[Floats, Rows]:
        rows = _written(texts)
        if self._model is None or not len(rows):
            return _certain(rows, self._only, count)
        said = np.zeros((len(rows), count))
        features = self._words.transform([texts[row] for row in rows.tolist()])
        said[:, self._model.classes_] = self._model.predict_proba(features)
        return said, rows


class _PictureModel:
    def __init__(self, pictures: np.ndarray[Any, Any], given: Rows, seed: int) -> None:
        from sklearn.preprocessing import StandardScaler

        rows = np.flatnonzero(np.isfinite(pictures).all(axis=1))
        self._model: Any = None
        self._only = _only(given[rows])
        if len(rows) and self._only is None:
            self._scale = StandardScaler()
            features = self._scale.fit_transform(pictures[rows].astype(np.float64))
            self._width = np.sqrt(features.shape[1])
            self._model = _regression(1.0, seed).fit(features / self._width, given[rows])

    def probabilities(self, pictures: np.ndarray[Any, Any], count: int) -> tuple[Floats, Rows]:
        rows = np.flatnonzero(np.isfinite(pictures).all(axis=1))
        if self._model is None or not len(rows):
            return _certain(rows, self._only, count)
        said = np.zeros((len(rows), count))
        features = self._scale.transform(pictures[rows].astype(np.float64)) / self._width
        said[:, self._model.classes_] = self._model.predict_proba(features)
        return said, rows


def _regression(inverse_penalty: float, seed: int) -> Any:
    from sklearn.linear_model import LogisticRegression

    return LogisticRegression(C=inverse_penalty, max_iter=300, random_state=seed)


def _only(given: Rows) -> int | None:
    """The one class that there is; None for several."""
    names = np.unique(given)
    return int(names[0]) if len(names) == 1 else None


def _certain(rows: Rows, only: int | None, count: int) -> tuple[Floats, Rows]:
    """The opinion of a model that knows one class, or none."""
    if only is None:
        return np.zeros((0, count)), rows[:0]
    said = np.zeros((len(rows), count))
    said[:, only] = 1
    return said, rows


def _written(texts: Sequence[str]) -> Rows:
    """The rows that have a text."""
    return np.flatnonzero([bool(text.strip()) for text in texts])
