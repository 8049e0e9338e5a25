"""Records as JSON, a row each; what their chats share is escaped once for all of them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import lru_cache
from itertools import islice, repeat

import polars as pl

from datakit.core.factored_chats import CHATS, FactoredChats, SharedAffixes, turns_of

_SLICE = 256
"""Rows encoded at a time: larger pieces leave the processor's cache and cost 30% more (2026-11-24)."""


def json_rows(factored: FactoredChats, others: Sequence[str] = ()) -> Iterator[list[bytes]]:
    """`{"id", "messages", "images"}` and `others` of each record, without line breaks, some at a time.

    >>> from datakit.testing import example_records
    >>> rows = next(json_rows(FactoredChats(example_records().tail(1))))
    >>> rows[0].decode()[:62]
    '{"id":"example-12","messages":[{"role":"user","content":"Which'
    """
    frame = factored.frame.select("id", CHATS, "images", *others)
    if not factored.shared:
        row = _json("id", CHATS, "images", *others).cast(pl.Binary)
        for portion in frame.iter_slices(_SLICE):
            yield portion.select(row).to_series().to_list()
        return
    roles, turns = turns_of(frame[CHATS], len(factored.shared))
    parts = _parts(roles, turns, factored.shared, others)
    texts = frame.with_columns(turn.alias(_name(number)) for number, turn in enumerate(turns))
    # Constant parts are repeated, not copied into a column: half the time of `concat_str`.
    pieces = [
        repeat(part) if isinstance(part, bytes) else texts.select(part.cast(pl.Binary)).to_series().to_list()
        for part in parts
    ]
    rows = map(b"".join, zip(*pieces, strict=False))
    while group := list(islice(rows, _SLICE)):
        yield group


def _parts(
    roles: Sequence[str],
    turns: Sequence[pl.Series],
    shared: Sequence[SharedAffixes],
    others: Sequence[str],
) -> list[bytes | pl.Expr]:
    """What a row is put together of: constant texts, and columns of the turns' own texts."""
    constant = f',"{CHATS}":['
    parts: list[bytes | pl.Expr] = [_json("id").str.strip_suffix("}")]
    for number, (role, turn, (start, end)) in enumerate(zip(roles, turns, shared, strict=True)):
        constant += f'{"," if number else ""}{{"role":{_quoted(role)},"content":"{_escaped(start)}'
        if turn.str.len_bytes().max():
            text = _json(_name(number)).str.strip_prefix(f'{{"{_name(number)}":"').str.strip_suffix('"}')
            parts += [constant.encode(), text]
            constant = ""
        constant += f'{_escaped(end)}"}}'
    return [*parts, f"{constant}],".encode(), _json("images", *others).str.strip_prefix("{")]


def _name(number: int) -> str:
    return f"turn {number}"


def _json(*columns: str) -> pl.Expr:
    """`{"column":value}`"""
    return pl.struct(columns).struct.json_encode()


@lru_cache(maxsize=64)  # a prompt's constant text comes with every batch
def _quoted(text: str) -> str:
    """The text as JSON, by the same writer as all others."""
    row = pl.DataFrame({"x": [text]}).select(_json("x")).item()
    return str(row).removeprefix('{"x":').removesuffix("}")


def _escaped(text: str) -> str:
    return _quoted(text)[1:-1]
