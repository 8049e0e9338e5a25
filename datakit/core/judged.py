"""What a person looked at, as a digest: by it a decision is told that was made about something else."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import orjson
import polars as pl

from datakit.core.json_texts import as_json, blake, json_digests
from datakit.core.labels import LabelSet
from datakit.core.record import digest

_MISSING = "missing"
_WHOLE = re.compile(r"^(-?\d+)\.0+$")
"""A number in words that is a whole one."""
_EMPTY = "0" * 8
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
    return digest([chat, {name: text for name, text in in_words(columns).items() if text}]).hex()


def all_in_words(columns: pl.DataFrame) -> pl.DataFrame:
    """`in_words` of many records; null and "" for an empty value."""
    return pl.DataFrame([_all_said(columns[name]) for name in columns.columns])


def brought_digests(chats: Sequence[str | None], words: pl.DataFrame) -> list[str]:
    """`brought_digest` of many records by at least one column in words, in a third of the time."""
    said = words.select(sorted(words.columns))
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


def in_words(columns: Mapping[str, Any]) -> dict[str, str]:
    """The values of a record's columns as they are compared; "" for an empty one."""
    return {name: _said(value) for name, value in columns.items()}


def column_digests(columns: Mapping[str, Any]) -> str:
    """What a record has in its source's own columns, one by one, sorted: "-", 8 hex digits of the name and 8
    of the value (zeros for an empty one), for each. Values are equal as in `brought_digest`."""
    words = in_words(columns)
    return "".join(
        sorted(f"-{_short(name)}{_short(words[name]) if words[name] else _EMPTY}" for name in words)
    )


def all_column_digests(words: pl.DataFrame) -> list[str]:
    """`column_digests` of many records by at least one column in words."""
    named = sorted((_short(name), name) for name in words.columns)
    columns = []
    for short, name in named:
        digests = json_digests(words.select(pl.col(name).replace("", None)).to_series(), 4)
        columns.append([f"-{short}{_EMPTY if own is None else own.hex()}" for own in digests])
    return ["".join(each) for each in zip(*columns, strict=True)]


@lru_cache(10_000)
def _short(text: str) -> str:
    return digest(text, 4).hex()


@dataclass(frozen=True)
class Seen:
    """A record as a person sees it, to be told from what a decision was made about."""

    base: str
    """`judged` of it without its source's own columns."""
    whole: str
    """`judged` of it with all of them as one: how decisions said it before they named the columns."""
    columns: str
    """`column_digests` of it; "" where it has none, or nothing says which."""

    @classmethod
    def of(
        cls,
        label: str | None,
        image_digests: Sequence[str],
        text: str | None,
        brought: tuple[str | None, str | None, str | None] = (None, None, None),
    ) -> Seen:
        """`brought`: `chat_digest`, `brought_digest` and `column_digests` of the record; null for none."""
        chat, with_columns, columns = brought
        base = judged(label, image_digests, [text], chat)
        whole = base if with_columns == chat else judged(label, image_digests, [text], with_columns)
        return cls(base, whole, columns or "")

    @property
    def said(self) -> str:
        """How a decision says what it is about."""
        return self.base + self.columns if self.columns else self.whole

    def is_of(self, said: str) -> bool:
        """Whether a decision that says so is about this.

        Not where one of the columns that were judged is different now. A column that no prompt showed then,
        or none shows now, is no reason against it; so a decision from before columns were judged holds.
        """
        base, *judged_then = said.split("-")
        if base == self.whole and not judged_then:
            return True
        now = {one[:8]: one[8:] for one in self.columns.split("-")[1:]}
        return base == self.base and all(now.get(one[:8], one[8:]) == one[8:] for one in judged_then)


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
