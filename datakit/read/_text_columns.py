"""Texts of a source that are trained on: none where a table wrote a word for no value."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from typing import Any

import polars as pl

from datakit.core.labels import LabelSet, says_no_text, says_nothing
from datakit.core.training_columns import plain_name
from datakit.read._kinds import column

_REASONS = re.compile("reason|rationale|explanation|description|理由|原因|依据|解释|说明|描述")
"""In names of columns that explain: there 无 says that nothing was written."""
_TEXTS = frozenset(
    "text question query prompt instruction input answer response output caption 问题 提问 答案 回答".split()  # noqa: SIM905
)
"""Names of columns that ask or answer: there 无 may be what stands on the picture."""
_MOST_NAMED = 5


class TextColumns:
    """Cleans the texts of a source, block by block, and counts what was none."""

    def __init__(self, labels: LabelSet | None) -> None:
        self._labels = labels
        self._counts: Counter[tuple[str, str]] = Counter()

    def column(self, name: str, values: Sequence[Any], kind: Any) -> pl.Series:
        """The values as a column of the records."""
        return column(name, self.cleaned(name, values) if kind == pl.String() else values, kind)

    def cleaned(self, name: str, values: Sequence[Any]) -> Sequence[Any]:
        """The values; null for blank ones and words for no value in a column of texts, by its name.

        A name in the label file is one everywhere: the column may be what is to be learnt.
        """
        plain = plain_name(name)
        explains = _REASONS.search(plain) is not None
        if not explains and plain not in _TEXTS:
            return values
        is_none = says_nothing if explains else says_no_text
        words = {value for value in {*values} if value is not None and is_none(value)}
        words = {word for word in words if self._labels is None or self._labels.find(word) is None}
        if not words:
            return values
        self._counts.update((name, value.strip()) for value in values if value in words)
        return [None if value in words else value for value in values]

    def warnings(self) -> list[str]:
        """What was read as no text, one line for each column."""
        lines = []
        for name in dict.fromkeys(name for name, _ in self._counts):
            counts = {word: count for (of, word), count in self._counts.most_common() if of == name and word}
            total = sum(counts.values())
            if not total:
                continue  # blank texts need no word
            words = ", ".join(f"`{word}` {count:,}" for word, count in [*counts.items()][:_MOST_NAMED])
            more = f" and {len(counts) - _MOST_NAMED:,} more" if len(counts) > _MOST_NAMED else ""
            are = "texts are" if total > 1 else "text is"
            lines.append(f"{total:,} {are} read as none in `{name}`, by a word for no value: {words}{more}")
        return lines
