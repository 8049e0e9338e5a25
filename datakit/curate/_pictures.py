"""The pictures of records, and which of them show the same."""

from __future__ import annotations

from typing import Any

import numpy as np
import polars as pl

from datakit.core.groups import Numbers, components
from datakit.core.image import ImageProblem
from datakit.core.image_pass import GRID, image_facts
from datakit.core.near_hashes import near_groups

_SHADED_DETAIL, _DRAWN_DETAIL, _DRAWN_FLAT = 0.05, 0.22, 0.6
"""Pictures with less than the first detail are plain or shaded; flat ones with less than the second are drawn
of a few shapes. Many different ones of these have nearly the same hash and colours, so only equal ones are
the same. image_pass.image_facts says which pictures have how much."""
_OLD_MARGIN = 8
"""Bits by which a hash that datakit 0.1 stored may differ from today's of the same file (0 to 6, measured on
68 pictures): an old one this much beyond the bound from another is looked at again."""
_HEX = 64
"""Hex digits of a picture's perceptual hash."""
_FACTS = ("pixels", "phash", "colours", "detail", "flat")
_SCHEMA: dict[str, Any] = {
    "row": pl.Int64(),
    "path": pl.String(),
    "pixels": pl.String(),
    "phash": pl.String(),
    "colours": pl.String(),
    "detail": pl.Float64(),
    "flat": pl.Float64(),
    "old_phash": pl.String(),
}


def picture_numbers(records: pl.DataFrame, max_bits: int | None, max_levels: int) -> pl.DataFrame:
    """Columns `row` (of `records`) and `number`: one line per picture in order, equal numbers show the same.

    Needs the columns `images`, `phash` and `looks`. `max_bits` None: only equal pictures are the same.
    """
    pictures = _pictures(records)
    if max_bits is not None:
        pictures = _completed(pictures, max_bits + _OLD_MARGIN)
    edges = [_equal(pictures["pixels"])]
    if max_bits is not None:
        drawn = (pl.col("detail") < _DRAWN_DETAIL) & (pl.col("flat") > _DRAWN_FLAT)
        clear = pictures.filter((pl.col("detail") >= _SHADED_DETAIL) & ~drawn)
        edges += [_near(clear, name, max_bits, max_levels) for name in ("phash", "old_phash")]
    left, right = (np.concatenate([pair[side] for pair in edges]) for side in (0, 1))
    numbers = components(left, right, pictures.height)
    return pictures.select("row", number=pl.Series(numbers, dtype=pl.Int64))


def _pictures(records: pl.DataFrame) -> pl.DataFrame:
    """One line per picture, in order."""
    rows = records.select("images", "phash", "looks").with_row_index("row")
    lines: list[dict[str, Any]] = []
    for row, images, hashes, looks in rows.drop_nulls("phash").iter_rows():
        if looks is None and len(hashes) != _HEX * len(images):
            continue  # facts of a plug-in: not known which picture they are of
        for at, path in enumerate(images):
            facts = looks[at] if looks is not None else {"old_phash": hashes[_HEX * at : _HEX * (at + 1)]}
            lines.append({"row": row, "path": path, **facts})
    return pl.DataFrame(lines, schema=_SCHEMA).with_row_index("at")


def _completed(pictures: pl.DataFrame, max_bits: int) -> pl.DataFrame:
    """The same, those with old facts looked at again where another picture may be near.

    Hashes of the two kinds are compared for that alone; what is the same is told by hashes of one kind.
    """
    if not pictures["old_phash"].count():
        return pictures
    groups = near_groups(_bytes(pictures.select(pl.coalesce("phash", "old_phash")).to_series()), max_bits)
    several = pl.Series(np.bincount(groups)[groups] > 1)
    doubtful = pictures.filter(several & pl.col("old_phash").is_not_null())
    seen = {path: _seen(path) for path in doubtful["path"].unique().to_list()}
    facts = pl.DataFrame(
        [{"path": path, **found} for path, found in seen.items()],
        schema={name: _SCHEMA[name] for name in ("path", *_FACTS)},
    )
    again = doubtful.drop(_FACTS).join(facts, on="path", how="left").select(pictures.columns)
    return pictures.update(again, on="at")


def _seen(path: str) -> dict[str, Any]:
    """A picture's facts; none when it is gone or broken, and then nothing is said of what it shows."""
    try:
        facts = image_facts(path)
    except ImageProblem:
        return {}
    return {name: facts[name] for name in _FACTS}


def _equal(values: pl.Series) -> tuple[Numbers, Numbers]:
    """Edges from each row to the first one with the same value; null is like nothing."""
    table = pl.DataFrame({"value": values}).with_row_index("row").drop_nulls("value")
    table = table.with_columns(first=pl.col("row").first().over("value"))
    return table["row"].cast(pl.Int64).to_numpy(), table["first"].cast(pl.Int64).to_numpy()


def _near(pictures: pl.DataFrame, hashes: str, max_bits: int, max_levels: int) -> tuple[Numbers, Numbers]:
    """Edges between pictures whose hashes of one kind and whose colours are near."""
    some = pictures.drop_nulls([hashes, "colours"])
    rows = some["at"].cast(pl.Int64).to_numpy()
    groups = near_groups(_bytes(some[hashes]), max_bits, _bytes(some["colours"], 3 * GRID**2), max_levels)
    _, first, number = np.unique(groups, return_index=True, return_inverse=True)
    return rows, rows[first][number]


def _bytes(digits: pl.Series, width: int = _HEX // 2) -> np.ndarray[Any, np.dtype[np.uint8]]:
    """(n, width) out of hex digits."""
    return np.frombuffer(bytes.fromhex("".join(digits.to_list())), dtype=np.uint8).reshape(-1, width)
