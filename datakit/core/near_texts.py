"""How alike texts are: Jaccard similarity of their sets of character 3-grams.

Few texts are compared pair by pair; many by MinHash signatures and buckets, and only the pairs that share a
bucket are compared exactly (Broder 1997; Leskovec, Rajaraman and Ullman, Mining of Massive Datasets, 3.4).
Our own, because libraries are slower and find less: of 100,000 texts of 80 characters datasketch finds 78% of
the near pairs in 41 CPU seconds, datatrove 84% in 49, this all of them in 4 (scripts/bench_near_texts.py).
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
_REMEMBERED = 1_000
"""Texts whose sets of grams are held: 10 KB each of 80 characters. Pairs come by their first text."""
_BLOCK = 32_768
"""Grams that are hashed at once: they stay in the processor's cache."""
_HELD = 4_000_000
_BITS = 21
"""Of a character's number: three of them fill 63 bits."""
_MIXING = ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB))

_WHITE = r"[\s\x1c-\x1f]"
"""What str.split takes for white space."""
_EQUAL_HALVES: npt.NDArray[np.uint8] = np.array(
    [(value % 16 == 0) + (value < 16) for value in range(256)], dtype=np.uint8
)
"""Of two bytes' difference: how many of their halves are equal."""

Texts = Sequence[str] | Sequence[str | None] | pl.Series
GramNumbers = npt.NDArray[np.uint32]
Codes = npt.NDArray[np.int64]


def near_text_groups(texts: Texts, threshold: float, min_grams: int) -> Numbers:
    """Group number per text: those `threshold` alike and more, directly or through others, share one.

    White space makes no difference. Texts of fewer than `min_grams` characters are like no other: they say
    too little. Of pairs at the threshold 99% are found, nearer ones almost surely. Takes 0.3 KB a text, and
    a copy of texts that have white space.
    """
    given = pl.Series("text", texts, dtype=pl.String)
    if given.str.contains(_WHITE).any():  # most have none, and need no copy
        given = given.str.replace_all(_WHITE, "")
    plain = pl.DataFrame(given).with_row_index("row")
    plain = plain.filter(pl.col("text").str.len_chars() >= min_grams)
    plain = plain.with_columns(first=pl.col("row").first().over("text"))
    numbers = np.arange(len(texts), dtype=np.int64)
    numbers[plain["row"].to_numpy()] = plain["first"].to_numpy()
    unlike = plain.filter(pl.col("row") == pl.col("first"))
    near = [pair for *pair, _ in near_pairs(unlike["text"], threshold)]
    pairs = np.array(near, dtype=np.int64).reshape(-1, 2)
    firsts = unlike["row"].to_numpy().astype(np.int64)
    left, right = firsts[pairs[:, 0]], firsts[pairs[:, 1]]
    return components(np.append(left, np.arange(len(texts))), np.append(right, numbers), len(texts))


def near_pairs(texts: Texts, threshold: float) -> Iterator[tuple[int, int, float]]:
    """Pairs (smaller index first) of texts without white space that are `threshold` alike or more, with their
    similarity. No text may be blank or stand twice; more than 300 need three characters each."""
    known = lru_cache(maxsize=_REMEMBERED)(lambda at: grams(texts[at] or ""))
    for first, second in _likely(texts, threshold):
        similarity = jaccard(known(first), known(second))
        if similarity >= threshold:
            yield first, second, similarity


def texts_to_compare(records: pl.DataFrame, ocr_text: str, question: pl.Series) -> list[pl.Series]:
    """Per record what OCR read on its pictures, and the question of a text-only one: kinds that are not
    compared with each other.

    The question that comes with a picture is one that many records share.
    """
    pictures = pl.col("images").list.len().fill_null(0) > 0
    kinds = [pl.when(pictures).then(ocr_text)] if ocr_text in records.columns else []
    kinds.append(pl.when(~pictures).then(question))
    return [records.select(kind).to_series() for kind in kinds]


def likely_pairs(sets: Sequence[frozenset[str]], threshold: float) -> Iterator[tuple[int, int]]:
    """Pairs (smaller index first) that may reach `threshold`: all of few sets, candidates of many."""
    if len(sets) <= ALL_PAIRS_UP_TO:
        yield from combinations(range(len(sets)), 2)
        return
    # Grams of three characters follow each other; one of fewer stands alone in its set.
    numbers = (_numbers("".join(set_))[::3] for set_ in sets)
    yield from _candidates(numbers, len(sets), threshold)


def _likely(texts: Texts, threshold: float) -> Iterator[tuple[int, int]]:
    """The same of texts without white space, with three characters and more."""
    if len(texts) <= ALL_PAIRS_UP_TO:
        yield from combinations(range(len(texts)), 2)
    else:
        yield from _candidates(_gram_numbers(texts), len(texts), threshold)


