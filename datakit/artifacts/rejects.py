"""rejects.jsonl: every record that a step dropped or could not finish, with its place in the source."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import orjson
import polars as pl

from datakit.core.regular_files import regular

SCHEMA = {
    "id": pl.String(),
    "step": pl.Int64(),
    "name": pl.String(),
    "state": pl.String(),
    "reason": pl.String(),
    "detail": pl.String(),
    "source_file": pl.String(),
    "source_line": pl.Int64(),
}


def scan_rejects(path: Path) -> pl.LazyFrame:
    """The rejected records, scanned lazily; none where there is no file."""
    if not path.is_file() or path.stat().st_size == 0:
        return pl.LazyFrame(schema=SCHEMA)
    return pl.scan_ndjson(path, schema=SCHEMA)


def read_rejects(path: Path) -> Iterator[dict[str, Any]]:
    """The lines one by one; none where there is no file."""
    if path.is_file():
        with open(path, "rb", opener=regular) as lines:
            yield from (orjson.loads(line) for line in lines)
