"""Texts and pictures as points: few dimensions, in which everything else is quick linear algebra.

The dot products of up to EXACT_UP_TO records are kept as they are (the eigenvectors of their Gram matrix), so
a regression in the space is the regression on the thousands of n-grams, at a tenth of the time; of more
records the WIDTH strongest directions stay (Halko, Martinsson and Tropp 2011).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from functools import cached_property
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt

from datakit.proxy.data import Floats
from datakit.proxy.pictures import LOOK

EXACT_UP_TO = 2000
WIDTH = 400
_SILENT = "\u2205"
"""Stands for no text: photographs have none, and that tells something."""
_DIGIT = re.compile(r"\d")


def characters(text: str) -> list[str]:
    """Characters and pairs of neighbouring ones, over the ends of lines too."""
    text = text.casefold() if text.strip() else _SILENT
    return [*text, *map("".join, pairwise(text))]


def line_characters(text: str) -> list[str]:
    """1 to 3 neighbouring characters within a line, its ends marked; every digit is the same one."""
    grams: list[str] = []
    for line in _DIGIT.sub("0", text.casefold()).splitlines() if text.strip() else [_SILENT]:
        marked = f"\x02{line.strip()}\x03"
        for size in (1, 2, 3):
            grams += [marked[at : at + size] for at in range(len(marked) - size + 1)]
    return grams


def whole_lines(text: str) -> list[str]:
    """The lines themselves, every digit the same one: buttons and headings as they stand."""
    lines = [line.strip() for line in _DIGIT.sub("0", text.casefold()).splitlines()]
    return [line for line in lines if line] or [_SILENT]


class TextSpace:
    """`points` of the texts that it was made of; `weigh` and `put` place others among them."""

    def __init__(self, texts: Sequence[str], grams: Callable[[str], list[str]], seed: int) -> None:
        from sklearn.feature_extraction.text import TfidfVectorizer

        self._weights = TfidfVectorizer(analyzer=grams, sublinear_tf=True)
        self.counts = self._weights.fit_transform(texts)
        self.points, self._onto = _points(self.counts, seed)

    @cached_property
    def sizes(self) -> Floats:
        """(n,) how much each text says: the length of its weights before they are brought to length 1."""
        # A gram that stands there once weighs its rarity alone; divided by its weight as it is now, that is
        # the length. One that stands there more often gives less.
        lengths = self._weights.idf_[self.counts.indices] / self.counts.data
        return np.asarray(np.maximum.reduceat(lengths, self.counts.indptr[:-1]), dtype=np.float64)

    def weigh(self, texts: Sequence[str]) -> Any:
        """The weighted n-grams of other texts, sparse."""
        return self._weights.transform(texts)

    def put(self, weighed: Any) -> Floats:
        """(n, d) the points of other texts, out of their weighted n-grams."""
        return np.asarray(weighed @ self._onto)


class PictureSpace:
    """The same for pictures. The look: each number in units of its own spread, the whole of length one on
    average. The strips: weighted as words are (the logarithm of how often, by how few pictures have it), of
    length one."""

    def __init__(self, pictures: npt.NDArray[np.float32]) -> None:
        values = pictures[:, :LOOK].astype(np.float64)
        self._mean, spread = values.mean(axis=0), values.std(axis=0)
        self._scale = np.where(spread > 1e-9, spread, np.inf) * np.sqrt(values.shape[1])
        having = (pictures[:, LOOK:] > 0).sum(axis=0)
        self._known = np.flatnonzero(having > 1)
        self._rarity = np.log((1 + len(pictures)) / (1 + having[self._known])) + 1
        self.points = self.place(pictures)

    def place(self, pictures: npt.NDArray[np.float32]) -> Floats:
        look = (pictures[:, :LOOK].astype(np.float64) - self._mean) / self._scale
        strips = np.log1p(pictures[:, LOOK:][:, self._known].astype(np.float64)) * self._rarity
        lengths = np.linalg.norm(strips, axis=1, keepdims=True)
        points: Floats = np.concatenate([look, strips / np.maximum(lengths, 1e-12)], axis=1)
        return points


def _points(counts: Any, seed: int) -> tuple[Floats, Any]:
    """The rows in few dimensions, and what takes other rows there."""
    if counts.shape[0] <= EXACT_UP_TO:
        values, vectors = np.linalg.eigh((counts @ counts.T).toarray())
        kept = values > 1e-6 * max(float(values.max(initial=0)), 1e-12)
        roots = np.sqrt(values[kept])
        # Signs of eigenvectors are free; machines differ in them, distances do not.
        return vectors[:, kept] * roots, counts.T @ (vectors[:, kept] / roots)
    from sklearn.utils.extmath import randomized_svd

    width = min(WIDTH, counts.shape[1])
    left, sizes, right = randomized_svd(counts, n_components=width, n_iter=2, random_state=seed)
    return left * sizes, right.T
