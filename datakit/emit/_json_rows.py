"""Records as JSON, a row each; what their chats share is escaped once for all of them."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice, repeat

import polars as pl

from datakit.core.folded import CHATS, Folded, turns_of

_SLICE = 256
"""Rows encoded at a time: larger pieces leave the processor's cache and cost 30% more (2026-11-24)."""


def json_rows(folded: Folded) -> Iterator[list[bytes]]:
    """`{"id", "messages", "images"}` of each record, without line breaks, some records at a time."""
    frame = folded.frame.select("id", CHATS, "images")
    if not folded.shared:
        row = _json("id", CHATS, "images").cast(pl.Binary)
        for some in frame.iter_slices(_SLICE):
            yield some.select(row).to_series().to_list()
        return
    parts = _parts(frame, folded)
    texts = [
        part.alias(str(at)).cast(pl.Binary) for at, part in enumerate(parts) if isinstance(part, pl.Expr)
    ]
    columns = iter(_with_turns(frame, len(folded.shared)).select(texts).get_columns())
    # Constant parts are repeated, not copied into a column: half the time of `concat_str`.
    pieces = [next(columns).to_list() if isinstance(part, pl.Expr) else repeat(part) for part in parts]
    rows = map(b"".join, zip(*pieces, strict=False))
    while group := list(islice(rows, _SLICE)):
        yield group


def _parts(frame: pl.DataFrame, folded: Folded) -> list[bytes | pl.Expr]:
    """What a row is put together of: constant texts, and columns of `_with_turns`."""
    roles, turns = turns_of(frame[CHATS], len(folded.shared))
    constant = f',"{CHATS}":['
    parts: list[bytes | pl.Expr] = [_json("id").str.strip_suffix("}")]
    for number, (role, turn, (start, end)) in enumerate(zip(roles, turns, folded.shared, strict=True)):
        constant += f'{"," if number else ""}{{"role":{_quoted(role)},"content":"{_escaped(start)}'
        if turn.str.len_bytes().max():
            text = _json(_name(number)).str.strip_prefix(f'{{"{_name(number)}":"').str.strip_suffix('"}')
            parts += [constant.encode(), text]
            constant = ""
        constant += f'{_escaped(end)}"}}'
    return [*parts, f"{constant}],".encode(), _json("images").str.strip_prefix("{")]


def _with_turns(frame: pl.DataFrame, width: int) -> pl.DataFrame:
    """The texts of each turn as a column."""
    _, turns = turns_of(frame[CHATS], width)
    return frame.select("id", "images").with_columns(
        turn.alias(_name(number)) for number, turn in enumerate(turns)
    )


def _name(number: int) -> str:
    return f"turn {number}"


def _json(*columns: str) -> pl.Expr:
    """`{"column":value}`"""
    return pl.struct(columns).struct.json_encode()


def _quoted(text: str) -> str:
    """The text as JSON, by the same writer as all others."""
    row = pl.DataFrame({"x": [text]}).select(_json("x")).item()
    return str(row).removeprefix('{"x":').removesuffix("}")


def _escaped(text: str) -> str:
    return _quoted(text)[1:-1]
