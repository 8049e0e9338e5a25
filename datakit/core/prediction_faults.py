"""Why a prediction cannot stand for a label, in words."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterator, Mapping

import orjson
import polars as pl

_MISSING, _OVER = 0.1, 0.01
"""How much less and more than 1 the probabilities of all classes may come to: tiny ones are left out."""
_SUM = "the probabilities of its classes add up to"


def faults(
    predicted: pl.Series,
    probability: pl.Series,
    probabilities: pl.Series | None,
    labels: Collection[str] | None,
) -> list[str]:
    """What is wrong with each record's prediction; "" for one that is sound. `probabilities` are JSON
    {label: probability}; without `labels` any label is one."""
    return list(_faults(predicted, probability, probabilities, labels))


def _faults(
    predicted: pl.Series,
    probability: pl.Series,
    probabilities: pl.Series | None,
    labels: Collection[str] | None,
) -> Iterator[str]:
    texts = [None] * len(predicted) if probabilities is None else probabilities.to_list()
    for name, sure, text in zip(predicted.to_list(), probability.to_list(), texts, strict=True):
        if name is None:
            yield "it has no prediction"
        elif labels is not None and name not in labels:
            yield f"`{name}`, which it is predicted to be, is no label"
        elif sure is None:
            yield "its prediction has no probability"
        elif not 0 <= sure <= 1:
            yield f"the probability of its prediction is {sure:g}, which is none"
        else:
            yield "" if text is None else _of_all(text)


def _of_all(text: str) -> str:
    """The same of the probabilities of all classes."""
    try:
        told = {name: float(value) for name, value in orjson.loads(text).items()}
    except (ValueError, TypeError, AttributeError):
        return "the probabilities of its classes are no JSON of {label: probability}"
    return fault_of_all(told)


def fault_of_all(told: Mapping[str, float]) -> str:
    """What is wrong with the probabilities of all classes; "" where nothing is."""
    total = math.fsum(told.values())
    if min(told.values(), default=0.0) < 0:
        return f"a probability of its classes is {min(told.values()):g}, which is none"
    return "" if 1 - _MISSING <= total <= 1 + _OVER else f"{_SUM} {total:.3g}, not to 1"
