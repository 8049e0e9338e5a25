"""How alike two texts are, by character 3-grams; and how surely a quotation stands in a text."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator, Sequence


def grams(text: str) -> frozenset[str]:
    """The character 3-grams of a text without white space; the text itself when it is shorter."""
    text = "".join(text.split())
    return frozenset(text[at : at + 3] for at in range(max(len(text) - 2, 1)))


def jaccard(first: frozenset[str], second: frozenset[str]) -> float:
    """Shared grams over all grams, 0 to 1."""
    shared = len(first & second)
    return shared / (len(first) + len(second) - shared)


def centrality(texts: Sequence[str]) -> list[float]:
    """Per text its mean similarity to the others, 0 to 1; [1.0] for a single text."""
    sets = [grams(text) for text in texts]
    if len(sets) < 2:
        return [1.0] * len(sets)
    return [
        sum(jaccard(own, other) for at, other in enumerate(sets) if at != index) / (len(sets) - 1)
        for index, own in enumerate(sets)
    ]


def standing(quotation: str, text: str) -> float:
    """How nearly a quotation stands in a text: 1 less the share of its characters that must change, 0 to 1.

    Compared without white space, case and width, and without punctuation at the quotation's ends. One that
    says nothing stands everywhere.
    """
    wanted, within = _core(quotation), _plain(text)
    if not wanted or wanted in within:
        return 1.0
    return 1 - min(distances(wanted, within), default=len(wanted)) / len(wanted)


def _core(quotation: str) -> str:
    """The plain form without punctuation at its ends."""
    wanted = _plain(quotation)
    while wanted and unicodedata.category(wanted[-1])[0] in "PZ":
        wanted = wanted[:-1]
    while wanted and unicodedata.category(wanted[0])[0] in "PZ":
        wanted = wanted[1:]
    return wanted


def _plain(text: str) -> str:
    return "".join(unicodedata.normalize("NFKC", text).casefold().split())


def distances(pattern: str, text: str) -> Iterator[int]:
    """For each place of the text the fewest edits between the pattern and a part that ends there (Myers 1999:
    bit vectors, any length)."""
    full, last = (1 << len(pattern)) - 1, 1 << (len(pattern) - 1)
    places: dict[str, int] = {}
    for at, char in enumerate(pattern):
        places[char] = places.get(char, 0) | 1 << at
    up, down, distance = full, 0, len(pattern)
    for char in text:
        equal = places.get(char, 0)
        across = equal | down
        equal |= (((equal & up) + up) ^ up) | down
        more, less = down | ~(equal | up), up & equal
        distance += bool(more & last) - bool(less & last)
        yield distance
        more, less = more << 1, less << 1  # a match may begin anywhere: the row above costs nothing
        up, down = (less | ~(across | more)) & full, more & across & full