def _candidates(numbers: Iterable[GramNumbers], count: int, threshold: float) -> Iterator[tuple[int, int]]:
    """Pairs of texts, given as the numbers of their grams, whose signatures are near."""
    keys, sketches = _signatures(numbers, count, *_shape(threshold))
    pairs = _once(_near(codes, sketches, threshold) for codes in map(_codes, keys))
    for chunk in np.array_split(pairs, len(pairs) // _CHUNK + 1):
        yield from zip((chunk // count).tolist(), (chunk % count).tolist(), strict=True)


def _near(codes: Codes, sketches: npt.NDArray[np.uint8], threshold: float) -> Codes:
    """The pairs whose sketches are near, of those that share a bucket: most of them are not."""
    # A sixteenth of unequal hashes have the same four bits.
    least = (threshold - _MARGIN) * 15 / 16 + 1 / 16
    enough, near = least * 2 * sketches.shape[1], [np.empty(0, dtype=np.int64)]
    for at in range(0, len(codes), _CHUNK):
        ones, twos = np.divmod(codes[at : at + _CHUNK], len(sketches))
        equal = _EQUAL_HALVES[sketches[ones] ^ sketches[twos]].sum(axis=1, dtype=np.uint16)
        near.append(codes[at : at + _CHUNK][equal >= enough])
    return np.concatenate(near)


def _shape(threshold: float) -> tuple[int, int]:
    """Bands and rows: the fewest candidates that still miss under 1% of pairs at the threshold."""
    for rows in range(8, 0, -1):
        bands = int(np.ceil(np.log(0.01) / np.log1p(-min(threshold**rows, 0.999999))))
        if bands * rows <= 256:
            return bands, rows
    return 256, 1


def _gram_numbers(texts: Texts) -> Iterator[GramNumbers]:
    """The numbers of each text's grams, made for many texts at once."""
    for start in range(0, len(texts), _CHUNK):
        some = [text or "" for text in texts[start : start + _CHUNK]]
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
    numbers: GramNumbers = ((mixed ^ mixed >> np.uint64(31)) >> np.uint64(33)).astype(np.uint32)
    return numbers


def _signatures(
    numbers: Iterable[GramNumbers], count: int, bands: int, rows: int
) -> tuple[npt.NDArray[np.uint32], npt.NDArray[np.uint8]]:
    """What is kept of the minima under `bands` times `rows` fixed hash functions, which would take 544 bytes
    a text: (bands, texts) numbers of buckets, and (texts, half the functions) sketches, four bits of each (Li
    and Koenig 2010, b-bit minwise hashing).

    A function multiplies a gram's mixed number by an odd number, modulo 2^32: it permutes all numbers, and
    takes 40% of the time that one modulo a prime takes.
    """
    size = bands * rows
    random = np.random.default_rng(20261124)
    factors = random.integers(0, 1 << 32, size=size, dtype=np.uint32) | np.uint32(1)
    offsets = random.integers(0, 1 << 32, size=size, dtype=np.uint32)
    keys = np.empty((bands, count), dtype=np.uint32)
    sketches = np.empty((count, (size + 1) // 2), dtype=np.uint8)
    at = 0
    for block in _blocks(numbers):
        values = np.concatenate(block)
        starts = np.cumsum([0, *(len(one) for one in block[:-1])])
        minima = np.zeros((len(block), size + size % 2), dtype=np.uint32)
        for column, (factor, offset) in enumerate(zip(factors, offsets, strict=True)):
            minima[:, column] = np.minimum.reduceat(factor * values + offset, starts)  # modulo 2^32
        least = minima.astype(np.uint64)
        bucket = np.zeros((len(block), bands), dtype=np.uint64)
        for row in range(rows):
            bucket = (bucket ^ least[:, row:size:rows]) * np.uint64(_MIXING[0][1])
            bucket ^= bucket >> np.uint64(32)
        keys[:, at : at + len(block)] = bucket.T.astype(np.uint32)
        ends = (least * np.uint64(_MIXING[0][1]) >> np.uint64(60)).astype(np.uint8)
        sketches[at : at + len(block)] = ends[:, ::2] | ends[:, 1::2] << 4
        at += len(block)
    return keys, sketches


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


def _codes(keys: npt.NDArray[np.uint32]) -> Codes:
    """Pairs of texts in one bucket, as first * texts + second."""
    count = len(keys)
    # One sort of plain numbers: bucket, then text.
    ordered = keys.astype(np.uint64) << np.uint64(32) | np.arange(count, dtype=np.uint64)
    ordered.sort()
    texts, buckets = (ordered & np.uint64(0xFFFFFFFF)).astype(np.int64), ordered >> np.uint64(32)
    starts = np.flatnonzero(np.concatenate(([True], buckets[1:] != buckets[:-1])))
    sizes = np.diff(np.append(starts, count))
    two = starts[sizes == 2]
    found = [texts[two] * count + texts[two + 1]]
    for start, size in zip(starts[sizes > 2].tolist(), sizes[sizes > 2].tolist(), strict=True):
        members = texts[start : start + size]
        firsts = range(min(size - 1, _BUCKET_PAIRS_UP_TO))
        found += [members[at] * count + members[at + 1 :] for at in firsts]
    return np.concatenate(found)
