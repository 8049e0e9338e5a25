"""The card of a data set on the Hugging Face hub: what its files hold, in the hub's own words."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import polars as pl

from datakit.core.plain_yaml import dump
from datakit.core.record import VAL

_SPLITS = {VAL: "validation"}
_SIZES = (
    (1_000, "n<1K"),
    (10_000, "1K<n<10K"),
    (100_000, "10K<n<100K"),
    (1_000_000, "100K<n<1M"),
    (10_000_000, "1M<n<10M"),
    (100_000_000, "10M<n<100M"),
)
_LARGER = "100M<n<1B"


@dataclass(frozen=True)
class FileSize:
    """Bytes of one file, on disk and of its rows in memory, as `datasets` counts them."""

    disk: int
    memory: int


class Task:
    """What the rows teach, in the hub's words. Labels alone, where every answer is the record's label."""

    def __init__(self) -> None:
        self._pictures, self._labels_only = False, True

    def add(self, rows: pl.DataFrame) -> None:
        """Takes in some rows with `messages`, `images` and, where they have one, `label`."""
        pictures = rows.filter(pl.col("images").list.len() > 0)
        if pictures.is_empty():
            return
        self._pictures = True
        turn = pl.element().struct
        answers = pl.col("messages").list.eval(
            turn.field("content").filter(turn.field("role") == "assistant").str.strip_chars()
        )
        alone = answers.list.len().eq(1) & answers.list.first().eq(pl.col("label"))
        if "label" not in rows.columns or not pictures.select(alone.fill_null(False).all()).item():
            self._labels_only = False

    def word(self) -> str:
        """The task of the hub's list."""
        if not self._pictures:
            return "text-generation"
        return "image-classification" if self._labels_only else "image-text-to-text"


@dataclass(frozen=True)
class SplitFacts:
    """What the files of one split hold."""

    split: str
    records: int
    rows: int
    files: Sequence[FileSize]

    @property
    def memory(self) -> int:
        """Bytes of its rows in memory."""
        return sum(size.memory for size in self.files)


@dataclass(frozen=True)
class HubCard:
    """README.md of a data set: facts for the hub and `datasets` in its head, words for people below."""

    name: str
    licence: str | None
    task: str
    """The hub's word for what is learnt."""
    features: Any
    """The columns' types, `datasets.Features`."""
    types: Mapping[str, str]
    """Column -> its type for people."""
    empty: Sequence[str]
    """Columns that were left out, because no record has a value."""
    splits: Sequence[SplitFacts]

    def text(self) -> str:
        """The file."""
        return f"---\n{dump(self._front(), width=110)}---\n\n" + "\n".join(self._body()) + "\n"

    def _front(self) -> dict[str, Any]:
        rows = sum(split.rows for split in self.splits)
        return {
            "pretty_name": self.name,
            "license": self.licence or "unknown",
            "task_categories": [self.task],
            "size_categories": [next((words for most, words in _SIZES if rows < most), _LARGER)],
            "tags": ["datakit", *(["vision-language"] if self.task.startswith("image") else [])],
            "dataset_info": {
                "features": self.features._to_yaml_list(),
                "splits": [
                    {"name": _name(split), "num_bytes": split.memory, "num_examples": split.rows}
                    for split in self.splits
                ],
                "download_size": sum(size.disk for split in self.splits for size in split.files),
                "dataset_size": sum(split.memory for split in self.splits),
            },
            "configs": [
                {
                    "config_name": "default",
                    "data_files": [
                        {"split": _name(split), "path": f"data/{split.split}-*.parquet"}
                        for split in self.splits
                    ],
                }
            ],
        }

    def _body(self) -> list[str]:
        missing = ", ".join(f"`{name}`" for name in self.empty)
        return [
            f"# {self.name}\n",
            "Made by datakit for fine-tuning a vision-language model.\n",
            "| split | records | rows |",
            "| --- | ---: | ---: |",
            *(f"| {_name(split)} | {split.records:,} | {split.rows:,} |" for split in self.splits),
            "\n`messages` is the chat that is learnt, with `<image>` where a picture stands; `images` are "
            "its pictures in that order. A record has more rows than one where its class is rare.\n",
            "| column | type |",
            "| --- | --- |",
            *(f"| `{column}` | {words} |" for column, words in self.types.items()),
            *([f"\nLeft out, for no record has a value: {missing}."] if missing else []),
        ]


def _name(split: SplitFacts) -> str:
    return _SPLITS.get(split.split, split.split)
