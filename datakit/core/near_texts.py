"""How alike texts are: Jaccard similarity of their sets of character 3-grams.

Few texts are compared pair by pair; many by MinHash signatures and buckets, and only the pairs that share a
bucket are compared exactly (Broder 1997; Leskovec, Rajaraman and Ullman, Mining of Massive Datasets, 3.4).
Our own, because libraries are slower and find less: of 100,000 texts of 80 characters datasketch finds 78% of
the near pairs in 41 CPU seconds, datatrove 84% in 49, this 99.9% in 6 (scripts/bench_near_texts.py).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from functools import lru_cache
from itertools import combinations

import numpy as np
import numpy.typing as npt
import polars as pl

from datakit.core.groups import Numbers, components
from datakit.core.likeness import grams, jaccard

SAME_TEXT = 0.6
"""Similarity from which two texts are one, unless a recipe says otherwise; see curate.split."""
MIN_GRAMS = 24
"""Characters without which a text tells too little: screens with a greeting or a single button."""
ALL_PAIRS_UP_TO = 300
"""Texts that are compared pair by pair; about 0.1 s."""
_BUCKET_PAIRS_UP_TO = 16
"""In a larger bucket each text is compared with the bucket's first ones only, so that a class of equal texts
costs no more than others."""
_MARGIN = 0.13
"""Three standard deviations of a similarity that is estimated from 136 hashes: pairs estimated further below
the bound are not compared exactly."""
_CHUNK = 20_000
_BLOCK = 32_768
"""Grams that are hashed at once: they stay in the processor's cache."""
_HELD = 4_000_000
_PRIME = (1 << 31) - 1
_BITS = 21
"""Of a character's number: three of them fill 63 bits."""
_MIXING = ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB))

GramNumbers = npt.NDArray[np.uint64]


def near_text_groups(texts: Sequence[str | None], threshold: float, min_grams: int) -> Numbers:
    """Group number per text: those `threshold` alike and more, directly or through others, share one.

    White space makes no difference. Texts of fewer than `min_grams` characters are like no other: they say
    too little. Of pairs at the threshold 99% are found, nearer ones almost surely. Takes 1 KB a text.
    """
    rows: dict[str, int] = {}
    numbers = np.arange(len(texts), dtype=np.int64)
    for row, text in enumerate(texts):
        plain = "".join(text.split()) if text else ""
        if len(plain) >= min_grams:
            numbers[row] = rows.setdefault(plain, row)
    near = [pair for *pair, _ in near_pairs(list(rows), threshold)]
    pairs = np.array(near, dtype=np.int64).reshape(-1, 2)
    firsts = np.fromiter(rows.values(), dtype=np.int64, count=len(rows))
    left, right = firsts[pairs[:, 0]], firsts[pairs[:, 1]]
    return components(np.append(left, np.arange(len(texts))), np.append(right, numbers), len(texts))


def near_pairs(texts: Sequence[str], threshold: float) -> Iterator[tuple[int, int, float]]:
    """Pairs (smaller index first) of texts without white space that are `threshold` alike or more, with their
    similarity. No text may be blank or stand twice; more than 300 need three characters each."""
    known = lru_cache(maxsize=_CHUNK)(lambda at: grams(texts[at]))
    for first, second in _likely(texts, threshold):
        similarity = jaccard(known(first), known(second))
        if similarity >= threshold:
            yield first, second, similarity


def texts_to_compare(records: pl.DataFrame, ocr_text: str, question: pl.Series) -> list[list[str | None]]:
    """Per record what OCR read on its pictures, and the question of a text-only one: kinds that are not
    compared with each other.

    The question that comes with a picture is one that many records share.
    """
    pictures = pl.col("images").list.len().fill_null(0) > 0
    kinds = [pl.when(pictures).then(ocr_text)] if ocr_text in records.columns else []
    kinds.append(pl.when(~pictures).then(question))
    return [records.select(kind).to_series().to_list() for kind in kinds]


def likely_pairs(sets: Sequence[frozenset[str]], threshold: float) -> Iterator[tuple[int, int]]:
    """Pairs (smaller index first) that may reach `threshold`: all of few sets, candidates of many."""
    if len(sets) <= ALL_PAIRS_UP_TO:
        yield from combinations(range(len(sets)), 2)
        return
    # Grams of three characters follow each other; one of fewer stands alone in its set.
    numbers = (_numbers("".join(set_))[::3] for set_ in sets)
    yield from _candidates(numbers, len(sets), threshold)


def _likely(texts: Sequence[str], threshold: float) -> Iterator[tuple[int, int]]:
    """The same of texts without white space, with three characters and more."""
    if len(texts) <= ALL_PAIRS_UP_TO:
        yield from combinations(range(len(texts)), 2)
    else:
        yield from _candidates(_gram_numbers(texts), len(texts), threshold)


