"""What class a text is of, where a stretch of its lines may be another page's.

A window lies over a page, or two pages are in one shot. Counted together, the lines of the other page speak
for the wrong class, and the more of them there are, the surer. Here a text is of one class
throughout, or of a class whose lines are interrupted once, at the beginning, in between or at the end, by
those of another; the probabilities of all places where that may be are added up (the forward algorithm of a
hidden Markov model, Rabiner 1989, III A). Two stretches that are as plausible come out as two classes that
are as likely: such a text is not sure.
"""

from __future__ import annotations

import numpy as np

from datakit.proxy.data import Floats, Rows

MIXED = 0.3
"""Share of the texts that are taken to hold a stretch of another class."""
_BY_STRETCH, _BY_ALL = 6, 3
"""Classes that may share a text: those with the best stretch, and those with the best lines in all."""


def class_of_lines(said: Floats, shares: Floats) -> Floats:
    """(classes,) probabilities of one text: `said` is (lines, classes), by how much the logarithm of a line's
    probability is higher in the class than in all; `shares` are those of the classes."""
    prior = np.log(shares) + said.sum(axis=0)
    scores = prior + np.log1p(-MIXED)
    able = _able(said)
    if len(said) > 1 and len(able) > 1:
        own, other = (axis.ravel() for axis in np.meshgrid(able, able, indexing="ij"))
        own, other = own[own != other], other[own != other]
        mixed = prior[own] + np.log(MIXED / (len(shares) - 1)) + _stretches(said[:, other] - said[:, own])
        np.logaddexp.at(scores, own, mixed)
    raised = np.exp(scores - scores.max())
    probabilities: Floats = raised / raised.sum()
    return probabilities


def _able(said: Floats) -> Rows:
    """The classes of which there may be a stretch worth a thought."""
    if not len(said):
        return np.zeros(0, dtype=np.int64)
    lead = np.cumsum(said - said.mean(axis=1, keepdims=True), axis=0)
    lead = np.concatenate([np.zeros((1, said.shape[1])), lead])
    rise = (lead - np.minimum.accumulate(lead, axis=0)).max(axis=0)  # of the best stretch (Kadane)
    by_stretch = np.argsort(-rise, kind="stable")[:_BY_STRETCH]
    return np.union1d(by_stretch, np.argsort(-said.sum(axis=0), kind="stable")[:_BY_ALL])


def _stretches(gains: Floats) -> Floats:
    """(pairs,) logarithm of the mean, over all places of one stretch, of what it gains: `gains` is
    (lines, pairs), what each line gains where the other class has it. Neither class has all lines."""
    count = len(gains)
    sums = np.concatenate([np.zeros((1, gains.shape[1])), np.cumsum(gains, axis=0)])
    inner = sums[1:count]
    ways = [_mean(inner), _mean(sums[count] - inner)]
    if count > 2:
        begun = np.logaddexp.accumulate(-inner[:-1], axis=0)
        ways.append(np.logaddexp.reduce(inner[1:] + begun, axis=0) - np.log((count - 1) * (count - 2) / 2))
    return _mean(np.array(ways))


def _mean(logarithms: Floats) -> Floats:
    mean: Floats = np.logaddexp.reduce(logarithms, axis=0) - np.log(len(logarithms))
    return mean
