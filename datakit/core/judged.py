"""What a person looked at, as a digest: by it a decision is told that was made about something else."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from typing import Any

import orjson
import polars as pl

from datakit.core.json_texts import as_json, blake
from datakit.core.labels import LabelSet
from datakit.core.record import digest

_MISSING = "missing"
_WHOLE = re.compile(r"^(-?\d+)\.0+$")
"""A number in words that is a whole one."""
_DEEPEST = 50
"""Levels of a value that are compared one by one."""


def judged(
    label: str | None,
    image_digests: Sequence[str],
    texts: Sequence[str | None],
    brought: str | None = None,
) -> str:
    """32 hex digits of a record's label, pictures (hex sha256 each, in order), own texts, and what else it
    brings (`brought_digest`; null for nothing).

    A null text is equal to an empty one, and pictures that cannot be read are equal wherever they lie.
    """
    pictures = [_MISSING if name.startswith(_MISSING) else name for name in image_digests]
    parts = [label, pictures, [text or "" for text in texts]]
    return digest(parts if brought is None else [*parts, brought]).hex()


def chat_digest(turns: Iterable[Mapping[str, Any]]) -> str:
    """32 hex digits of who says what in a chat."""
    return digest([[turn.get("role"), turn.get("content")] for turn in turns]).hex()


def brought_digest(chat: str | None, columns: Mapping[str, Any]) -> str | None:
    """32 hex digits of a record's chat (`chat_digest`; null for none) and of its values in the source's own
    columns, empty ones counting as none; that of the chat (null without) where there are no such columns.

    A value is what it says: 9, 9.0, "9" and "9.0" are equal, true and "true", [1] and [1.0], a key with null
    and none, so that a column whose type changes with one row stays the same in all others.
    """
    if not columns:
        return chat
    return digest([chat, {name: text for name, value in columns.items() if (text := _said(value))}]).hex()


def brought_digests(chats: Sequence[str | None], columns: pl.DataFrame) -> list[str]:
    """`brought_digest` of many records by at least one column, in a third of the time."""
    said = pl.DataFrame([_all_said(columns[name]) for name in sorted(columns.columns)])
    members = [
        pl.when(pl.col(name) != "").then(
            pl.concat_str(pl.lit(f"{orjson.dumps(name).decode()}:"), as_json(pl.col(name)))
        )
        for name in said.columns
    ]
    chat = as_json(pl.lit(pl.Series(chats, dtype=pl.String))).fill_null("null")
    own = pl.concat_str(members, separator=",", ignore_nulls=True)
    whole = pl.concat_str(pl.lit("["), chat, pl.lit(",{"), own, pl.lit("}]"))
    return [blake(data, 16).hex() for data in said.select(whole.cast(pl.Binary)).to_series()]


def _all_said(column: pl.Series) -> pl.Series:
    """What each value says; null and "" for nothing."""
    if column.dtype != pl.String:
        return pl.Series(column.name, map(_said, column.to_list()), dtype=pl.String)
    begin, end = column.str.head(1), column.str.tail(2)
    may_differ = begin.is_in(["[", "{"]) | end.str.contains(r"0\n?$")  # JSON, and whole numbers: 9.0
    places = may_differ.fill_null(False).arg_true()
    return column.scatter(places, list(map(_said, column.gather(places)))) if len(places) else column


def _said(value: Any) -> str:
    if isinstance(value, str) and value[:1] in ("[", "{"):
        with suppress(orjson.JSONDecodeError):
            value = orjson.loads(value)
    plain = _plain(value)
    return plain if isinstance(plain, str) else orjson.dumps(plain, option=orjson.OPT_SORT_KEYS).decode()


def _plain(value: Any, depth: int = 0) -> Any:
    """Lists and keys of words; "" for nothing."""
    if isinstance(value, Mapping) and depth < _DEEPEST:
        return {str(name): one for name, it in value.items() if (one := _plain(it, depth + 1))} or ""
    if isinstance(value, list | tuple) and depth < _DEEPEST:
        return [_plain(one, depth + 1) for one in value] or ""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    return "" if value is None else _WHOLE.sub(r"\1", str(value))


def with_columns(
    labels: Iterable[str | None],
    image_digests: Sequence[str],
    text: str | None,
    chat: str | None,
    brought: str | None,
) -> dict[str, str]:
    """`judged` of a record without its own columns -> with them, for each of these labels.

    A decision that was made where no prompt showed them holds for the record that has them.
    """
    if brought == chat:
        return {}
    return {
        judged(label, image_digests, [text], chat): judged(label, image_digests, [text], brought)
        for label in labels
    }


def canonical(label: str | None, labels: LabelSet | None) -> str | None:
    """A label in the label file's spelling, where the file has it: how a label enters `judged`."""
    known = labels.find(label) if label and labels else None
    return known.name if known else label


def canonical_probabilities(
    probabilities: Mapping[str, float] | None, labels: LabelSet | None
) -> dict[str, float] | None:
    """The probability of each label in the label file's spelling; those of two spellings are added."""
    if probabilities is None:
        return None
    named: defaultdict[str, float] = defaultdict(float)
    for label, value in probabilities.items():
        named[canonical(label, labels) or label] += value
    return dict(named)
