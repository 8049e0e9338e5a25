"""What the page searches besides ids and labels: blocks of texts that it loads when somebody searches."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Iterator

BLOCK = 2_000
"""Records whose texts are loaded together: some 4 MB of a page of 100,000 records."""
_MOST_CHARS = 4_000
"""Of one record."""


def folded(texts: Iterable[str]) -> str:
    """Texts as they are searched: each line once, without case, and wide signs as narrow ones (NFKC)."""
    lines = (line.strip() for text in texts for line in text.splitlines())
    whole = "\n".join(dict.fromkeys(line for line in lines if line))
    return unicodedata.normalize("NFKC", whole[:_MOST_CHARS]).lower()


class Blocks:
    """Texts that come record by record, given on block by block."""

    def __init__(self) -> None:
        self._texts: list[str] = []
        self._given = 0

    def add(self, texts: Iterable[str]) -> Iterator[tuple[int, list[str]]]:
        """The blocks that are full, with their numbers."""
        self._texts += texts
        while len(self._texts) >= BLOCK:
            yield self._next()

    def rest(self) -> Iterator[tuple[int, list[str]]]:
        """The last block, where it holds anything."""
        if self._texts:
            yield self._next()

    def _next(self) -> tuple[int, list[str]]:
        block, self._texts = self._texts[:BLOCK], self._texts[BLOCK:]
        self._given += 1
        return self._given - 1, block
