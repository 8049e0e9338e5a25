"""What is said of records without a label: by the proxy, by the lines of their text, and by a model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import orjson
import polars as pl

from datakit.core.judged import canonical, canonical_probabilities
from datakit.core.labels import LabelSet
from datakit.proxy import ProxyData
from datakit.proxy.data import Floats
from datakit.proxy.two_voices import together, two_voices
from datakit.proxy.worth import Beliefs
from datakit.reviewing.answered import Answers

PROXY, LINES, MODEL = "proxy", "lines", "model"

_COLUMNS = {
    "prediction": pl.String(),
    "prediction_probability": pl.Float64(),
    "prediction_probabilities": pl.String(),
}


@dataclass(frozen=True)
class Voices:
    """What each voice takes the records without a label to be."""

    classes: tuple[str, ...]
    said: Mapping[str, Floats]
    """Voice -> (n, classes), NaN where it says nothing."""
    both: Floats
    """What the proxy and a model say together. The lines tell a person where to look, but do not choose: the
    proxy is a mean of eight models already, which is unsure where they disagree."""

    @classmethod
    def of(
        cls,
        known: ProxyData,
        others: ProxyData,
        labels: Sequence[str],
        model: Sequence[Mapping[str, float] | None],
        seed: int,
    ) -> Voices:
        named = {name for words in model if words for name in words}
        classes = tuple(sorted({*labels, *named}))
        said: dict[str, Floats] = {}
        if len(set(labels)) > 1:  # one class alone cannot be told from others
            places = [classes.index(name) for name in sorted(set(labels))]
            two = two_voices(known, labels, others, seed)
            for name, probabilities in zip((PROXY, LINES), two, strict=True):
                said[name] = np.zeros((len(others), len(classes)))
                said[name][:, places] = probabilities
        if named:
            said[MODEL] = np.array([_spread(words, classes) for words in model])
        weighed = [voice for name, voice in said.items() if name != LINES]
        both = together(weighed) if weighed else np.zeros((len(others), 0))
        return cls(classes, said, both)

    def beliefs(self, labels: Sequence[str]) -> Beliefs:
        """Beside the labels of those that have one."""
        if not self.said:
            return Beliefs.none(len(labels), len(self.both))
        known = np.zeros((len(labels), len(self.classes)))
        known[np.arange(len(labels)), [self.classes.index(label) for label in labels]] = 1.0
        return Beliefs(known, self.both)

    def labels(self, row: int) -> dict[str, str]:
        """Voice -> what it says of a record."""
        return {
            name: self.classes[int(voice[row].argmax())]
            for name, voice in self.said.items()
            if np.isfinite(voice[row]).all()
        }


def _spread(words: Mapping[str, float] | None, classes: Sequence[str]) -> list[float]:
    """Probabilities of all classes; what is missing to 1 is spread over those that are not named."""
    if words is None:
        return [np.nan] * len(classes)
    rest = max(1 - sum(words.values()), 0.0) / max(len(classes) - len(words), 1)
    every = [words.get(name, rest) for name in classes]
    return [value / max(sum(every), 1e-9) for value in every]


def model_words(
    others: pl.DataFrame, answers: Answers, labels: LabelSet | None
) -> list[Mapping[str, float] | None]:
    """What a model says of each record: by its answers, else in the columns of annotate.predict."""
    told: list[Mapping[str, float] | None] = [None] * others.height
    if all(others.schema.get(name) == kind for name, kind in _COLUMNS.items()):
        for row, (label, sure, of_all) in enumerate(others.select([*_COLUMNS]).iter_rows()):
            told[row] = _words(label, sure, _of_all(of_all), labels)
    for row, id_ in enumerate(others["id"]):
        if (one := answers.by_id.get(id_)) is not None:
            told[row] = _words(one.predicted, one.confidence, one.probabilities, labels)
    return told


def _of_all(text: str | None) -> dict[str, float] | None:
    """Label -> probability, as annotate.predict writes it; None for anything else that a source may have."""
    try:
        values = orjson.loads(text or "null")
    except orjson.JSONDecodeError:
        return None
    if not isinstance(values, dict) or not all(isinstance(one, int | float) for one in values.values()):
        return None
    return {name: float(value) for name, value in values.items() if value >= 0}


def _words(
    label: str | None, sure: float | None, of_all: Mapping[str, float] | None, labels: LabelSet | None
) -> Mapping[str, float] | None:
    """Label -> probability; an answer that says none counts as sure. None for no label of the set."""
    name = canonical(label, labels)
    if name is None or (labels is not None and name not in labels.names):
        return None
    alone = sure if sure is not None and 0 <= sure <= 1 else 1.0
    named = canonical_probabilities(of_all, labels) or {name: alone}
    return {key: value for key, value in named.items() if labels is None or key in labels.names}
