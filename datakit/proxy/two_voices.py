"""What the proxy and the lines of a text say of records without a label: two opinions and their mean."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from datakit.proxy.data import Floats, ProxyData
from datakit.proxy.lines import LineVoice
from datakit.proxy.model import fit

_NEVER = 1e-5
"""Probability that no voice goes below where opinions are multiplied."""


def two_voices(known: ProxyData, labels: Sequence[str], others: ProxyData, seed: int) -> tuple[Floats, ...]:
    """(n, classes) of `others` twice, each row sums to 1, classes sorted: by the proxy, and by single lines.

    A text without a line has the proxy's word for both.
    """
    fitted = fit(known, labels, seed)
    proxy = fitted.probabilities(others)
    silent = np.full((len(known), len(fitted.classes)), 1 / len(fitted.classes))
    lines = LineVoice(known, labels, others, seed).probabilities(np.concatenate([silent, proxy]))
    return proxy, lines[len(known) :]


def together(voices: Sequence[Floats]) -> Floats:
    """(n, classes) the geometric mean of opinions: where two differ, neither is sure.

    NaN is no opinion; where nobody has one, all classes are as likely.
    """
    logs = np.array([np.log(np.maximum(voice, _NEVER)) for voice in voices])
    product = np.exp(np.nan_to_num(logs).sum(axis=0) / np.maximum(np.isfinite(logs).sum(axis=0), 1))
    mean: Floats = product / product.sum(axis=1, keepdims=True)
    return mean
