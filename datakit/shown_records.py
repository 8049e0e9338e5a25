"""Records as a notebook shows them: a compact table, and pictures with their boxes."""

from __future__ import annotations

import base64
import html
import io
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import polars as pl

from datakit.core.errors import UserError, did_you_mean

if TYPE_CHECKING:
    from datakit.core.shown_picture import ShownPicture

SHOWN = 20
_SMALL_PX, _LARGE_PX = 224, 640
"""Longest side of a picture in the table, and of one record's alone."""
_PICTURES = 3
"""Of a record in the table."""
_CHARS = 200
_HASHES = {"sha256", "phash", "looks"}
_MACHINE = {"source_file", "source_line", *_HASHES}
_HIDDEN = {"images", "messages", *_MACHINE}
_CELL = "text-align:left;vertical-align:top;max-width:24em;overflow-wrap:anywhere"


class Record(dict[str, Any]):
    """One record: column -> value. In a notebook with its pictures, large, and boxes drawn on them.

    >>> import datakit as dk
    >>> source = dk.read.Jsonl(path="examples/ecom/train.jsonl", image="image", label="label")
    >>> record = dk.apply([], source, take=1, quiet=True)[0]
    >>> record["label"], len(record["images"])
    ('优惠券领取页面', 1)
    """

    def __repr__(self) -> str:
        shown = {name: _short(_summary(value)) for name, value in self.items() if name not in _HASHES}
        return "\n".join(f"{name}: {' '.join(text.split())}".rstrip() for name, text in shown.items())

    def _repr_html_(self) -> str:
        boxes = [name for name in self if _is_boxes(self[name])]
        rows = "".join(
            f"<tr><th style='{_CELL}'>{html.escape(name)}</th><td style='{_CELL}'>{_cell(value)}</td></tr>"
            for name, value in self.items()
            if name not in {*boxes, "images", *_HASHES} and not name.startswith("@")
        )
        return f"{_pictures(self, boxes, _LARGE_PX)}<table><tbody>{rows}</tbody></table>"


def table(frame: pl.DataFrame, foot: str) -> str:
    """The first records as HTML. Hashes, places in sources and chats are not shown; boxes are drawn."""
    boxes = [name for name, dtype in frame.schema.items() if _holds_boxes(dtype)]
    names = [name for name in frame.columns if name not in {*_HIDDEN, *boxes} and not name.startswith("@")]
    head = "".join(f"<th style='{_CELL}'>{html.escape(name)}</th>" for name in ["", *names])
    body = "".join(
        f"<tr><td style='white-space:nowrap'>{_pictures(row, boxes, _SMALL_PX)}</td>"
        + "".join(f"<td style='{_CELL}'>{_cell(row[name])}</td>" for name in names)
        + "</tr>"
        for row in frame.head(SHOWN).to_dicts()
    )
    more = f"; the first {SHOWN} are shown" if frame.height > SHOWN else ""
    return (
        f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table><p>{html.escape(foot + more)}</p>"
    )


def _holds_boxes(dtype: Any) -> bool:
    inner = getattr(dtype, "inner", None)
    return isinstance(inner, pl.Struct) and {"box", "image"} <= {field.name for field in inner.fields}


def _is_boxes(value: Any) -> bool:
    return isinstance(value, list) and bool(value) and isinstance(value[0], Mapping) and "box" in value[0]


def _pictures(row: Mapping[str, Any], boxes: Sequence[str], side_px: int) -> str:
    from datakit.core.shown_picture import shown_pictures

    own = shown_pictures(row)
    shown = own if side_px == _LARGE_PX else own[:_PICTURES]
    more = f" +{len(own) - len(shown)}" if len(shown) < len(own) else ""
    return (
        "".join(_picture(one, list(_sides(row, boxes, at)), side_px) for at, one in enumerate(shown)) + more
    )


def _sides(row: Mapping[str, Any], boxes: Sequence[str], image: int) -> Iterator[Sequence[float]]:
    """The boxes on one of the record's pictures."""
    for name in boxes:
        for entry in row[name] or ():
            if (entry.get("image") or 0) == image and entry.get("box") and len(entry["box"]) == 4:
                yield entry["box"]


def _picture(own: ShownPicture, sides: Sequence[Sequence[float]], side_px: int) -> str:
    from datakit.core.boxes import Box
    from datakit.core.image import ImageProblem, read_header
    from datakit.pages.drawn_boxes import draw_boxes

    try:
        header = read_header(own.path)
        small = own.load(max_side_px=side_px)
    except ImageProblem as problem:
        return html.escape(problem.reason)
    boxes = [Box(0, (left, top, right, low)) for left, top, right, low in sides]
    scaled = [box.scaled((header.width, header.height), small.size) for box in boxes]
    buffer = io.BytesIO()
    draw_boxes(small, scaled, numbered=False).save(buffer, "JPEG", quality=80)
    return f"<img src='data:image/jpeg;base64,{base64.b64encode(buffer.getvalue()).decode()}'>"


def _cell(value: Any) -> str:
    return html.escape(_short(value))


def _short(value: Any) -> str:
    text = "" if value is None else str(value)
    return text if len(text) <= _CHARS else f"{text[:_CHARS]}…"


def _summary(value: Any) -> Any:
    return f"{len(value):,} boxes" if _is_boxes(value) else value


def shown_columns(names: Sequence[str]) -> list[str]:
    """The columns that a person looks at: no hashes, no places in sources, no notes of the engine."""
    own = [name for name in names if name not in _MACHINE and not name.startswith("@")]
    return own or list(names)


def has_value(frame: pl.DataFrame, name: str, value: Any) -> pl.Expr:
    """Whether a column has a value, which may be null, or one of several. Raises UserError for one that it
    cannot have."""
    check_column(frame, name)
    dtype = frame.schema[name]
    if isinstance(value, pl.Expr):
        return pl.col(name).eq_missing(value)
    several = not dtype.is_nested() and isinstance(value, list | tuple | set | frozenset | pl.Series)
    values = list(value) if several else [value]
    try:
        wanted = pl.Series(values, dtype=None if dtype.is_numeric() else dtype)
        if dtype.is_numeric() and not (wanted.dtype.is_numeric() or wanted.dtype in (pl.Null, pl.Boolean)):
            raise TypeError
    except (TypeError, ValueError, OverflowError, pl.exceptions.PolarsError):
        remedy = f"Give a value of that kind, several, or a predicate: `pl.col({name!r})`."
        raise UserError(f"`{name}` holds {dtype}, and {value!r:.60} is none", remedy=remedy) from None
    if dtype.is_nested():
        return pl.col(name).eq_missing(pl.lit(wanted))
    if not dtype.is_numeric():
        return pl.col(name).is_in(wanted.to_list(), nulls_equal=True)
    return pl.any_horizontal(pl.lit(False), *(pl.col(name).eq_missing(one) for one in wanted.to_list()))


def check_column(frame: pl.DataFrame, name: str) -> None:
    """Raises UserError for a column that there is not."""
    if name not in frame.columns:
        own = [one for one in frame.columns if not one.startswith("@")]
        hint = did_you_mean(name, own) or f"Columns: {', '.join(own)}."
        raise UserError(f"the records have no column `{name}`", remedy=hint)
