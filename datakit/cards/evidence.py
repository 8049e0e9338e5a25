"""What OCR read on a record's pictures as boxes to draw, and which of it the answer quotes."""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping, Sequence
from typing import Any

import polars as pl

from datakit.artifacts.build_folder import BuildFolder
from datakit.core.likeness import standing
from datakit.core.quotations import quotations
from datakit.pages.blocks import Framed

MOST_FRAMES = 150
"""Of one picture; a page of a book has more lines, and nobody could tell their boxes apart."""
_STANDS = 0.8
"""Likeness from which a line is what is quoted: OCR misreads some, and guard.reason lets those pass."""


def lines_column(build: BuildFolder) -> str | None:
    """The column with the lines that OCR read and their boxes; None where the pictures were not read."""
    name = str(build.parameters("annotate.ocr").get("into", "ocr"))
    kind = build.columns.get(name)
    inner = kind.inner if isinstance(kind, pl.List) else None
    fields = {field.name for field in inner.fields} if isinstance(inner, pl.Struct) else set()
    return name if {"text", "box"} <= fields else None


def frames_of(lines: Sequence[Mapping[str, Any]] | None, picture: int, answer: str) -> list[Framed]:
    """The boxes of the lines on one picture of a record; `picture` counts from 0."""
    quotes = [quote.text for quote in quotations(answer) if len(_letters(quote.text)) > 1]
    frames = []
    for line in lines or ():
        box, text = line.get("box"), str(line.get("text") or "")
        if not box or len(box) != 4 or (line.get("image") or 0) != picture:
            continue
        score = line.get("score")
        words = f"{text} ({score:.2f})" if isinstance(score, float) else text
        left, top, right, bottom = (float(side) for side in box)
        frames.append(Framed((left, top, right, bottom), words, _is_quoted(text, quotes)))
    return frames[:MOST_FRAMES]


def _is_quoted(line: str, quotes: Sequence[str]) -> bool:
    """Whether a quotation stands in the line, or the line is a whole part of one."""
    letters = _letters(line)
    if len(letters) < 2:
        return False
    return any(standing(quote, line) >= _STANDS or letters in _letters(quote) for quote in quotes)


def _letters(text: str) -> str:
    return "".join(sign for sign in unicodedata.normalize("NFKC", text) if sign.isalnum()).casefold()
