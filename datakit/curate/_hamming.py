"""Pairs of hashes that differ in few bits, found without comparing every pair.

Pigeonhole: cut into more pieces than bits may differ, two near hashes are equal in at least one piece. So
only hashes that share a piece are compared (Norouzi, Punjani and Fleet 2012, "Fast Search in Hamming Space
with Multi-Index Hashing").
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

Hashes = NDArray[np.uint8]
"""(n, bytes): one hash a row."""
Pairs = tuple[NDArray[np.int64], NDArray[np.int64]]

_ONES = np.array([number.bit_count() for number in range(256)], dtype=np.uint16)
_LARGEST_RUN = 1024
"""Hashes that share a piece are compared all with all up to this many, else cut by further pieces."""
_PAIRS_AT_ONCE = 1 << 20


def near_pairs(hashes: Hashes, max_bits: int) -> Pairs:
    """Positions (left, right) of all pairs of rows that differ in at most `max_bits` bits; pairs may repeat.

    Rows should be distinct: n equal rows are n² pairs.
    """
    rows = np.arange(len(hashes), dtype=np.int64)
    found = list(_search(hashes, rows, max_bits, np.arange(hashes.shape[1] * 8)))
    if not found:
        return rows[:0], rows[:0]
    return np.concatenate([pair[0] for pair in found]), np.concatenate([pair[1] for pair in found])


def _search(
    hashes: Hashes, rows: NDArray[np.int64], max_bits: int, bits: NDArray[np.int64]
) -> Iterator[Pairs]:
    """Near pairs among `rows`, which are equal in every bit outside `bits`."""
    pieces = max(max_bits + 1, -(-len(bits) // 64))
    if len(bits) < 2 * pieces:
        yield from _compare(hashes, _all_pairs(rows), max_bits)
        return
    for number in range(pieces):
        # Every pieces-th bit: neighbouring bits say nearly the same, and a piece of them would tell little.
        keys = _piece(hashes, rows, bits[number::pieces])
        order = np.argsort(keys, kind="stable")
        ordered = rows[order]
        starts = np.flatnonzero(np.diff(keys[order], prepend=~keys[order][:1]))
        sizes = np.diff(starts, append=len(ordered))
        for size in np.unique(sizes[(sizes > 1) & (sizes <= _LARGEST_RUN)]):
            runs = ordered[starts[sizes == size][:, None] + np.arange(size)]
            yield from _compare(hashes, _pairs_in(runs), max_bits)
        for start, size in zip(starts[sizes > _LARGEST_RUN], sizes[sizes > _LARGEST_RUN], strict=True):
            others = np.delete(bits, np.s_[number::pieces])
            yield from _search(hashes, ordered[start : start + size], max_bits, others)


def _piece(hashes: Hashes, rows: NDArray[np.int64], bits: NDArray[np.int64]) -> NDArray[np.uint64]:
    """The chosen bits of each row as one number."""
    keys = np.zeros(len(rows), dtype=np.uint64)
    for bit in bits:
        one = (hashes[rows, bit >> 3] >> np.uint8(7 - (bit & 7))) & np.uint8(1)
        keys = (keys << np.uint64(1)) | one
    return keys


def _pairs_in(runs: NDArray[np.int64]) -> Iterator[Pairs]:
    """All pairs within each row of `runs`, in portions."""
    left, right = np.triu_indices(runs.shape[1], 1)
    step = max(1, _PAIRS_AT_ONCE // len(left))
    for start in range(0, len(runs), step):
        some = runs[start : start + step]
        yield some[:, left].ravel(), some[:, right].ravel()


def _all_pairs(rows: NDArray[np.int64]) -> Iterator[Pairs]:
    """All pairs of `rows`, in portions."""
    for number in range(len(rows) - 1):
        others = rows[number + 1 :]
        yield np.broadcast_to(rows[number], others.shape), others


def _compare(hashes: Hashes, candidates: Iterator[Pairs], max_bits: int) -> Iterator[Pairs]:
    for left, right in candidates:
        differing: NDArray[Any] = _ONES[hashes[left] ^ hashes[right]].sum(axis=1)
        near = differing <= max_bits
        if near.any():
            yield left[near], right[near]
