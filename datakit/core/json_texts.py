"""Texts as JSON, a column at a time: the bytes of orjson without a Python text for each."""

from __future__ import annotations

import hashlib

import polars as pl

_LOOKED_AT = 256


def as_json(text: pl.Expr) -> pl.Expr:
    """Each text as orjson writes it, with quotation marks; null for null."""
    value = pl.struct(x=text).struct.json_encode().str.strip_prefix('{"x":').str.strip_suffix("}")
    return pl.when(text.is_not_null()).then(value)


def json_digests(texts: pl.Series, size: int) -> list[bytes | None]:
    """What core.record.digest gives for each text, in half the time; None for null.

    Where the first texts come again and again, as labels do, each is digested once.
    """
    first = texts.head(_LOOKED_AT)
    distinct = texts.unique() if 2 * first.n_unique() <= len(first) else texts
    written = distinct.to_frame("x").select(as_json(pl.col("x")).cast(pl.Binary)).to_series().to_list()
    digests = [None if data is None else blake(data, size) for data in written]
    if distinct is texts:
        return digests
    known = dict(zip(distinct.to_list(), digests, strict=True))
    return [known[text] for text in texts.to_list()]


def blake(data: bytes, size: int) -> bytes:
    """`size` bytes of BLAKE2b."""
    return hashlib.blake2b(data, digest_size=size).digest()
