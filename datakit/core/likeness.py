"""How alike two texts are: Jaccard similarity of their sets of character 3-grams."""

from __future__ import annotations

from collections.abc import Sequence


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