def _candidates(numbers: Iterable[GramNumbers], count: int, threshold: float) -> Iterator[tuple[int, int]]:
    """Pairs of texts, given as the numbers of their grams, whose signatures are near."""
    bands, rows = _shape(threshold)
    signatures = _signatures(numbers, count, bands * rows)
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


def _gram_numbers(texts: Sequence[str]) -> Iterator[GramNumbers]:
    """The numbers of each text's grams, made for many texts at once."""
    for start in range(0, len(texts), _CHUNK):
        some = texts[start : start + _CHUNK]
        numbers = _numbers("".join(some))
        begin = 0
        for text in some:
            yield numbers[begin : begin + len(text) - 2]
            begin += len(text)


def _numbers(text: str) -> GramNumbers:
    """A stable 31-bit number of each gram of a text; of a text of fewer characters, its own.

    Three characters fill 63 bits; these are mixed as splitmix64 does (Steele, Lea and Flood 2014).
    """
    characters = np.frombuffer(text.encode("utf-32-le", "surrogatepass"), dtype=np.uint32).astype(np.uint64)
    characters = np.append(characters, np.zeros(max(0, 3 - len(characters)), dtype=np.uint64))
    mixed = characters[:-2] | characters[1:-1] << np.uint64(_BITS) | characters[2:] << np.uint64(2 * _BITS)
    for shift, factor in _MIXING:
        mixed = (mixed ^ mixed >> np.uint64(shift)) * np.uint64(factor)
    numbers: GramNumbers = (mixed ^ mixed >> np.uint64(31)) >> np.uint64(33)
    return numbers


def _signatures(numbers: Iterable[GramNumbers], count: int, size: int) -> npt.NDArray[np.uint32]:
    """(texts, size) minima under `size` fixed hash functions."""
    random = np.random.default_rng(20261124)
    factors = random.integers(1, _PRIME, size=(size, 1), dtype=np.uint64).ravel()
    offsets = random.integers(0, _PRIME, size=(size, 1), dtype=np.uint64).ravel()
    out = np.empty((count, size), dtype=np.uint32)
    at = 0
    for block in _blocks(numbers):
        values = np.concatenate(block)
        starts = np.cumsum([0, *(len(one) for one in block[:-1])])
        for column, (factor, offset) in enumerate(zip(factors, offsets, strict=True)):
            hashed = _modulo(factor * values + offset)
            out[at : at + len(block), column] = np.minimum.reduceat(hashed, starts)
        at += len(block)
    return out


def _blocks(numbers: Iterable[GramNumbers]) -> Iterator[list[GramNumbers]]:
    block: list[GramNumbers] = []
    held = 0
    for one in numbers:
        block.append(one)
        held += len(one)
        if held >= _BLOCK:
            yield block
            block, held = [], 0
    if block:
        yield block


def _modulo(values: GramNumbers) -> GramNumbers:
    """The remainders by _PRIME, a Mersenne prime: shifts and sums take a fifth of a division's time."""
    prime, shift = np.uint64(_PRIME), np.uint64(31)
    values = (values & prime) + (values >> shift)
    values = (values & prime) + (values >> shift)
    least: GramNumbers = np.minimum(values, values - prime)  # below the prime, the difference wraps around
    return least


def _once(parts: Iterable[npt.NDArray[np.int64]]) -> npt.NDArray[np.int64]:
    """Every number of the parts once, ascending; sorted now and then, so that little is held twice."""
    held: list[npt.NDArray[np.int64]] = []
    for part in parts:
        held.append(part)
        if sum(map(len, held)) > _HELD:
            held = [_sorted_once(held)]
    return _sorted_once(held)


def _sorted_once(held: list[npt.NDArray[np.int64]]) -> npt.NDArray[np.int64]:
    whole = np.concatenate(held)
    whole.sort()  # np.unique hashes first, which took seven times as long here (numpy 2.4)
    first: npt.NDArray[np.bool_] = np.ones(len(whole), dtype=np.bool_)
    first[1:] = whole[1:] != whole[:-1]
    found: npt.NDArray[np.int64] = whole[first]
    return found


def _codes(band: npt.NDArray[np.uint32]) -> npt.NDArray[np.int64]:
    """Pairs whose signatures agree on the whole band, as first * texts + second."""
    keys = np.ascontiguousarray(band).view(np.dtype((np.void, band.dtype.itemsize * band.shape[1]))).ravel()
    order = np.argsort(keys, kind="stable")  # equal keys keep the order of the texts
    starts = np.flatnonzero(np.concatenate(([True], keys[order][1:] != keys[order][:-1])))
    ends = np.append(starts[1:], len(order))
    shared = ends - starts > 1
    found = [np.empty(0, dtype=np.int64)]
    for start, end in zip(starts[shared].tolist(), ends[shared].tolist(), strict=True):
        members = order[start:end].astype(np.int64)
        firsts = range(min(len(members) - 1, _BUCKET_PAIRS_UP_TO))
        found += [members[at] * len(order) + members[at + 1 :] for at in firsts]
    return np.concatenate(found)
