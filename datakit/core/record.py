"""The columns that every record has, and what each means."""

from __future__ import annotations

import hashlib
import re
from typing import Any

import orjson
import polars as pl

from datakit.core.wording import t

MESSAGES = pl.List(pl.Struct({"role": pl.String, "content": pl.String}))

COLUMNS: dict[str, Any] = {
    "id": pl.String(),
    "source_file": pl.String(),
    "source_line": pl.Int64(),
    "images": pl.List(pl.String()),
    "label": pl.String(),
    "text": pl.String(),
    "messages": MESSAGES,
    "split": pl.String(),
    "repeat": pl.UInt32(),
    "set": pl.String(),
}
"""Column -> dtype. `images` are absolute paths, [] for a text-only record; `text` may hold `<image>` places;
`messages` is the chat as the trainer reads it; `repeat` is how often the emitter writes the record;
`set` is "" for the main records and "general" for mixed-in data."""

BASE = ("id", "source_file", "source_line", "images", "label", "text")
"""What every reader gives. A reader of chats gives `messages` as well."""

TRAIN, VAL = "train", "val"
GIVEN_SPLIT = "given_split"
"""The column that says which split a source has a record in; null where it does not say."""
GENERAL = "general"
DECLINED = "_declined"
"""Ending of the column that says why a model would not write the text of another one."""
BETTER = "_better"
"""Ending of the column with the label that it would give instead."""
OFFLINE_WRITER = "offline-writer"
"""What a `<column>_by` says of texts that no model wrote."""


_COUNTED = (".json", ".parquet", ".arrow")
"""Endings of files whose records are counted: `source_line` is the number of one, and of no line."""


def place_of(file: str, line: int | None) -> str:
    """Where a record stands, for people: `a/train.jsonl:12`, or `a/instances.json, entry 3`."""
    if line is None:
        return file
    is_counted = file.lower().endswith(_COUNTED)
    return t("{file}, entry {line}", file=file, line=line) if is_counted else f"{file}:{line}"


def empty(columns: dict[str, Any] | None = None) -> pl.DataFrame:
    """Zero records with the base columns, or with the given ones."""
    return pl.DataFrame(schema=columns if columns is not None else {name: COLUMNS[name] for name in BASE})


_REPEAT = re.compile(r"(.+?)~+repeat([1-9][0-9]*)", re.DOTALL)


def repeat_id(id_: str, number: int, mark: str = "~") -> str:
    """The id of a record's repeat where that is a record of its own (balance.resample)."""
    return f"{id_}{mark}repeat{number}"


def repeat_of(id_: str) -> tuple[str, int]:
    """The id of the record that one repeats, and which repeat it is; 1 for the record itself.

    >>> repeat_of("screen-1~repeat3"), repeat_of("screen-1")
    (('screen-1', 3), ('screen-1', 1))
    """
    match = _REPEAT.fullmatch(id_)
    return (match[1], int(match[2])) if match else (id_, 1)


def digest(value: Any, size: int = 16) -> bytes:
    """`size` bytes of BLAKE2b over the canonical JSON of a value (keys sorted)."""
    data = orjson.dumps(value, option=orjson.OPT_SORT_KEYS | orjson.OPT_SERIALIZE_NUMPY)
    return hashlib.blake2b(data, digest_size=size).digest()


KEY_BYTES = 16


def step_print(name: str, version: int, settings: Any) -> str:
    """Digest of what a step is: name, version and the settings that it lets into its keys."""
    return digest([name, version, settings]).hex()


def record_key(fingerprint: str, fields: Any) -> bytes:
    """The result store's key of one record at one step: 16 bytes."""
    return digest([fingerprint, fields], size=KEY_BYTES)


def content_id(parts: Any) -> str:
    """A stable id for a record that came without one: 16 hex digits of its content."""
    return digest(parts, size=8).hex()
