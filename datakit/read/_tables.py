"""Rows of a table file, whatever its format; rows of dialogues made of several columns."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from datakit.core.errors import UserError
from datakit.read._csv import csv_rows
from datakit.read._json_array import is_json_lines, json_array
from datakit.read._json_lines import json_lines
from datakit.read._parquet import parquet_rows
from datakit.read._rows import DIALOGUE, Block


def table_rows(path: Path, rows: int, encoding: str | None = None) -> Iterator[Block]:
    """The rows of a JSON, JSON Lines, CSV or Parquet file. JSON is told by content, the others by suffix."""
    suffix = path.suffix.lower()
    if suffix in (".jsonl", ".ndjson") or (suffix == ".json" and is_json_lines(path, encoding)):
        yield from json_lines(path, rows, encoding)
    elif suffix == ".json":
        yield from json_array(path, rows, encoding)
    elif suffix in (".csv", ".tsv"):
        yield from csv_rows(path, rows, encoding=encoding)
    elif suffix == ".parquet":
        yield from parquet_rows(path, rows)
    else:
        raise UserError(
            f"{path} is no table of a known kind", remedy="Known: .json, .jsonl, .csv, .tsv, .parquet"
        )


def with_dialogue(block: Block, names: set[str]) -> Block:
    """The block with the named columns gathered under DIALOGUE, so that they become turns together."""
    rows: list[dict[str, Any]] = []
    for row in block.rows:
        rest = {name: value for name, value in row.items() if name not in names}
        rest[DIALOGUE] = {name: row[name] for name in names if name in row}
        rows.append(rest)
    kinds = block.kinds and {name: kind for name, kind in block.kinds.items() if name not in names}
    return replace(block, rows=rows, kinds=kinds)
