"""What the pictures of each class bear in text, and what each of these texts is nearest to."""

from __future__ import annotations

import math
import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import polars as pl

from datakit.artifacts.build_folder import BuildFolder
from datakit.artifacts.originals import originals
from datakit.artifacts.screen_texts import text_column
from datakit.core.errors import UserError
from datakit.core.keywords import holds
from datakit.core.labels import LabelSet
from datakit.evaluation.label_audit.claims import text_form

MOST_READ = 500
"""Texts of a class that are looked at, in the build's order: more change no share by much."""
_CHINESE_OR_WORD = re.compile(r"[\u3400-\u9fff]{2,}|[a-z]{3,}")


@dataclass(frozen=True)
class ClassTexts:
    """Texts of each class's pictures, in the label file's order; a record without a picture has none."""

    names: tuple[str, ...]
    column: str
    texts: dict[str, list[str]]
    records: dict[str, int]
    """All records with a text, of which at most MOST_READ were read."""

    @cached_property
    def forms(self) -> dict[str, list[str]]:
        """The same in the form in which words are looked for, line by line: no word runs over two."""
        return {
            name: ["\n".join(map(text_form, text.splitlines())) for text in texts]
            for name, texts in self.texts.items()
        }

    def holding(self, name: str, word: str) -> int:
        """How many of a class's texts hold a word within a line, a Latin one as a word of its own."""
        return sum(any(holds(line, word) for line in text.splitlines()) for text in self.forms[name])

    def nearest_class(self) -> dict[str, Counter[str]]:
        """Class -> the classes whose texts are most like each of its own; none for a class of one text.

        Cosine of a text's terms, weighted by how few texts have them (tf-idf without counts), to the mean of
        a class; a text is no part of the mean of its own class.
        """
        space = _Space([text for name in self.names for text in self.texts[name]])
        rows = {name: [space.vector(text) for text in self.texts[name]] for name in self.names}
        sums = np.zeros((len(self.names), space.size), dtype=np.float32)
        for at, name in enumerate(self.names):
            for indices, weights in rows[name]:
                sums[at, indices] += weights
        sizes = np.array([max(len(rows[name]), 1) for name in self.names], dtype=np.float32)
        nearest: dict[str, Counter[str]] = {name: Counter() for name in self.names}
        for at, name in enumerate(self.names):
            for indices, weights in rows[name] if len(rows[name]) > 1 else ():
                scores = sums[:, indices] @ weights
                own = (scores[at] - float(weights @ weights)) / (sizes[at] - 1)
                scores /= sizes
                scores[at] = own
                if scores.max() > 0:
                    nearest[name][self.names[int(scores.argmax())]] += 1
        return nearest

    def nearest_description(self, descriptions: Sequence[str]) -> dict[str, Counter[str]]:
        """Class -> the classes whose description shares most with each of its texts; "" where none does.

        Texts without a word, as those of pictures on which nothing was read, are counted for none.
        """
        space = _Space([text for name in self.names for text in self.texts[name]])
        matrix = np.zeros((len(self.names), space.size), dtype=np.float32)
        for at, description in enumerate(descriptions):
            indices, weights = space.vector(description)
            matrix[at, indices] = weights
        nearest: dict[str, Counter[str]] = {name: Counter() for name in self.names}
        for name in self.names:
            for text in filter(terms, self.texts[name]):
                indices, weights = space.vector(text)
                scores = matrix[:, indices] @ weights
                best = int(scores.argmax())
                nearest[name][self.names[best] if scores[best] > 0 else ""] += 1
        return nearest


def class_texts(build: BuildFolder, labels: LabelSet) -> ClassTexts:
    """The texts of a build. Raises UserError where it has no text of its pictures, or no labels on them."""
    column = _column(build)
    if "label" not in build.columns or build.columns["label"] != pl.String():
        raise UserError(f"the records of {build.path} have no label", remedy="Name it: `label:` of read.*")
    frame = originals(build).select("label", text=pl.col(column)).drop_nulls()
    counted = frame.group_by("label").len().collect()
    read = frame.group_by("label", maintain_order=True).head(MOST_READ).collect()
    texts: dict[str, list[str]] = {name: [] for name in labels.names}
    records = dict.fromkeys(labels.names, 0)
    for label, count in counted.iter_rows():
        if (known := labels.find(label)) is not None:
            records[known.name] += count
    for label, text in read.iter_rows():
        if (known := labels.find(label)) is not None:
            texts[known.name].append(text)
    if not any(map(any, texts.values())):
        raise UserError(
            f"no record of {build.path} has both a label of its label file and a text in `{column}`",
            remedy=f"See what is there: datakit why {build.path} ID",
        )
    return ClassTexts(labels.names, column, texts, records)


def _column(build: BuildFolder) -> str:
    """The column with what OCR read."""
    if (name := text_column(build)) is not None:
        return name
    raise UserError(
        f"{build.path} has no text of its pictures: its recipe has no annotate.ocr and no column `ocr_text`",
        remedy="Add the step `- annotate.ocr: {}` before render.chat, and build again.",
    )


def terms(text: str) -> set[str]:
    """Pairs of neighbouring Chinese characters, and words of three Latin letters and more."""
    parts = _CHINESE_OR_WORD.findall(unicodedata.normalize("NFKC", text).casefold())
    return {term for part in parts for term in ([part] if part.isascii() else _pairs(part))}


def _pairs(run: str) -> Iterable[str]:
    return (run[at : at + 2] for at in range(len(run) - 1))


class _Space:
    """The terms of some texts, each with a weight: the logarithm of all texts over those that hold it."""

    def __init__(self, texts: Sequence[str]) -> None:
        counts = Counter(term for text in texts for term in terms(text))
        self._places = {term: at for at, term in enumerate(sorted(counts))}
        self._weights = np.array(
            [math.log((1 + len(texts)) / count) for _, count in sorted(counts.items())], dtype=np.float32
        )
        self.size = len(counts)

    def vector(self, text: str) -> tuple[np.ndarray, np.ndarray]:
        """Places and weights of a text's terms, of length 1 together."""
        places = sorted(self._places[term] for term in terms(text) if term in self._places)
        indices = np.array(places, dtype=np.int64)
        weights = self._weights[indices]
        length = float(np.sqrt(weights @ weights))
        return indices, weights / length if length else weights
