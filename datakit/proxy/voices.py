"""The models that the proxy's opinion is the mean of. Each says the probability of every class."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from functools import cached_property
from typing import Any

import numpy as np

from datakit.proxy.data import Floats, Rows

RIDGE = 1.0
STRAY = 0.2
"""Share of the lines that say nothing of a text's class."""
LINE_SHARPNESS = (0.06, 0.1, 0.15, 0.2, 0.3, 0.45, 0.6, 0.9, 1.2, 1.8, 2.4, 3.0, 4.5)
_SHARPNESS = (1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 8.0, 10.0, 12.0, 16.0)


class Ridge:
    """Least squares on one column per class, which tells without refitting what others make of a record.

    Leaving a block b of records out changes their residuals to (I - H_bb)^-1 e_b, H the hat matrix (Cook and
    Weisberg 1982, 2.2; for single records Allen's PRESS).
    """

    def __init__(self, points: Floats, given: Rows, count: int) -> None:
        self._points, self._given = points, given
        self._targets = np.eye(count)[given]
        self._targets = self._targets - self._targets.mean(axis=0)
        width = points.shape[1]
        self._inverse = np.linalg.inv(points.T @ points + RIDGE * np.eye(width))
        self._half = points @ self._inverse
        self.weights: Floats = self._half.T @ self._targets
        self._residuals = self._targets - points @ self.weights
        self._sharpness: float | None = None

    def without(self, rows: Rows) -> Floats:
        """(rows, count) values of some records as all others say that are not among them."""
        hat = self._half[rows] @ self._points[rows].T
        # The least eigenvalue of I - H is positive, but may be tiny where a block holds a direction alone.
        left = np.linalg.solve(np.eye(len(rows)) * (1 + 1e-9) - hat, self._residuals[rows])
        values: Floats = self._targets[rows] - left
        return values

    def left_out(self, blocks: Sequence[Rows]) -> Floats:
        """(n, count) the same for each of the blocks, in which every record stands once."""
        values: Floats = np.zeros_like(self._targets)
        single = np.array([rows[0] for rows in blocks if len(rows) == 1], dtype=np.int64)
        leverage = self._leverage[single]
        left = self._residuals[single] / np.maximum(1 - leverage, 1e-9)[:, None]
        values[single] = self._targets[single] - left
        for rows in blocks:
            if len(rows) > 1:
                values[rows] = self.without(rows)
        return values

    def relabelled(self, rows: Rows, change: tuple[int, int], among: Rows) -> Floats:
        """(among, count) values of some records, each left out alone, had `rows` not the first label of the
        change but the second. What they are told by the others is linear in the labels."""
        leverage = self._leverage[among]
        pull = self._half[among] @ self._points[rows].sum(axis=0)
        pull = (pull - np.isin(among, rows) * leverage) / np.maximum(1 - leverage, 1e-9)
        values: Floats = self._singly[among]
        values[:, change[0]] -= pull
        values[:, change[1]] += pull
        return values

    @cached_property
    def _leverage(self) -> Floats:
        """(n,) how much each record's own label weighs in what is said of it."""
        return np.asarray(np.einsum("nd,nd->n", self._half, self._points), dtype=np.float64)

    @cached_property
    def _singly(self) -> Floats:
        """(n, count) values of each record as all others say."""
        return self.left_out([np.array([row]) for row in range(len(self._given))])

    def probabilities(self, values: Floats) -> Floats:
        """Values as probabilities, as sharp as fits the given labels best where records are left out."""
        return softmax(values * self.sharpness)

    @property
    def sharpness(self) -> float:
        if self._sharpness is None:
            self._sharpness = sharpest(self._singly, self._given, _SHARPNESS, 1e-4)
        return self._sharpness


def sharpest(values: Floats, given: Rows, choices: Sequence[float], least: float) -> float:
    """The factor under which values of records left out, as probabilities, fit the given labels best. A
    probability counts as `least` at least, so that a few wrong labels do not decide."""
    rows = np.arange(len(given))
    fits = [-np.log(np.maximum(softmax(values * one)[rows, given], least)).mean() for one in choices]
    return choices[int(np.argmin(fits))]


def softmax(values: Floats) -> Floats:
    raised = np.exp(values - values.max(axis=1, keepdims=True))
    shares: Floats = raised / raised.sum(axis=1, keepdims=True)
    return shares


class Learned:
    """A model of scikit-learn that also bears one class alone, and knows how many there are in all."""

    def __init__(self, model: Any, features: Any, given: Rows, count: int) -> None:
        self._count, self._only = count, int(given[0]) if len(set(given.tolist())) == 1 else None
        with warnings.catch_warnings():  # of many classes, and of steps that were not enough: nobody need act
            warnings.simplefilter("ignore")
            self._model = model if self._only is not None else model.fit(features, given)

    def probabilities(self, features: Any) -> Floats:
        said = np.zeros((features.shape[0], self._count))
        if self._only is not None:
            said[:, self._only] = 1
        else:
            said[:, self._model.classes_] = self._model.predict_proba(features)
        return said


class Lines:
    """What each line of a text says for itself, where it may as well be of no class or another one.

    A mixture for each line (Jelinek and Mercer 1980; Zhai and Lafferty 2004): with probability STRAY it
    stands there by chance, whatever the class; else it is of the class, by its share among that class's
    lines. A page of two classes, or half of one, so has lines that speak for its label, and the others cost
    little.
    """

    def __init__(self, lines: Any, given: Rows, count: int) -> None:
        from scipy.sparse import coo_matrix

        seen = _present(lines)
        of_class = coo_matrix((np.ones(len(given)), (np.arange(len(given)), given)), (len(given), count))
        found = (seen.T @ of_class).tocoo()
        total, share = np.asarray(found.sum(axis=0)).ravel(), np.asarray(seen.sum(axis=0)).ravel()
        share = share / max(share.sum(), 1.0)
        # Of a line that the class never had, all that is told is that it is of another: the same of each.
        self._never = np.log((1 - STRAY) / (total + 1) + STRAY)
        ratio = (found.data / share[found.row] + 1) / (total[found.col] + 1)
        told = np.log((1 - STRAY) * ratio + STRAY) - self._never[found.col]
        self._told = coo_matrix((told, (found.row, found.col)), found.shape).tocsr()
        self._known = (share > 0).astype(np.float64)

    def values(self, lines: Any) -> Floats:
        """(n, count) logarithms, by the root of the lines that are known, as those of a text are alike."""
        seen = _present(lines)
        known = np.asarray(seen @ self._known)
        said: Floats = np.asarray((seen @ self._told).todense()) + known[:, None] * self._never
        said /= np.sqrt(np.maximum(known, 1))[:, None]
        return said


def _present(lines: Any) -> Any:
    """1 for each line that a text has, however often."""
    seen = lines.copy()
    seen.data = np.ones_like(seen.data)
    return seen


def regression(seed: int) -> Any:
    from sklearn.linear_model import LogisticRegression

    return LogisticRegression(C=10.0, max_iter=200, tol=1e-3, random_state=seed)


def bayes() -> Any:
    from sklearn.naive_bayes import MultinomialNB

    return MultinomialNB(alpha=0.05)
