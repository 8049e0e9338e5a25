"""What the further columns of data hold: which may be questions, answers, captions, labels or fields."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

import polars as pl

from datakit.core.labels import says_nothing
from datakit.core.training_columns import plain_name

QUESTIONS = "question query prompt instruction problem ask 问题 提问 题目".split()  # noqa: SIM905
ANSWERS = "answer answers response output solution target 答案 回答 回复".split()  # noqa: SIM905
CAPTIONS = (
    "caption captions description text sentence alt alt_text title summary 描述 说明 文案 标题 图说".split()  # noqa: SIM905
)
_NO_FIELDS = frozenset(
    plain_name(name)
    for name in (
        *(
            "id",
            "index",
            "idx",
            "no",
            "num",
            "number",
            "uuid",
            "image_id",
            "width",
            "height",
            "size",
            "sha256",
        ),
        *(
            "md5",
            "hash",
            "split",
            "given_split",
            "set",
            "subset",
            "partition",
            "fold",
            "source",
            "url",
            "link",
            "license",
            "licence",
            "created_at",
        ),
        *("updated_at", "timestamp", "score", "序号", "编号", "宽", "高"),
    )
)
"""Columns about a row, and not about what its picture shows."""
_KINDS = (pl.String, pl.Int64, pl.Float64, pl.Boolean)
_MOST_VALUES = 2000
_SHORT = 40
"""Characters of a class's name or a field's value, on average."""


@dataclass
class Column:
    """One further column, as far as it was looked at."""

    filled: int = 0
    values: Counter[str] = field(default_factory=Counter)
    """Its different values, the first thousands, and how often each comes."""
    chars: int = 0
    blank: int = 0
    """Records without it."""
    is_text: bool = False

    def add(self, series: pl.Series) -> None:
        """Takes the values of some records."""
        texts = series.drop_nulls().cast(pl.String).to_list()
        self.blank += len(series) - sum(1 for text in texts if text.strip())
        self.is_text = series.dtype == pl.String
        texts = [text for text in texts if not says_nothing(text)]
        self.filled += len(texts)
        self.chars += sum(map(len, texts))
        if len(self.values) < _MOST_VALUES:
            self.values.update(texts)

    @property
    def mean_chars(self) -> float:
        return self.chars / self.filled if self.filled else 0.0

    @property
    def is_short(self) -> bool:
        """Whether its values are as short as names are."""
        return self.filled > 0 and self.mean_chars <= _SHORT

    @property
    def repeats(self) -> bool:
        """Whether its values come again and again, as classes do."""
        return self.is_short and 2 * len(self.values) <= self.filled and len(self.values) < _MOST_VALUES


def source_name(name: str) -> str:
    """What the source calls a column that readers put `source_` before."""
    return name.removeprefix("source_") or name


def is_plain(kind: object) -> bool:
    """Whether a column holds single values."""
    return kind in _KINDS


def named(columns: dict[str, Column], names: list[str]) -> str | None:
    """The first filled column that has one of these names, in any case."""
    order = {plain_name(name): number for number, name in reversed(list(enumerate(names)))}
    fitting = [name for name, column in columns.items() if column.filled and plain_name(name) in order]
    return min(fitting, key=lambda name: order[plain_name(name)], default=None)


def fields_of(columns: dict[str, Column]) -> list[str]:
    """Columns that may be values on a picture."""
    return [
        name
        for name, column in columns.items()
        if column.is_short and plain_name(source_name(name)) not in _NO_FIELDS
    ]
