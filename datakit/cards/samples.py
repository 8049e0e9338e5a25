"""Rows as the trainer reads them: thumbnails, and messages with their label block folded."""

from __future__ import annotations

import base64
import io
import re
from itertools import islice
from pathlib import Path
from typing import Any

import orjson

from datakit.artifacts.build_folder import BuildFolder
from datakit.core.image import ImageProblem, load_rgb
from datakit.core.wording import t
from datakit.pages.blocks import Part, Thumbnail

LOOK = 2_000
"""Rows of each data file that are looked at: these are different records, in source order."""
THUMBNAIL_PX = 280
LONG_TEXT = 1_500
"""A longer piece of a message is folded away behind its first characters."""

_LABEL_BLOCK = re.compile(r'\{\n(?: {2}"[^\n]*\n){3,}\}')

Row = dict[str, Any]


def first_rows(build: BuildFolder) -> dict[str, list[Row]]:
    """Part -> the first rows of its files."""
    rows: dict[str, list[Row]] = {}
    for facts in build.data_files.values():
        rows.setdefault(facts.part, []).extend(islice(build.lines(facts.file), LOOK))
    return rows


def label_block(rows: dict[str, list[Row]]) -> dict[str, str]:
    """Label -> description out of the prompts' own JSON block; empty when they hold none."""
    for split_rows in rows.values():
        for row in split_rows[:1]:
            for message in row["messages"]:
                match = _LABEL_BLOCK.search(message["content"] or "")
                if match:
                    return _json_object(match.group())
    return {}


def _json_object(text: str) -> dict[str, str]:
    try:
        parsed = orjson.loads(text)
    except orjson.JSONDecodeError:
        return {}
    return {str(key): str(value) for key, value in parsed.items()} if isinstance(parsed, dict) else {}


def parts(text: str) -> list[Part]:
    """A message in pieces, with its label block and what is very long folded away."""
    match = _LABEL_BLOCK.search(text)
    if match is None:
        return _long(text)
    block = match.group()
    count = len(_json_object(block))
    fold = Part(
        block,
        t("{count} labels with their descriptions ({block:,} characters)", count=count, block=len(block)),
    )
    before, after = text[: match.start()].removesuffix("\n"), text[match.end() :].removeprefix("\n")
    return [piece for piece in (*_long(before), fold, *_long(after)) if piece.text]


def _long(text: str) -> list[Part]:
    if len(text) <= LONG_TEXT:
        return [Part(text)]
    return [
        Part(text[:LONG_TEXT]),
        Part(text[LONG_TEXT:], t("{text:,} more characters", text=len(text) - LONG_TEXT)),
    ]


def thumbnail(path: Path, number: int, *, side_px: int = THUMBNAIL_PX) -> Thumbnail:
    """A picture small enough for a page, or the words that stand for one that cannot be read.

    `side_px` is its longer side.
    """
    try:
        image = load_rgb(path, max_side_px=side_px)
    except ImageProblem:
        return Thumbnail("", t("picture {number} is not in the build folder any more", number=number))
    target = io.BytesIO()
    image.save(target, "JPEG", quality=72)
    return Thumbnail(
        "data:image/jpeg;base64," + base64.b64encode(target.getvalue()).decode(),
        t("picture {number}", number=number),
    )
