"""Folds that keep groups whole and spread every class."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from datakit.proxy.data import Rows


def folds(classes: Rows, groups: Sequence[str], count: int, seed: int) -> Rows:
    """(n,) fold of each record, 0 to `count` - 1.

    Groups come in an order drawn from the seed, each to the fold that has fewest of its commonest class, of
    equal ones to that with fewest records. No more folds than groups are filled.
    """
    names, numbers = np.unique(np.asarray(groups, dtype=object), return_inverse=True)
    members: list[list[int]] = [[] for _ in names]
    for row, number in enumerate(numbers.tolist()):
        members[number].append(row)
    width = int(classes.max(initial=0)) + 1
    have = np.zeros((count, width), dtype=np.int64)
    fold = np.zeros(len(classes), dtype=np.int64)
    order = np.random.default_rng(seed).permutation(len(names)).tolist()
    for group in sorted(order, key=lambda at: -len(members[at])):  # stable: large groups first
        own = np.bincount(classes[members[group]], minlength=width)
        place = int(np.lexsort((have.sum(axis=1), have[:, own.argmax()]))[0])
        have[place] += own
        fold[members[group]] = place
    return fold
