"""Records as JSON, a row each; what their chats share is escaped once for all of them."""

from __future__ import annotations

from collections.abc import Iterator

import polars as pl

from datakit.core.folded import CHATS, Folded, turns_of

_SLICE = 256
"""Rows encoded at a time: larger pieces leave the processor's cache and cost 30% more (2026-11-24)."""


def json_rows(folded: Folded) -> Iterator[list[bytes]]:
    """`{"id", "messages", "images"}` of each record, without line breaks, some records at a time."""
    frame = folded.frame.select("id", CHATS, "images")
    row = pl.struct("id", CHATS, "images").struct.json_encode()
    if folded.shared:
        frame, row = _in_parts(frame, folded)
    for some in frame.iter_slices(_SLICE):
        yield some.select(row.cast(pl.Binary)).to_series().to_list()


def _in_parts(frame: pl.DataFrame, folded: Folded) -> tuple[pl.DataFrame, pl.Expr]:
    """The texts of each turn as a column, and the row put together of them and the shared texts."""
    roles, turns = turns_of(frame[CHATS], len(folded.shared))
    constant = f',"{CHATS}":['
    parts = [_json("id").str.strip_suffix("}")]
    for number, (role, (start, end)) in enumerate(zip(roles, folded.shared, strict=True)):
        constant += f'{"," if number else ""}{{"role":{_quoted(role)},"content":"{_escaped(start)}'
        text = _json(str(number)).str.strip_prefix(f'{{"{number}":"').str.strip_suffix('"}')
        parts += [pl.lit(constant), text]
        constant = f'{_escaped(end)}"}}'
    parts += [pl.lit(f"{constant}],"), _json("images").str.strip_prefix("{")]
    texts = [turn.alias(str(number)) for number, turn in enumerate(turns)]
    return frame.select("id", "images").with_columns(texts), pl.concat_str(parts)


def _json(column: str) -> pl.Expr:
    """`{"column":value}`"""
    return pl.struct(column).struct.json_encode()


def _quoted(text: str) -> str:
    """The text as JSON, by the same writer as all others."""
    row = pl.DataFrame({"x": [text]}).select(_json("x")).item()
    return str(row).removeprefix('{"x":').removesuffix("}")


def _escaped(text: str) -> str:
    return _quoted(text)[1:-1]
