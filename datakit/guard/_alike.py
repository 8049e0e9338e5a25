"""How alike texts are: Jaccard similarity of their sets of character 3-grams.

Few texts are compared pair by pair; many by MinHash signatures and buckets, and only the pairs that share a
bucket are compared exactly (Broder 1997; Leskovec, Rajaraman and Ullman, Mining of Massive Datasets, 3.4).
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from itertools import combinations

import numpy as np
import numpy.typing as npt

ALL_PAIRS_UP_TO = 300
"""Texts that are compared pair by pair; about 0.1 s."""
_BUCKET_PAIRS_UP_TO = 16
"""In a larger bucket each text is compared with the bucket's first ones only, so that a class of equal texts
costs no more than others."""
_MARGIN = 0.13
"""Three standard deviations of a similarity that is estimated from 136 hashes: pairs estimated further below
the bound are not compared exactly."""
_CHUNK = 20_000
_HELD = 4_000_000
_PRIME = (1 << 31) - 1


def likely_pairs(sets: Sequence[frozenset[str]], threshold: float) -> Iterator[tuple[int, int]]:
    """Pairs (smaller index first) that may reach `threshold`: all of few sets, candidates of many."""
    if len(sets) <= ALL_PAIRS_UP_TO:
        yield from combinations(range(len(sets)), 2)
        return
    bands, rows = _shape(threshold)
    signatures = _signatures(sets, bands * rows)
    count = len(sets)
    pairs = _once(_codes(signatures[:, at : at + rows]) for at in range(0, bands * rows, rows))
    for chunk in np.array_split(pairs, len(pairs) // _CHUNK + 1):
        ones, twos = chunk // count, chunk % count
        share = (signatures[ones] == signatures[twos]).mean(axis=1)
        near = share >= threshold - _MARGIN
        yield from zip(ones[near].tolist(), twos[near].tolist(), strict=True)


def _shape(threshold: float) -> tuple[int, int]:
    """Bands and rows: the fewest candidates that still miss under 1% of pairs at the threshold."""
    for rows in range(8, 0, -1):
        bands = int(np.ceil(np.log(0.01) / np.log1p(-min(threshold**rows, 0.999999))))
        if bands * rows <= 256:
            return bands, rows
    return 256, 1


def _signatures(sets: Sequence[frozenset[str]], size: int) -> npt.NDArray[np.uint32]:
    """(texts, size) minima under `size` fixed hash functions."""
    random = np.random.default_rng(20261124)
    factors = random.integers(1, _PRIME, size=(size, 1), dtype=np.uint64)
    offsets = random.integers(0, _PRIME, size=(size, 1), dtype=np.uint64)
    numbers: dict[str, int] = {}
    out = np.empty((len(sets), size), dtype=np.uint32)
    for at, grams_ in enumerate(sets):
        values = np.array([_number(gram, numbers) for gram in grams_], dtype=np.uint64)
        out[at] = ((factors * values + offsets) % _PRIME).min(axis=1)
    return out


def _number(gram: str, numbers: dict[str, int]) -> int:
    """A stable 31-bit number of a gram (Python's own hash differs from run to run)."""
    number = numbers.get(gram)
    if number is None:
        digest = hashlib.blake2b(gram.encode("utf-8", "surrogatepass"), digest_size=4).digest()
        number = numbers[gram] = int.from_bytes(digest, "little") % _PRIME
    return number


def _once(chunks: Iterable[npt.NDArray[np.int64]]) -> npt.NDArray[np.int64]:
    """Every number of the parts once, ascending; sorted now and then, so that little is held twice."""
    held: list[npt.NDArray[np.int64]] = []
    for chunk in chunks:
        held.append(chunk)
        if sum(map(len, held)) > _HELD:
            held = [_sorted_once(held)]
    return _sorted_once(held)


def _sorted_once(held: list[npt.NDArray[np.int64]]) -> npt.NDArray[np.int64]:
    whole = np.concatenate(held)
    whole.sort()  # np.unique hashes first, which took seven times as long here (numpy 2.4)
    first: npt.NDArray[np.bool_] = np.ones(len(whole), dtype=np.bool_)
    first[1:] = whole[1:] != whole[:-1]
    unique: npt.NDArray[np.int64] = whole[first]
    return unique


def _codes(band: npt.NDArray[np.uint32]) -> npt.NDArray[np.int64]:
    """Pairs whose signatures agree on the whole band, as first * texts + second."""
    keys = np.ascontiguousarray(band).view(np.dtype((np.void, band.dtype.itemsize * band.shape[1]))).ravel()
    order = np.argsort(keys, kind="stable")  # equal keys keep the order of the texts
    starts = np.flatnonzero(np.concatenate(([True], keys[order][1:] != keys[order][:-1])))
    ends = np.append(starts[1:], len(order))
    shared = ends - starts > 1
    pairs = [np.empty(0, dtype=np.int64)]
    for start, end in zip(starts[shared].tolist(), ends[shared].tolist(), strict=True):
        members = order[start:end].astype(np.int64)
        firsts = range(min(len(members) - 1, _BUCKET_PAIRS_UP_TO))
        pairs += [members[at] * len(order) + members[at + 1 :] for at in firsts]
    return np.concatenate(pairs)
