"""Samples as the trainer reads them: thumbnails, exact prompt with its label block folded, answer."""

from __future__ import annotations

import base64
import io
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any

import orjson
import polars as pl

from datakit.artifacts.build_folder import BuildFolder
from datakit.artifacts.measured_columns import measured
from datakit.cards.boxes import DrawnColumns, drawn_columns
from datakit.cards.parts import PART_NAMES
from datakit.core.boxes import Box, Size
from datakit.core.image import ImageProblem, load_rgb, read_header
from datakit.core.record import place_of
from datakit.pages.blocks import Part, Sample, Thumbnail, Turn
from datakit.pages.drawn_boxes import draw_boxes
from datakit.pages.figures import collect
from datakit.verdict.texts import rung_name

LOOK = 2_000
"""Samples come from the first rows of each data file: these are different records, in source order."""
WANTED = {"train": 3, "val": 1, "general": 1}
THUMBNAIL_PX = 280
BOXES_PX = 640
"""Longer side of a picture with boxes: their numbers are to be read."""
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


def samples(build: BuildFolder, rows: dict[str, list[Row]]) -> list[Sample]:
    """A few records: classes from frequent to rare, one with several pictures, validation, general data."""
    drawn = drawn_columns(build)
    ids = [row["id"] for split_rows in rows.values() for row in split_rows]
    labels = _labels(build, ids, drawn.names if drawn is not None else ())
    return _each_block_once(
        _sample(build, split, row, labels.get(row["id"], {}), drawn)
        for split, count in WANTED.items()
        for row in _spread_out(rows.get(split, []), labels, count)
    )


def _each_block_once(samples: Iterable[Sample]) -> list[Sample]:
    """The samples, the text of a label block standing only where it comes first."""
    titles: dict[str, str] = {}
    shown = []
    for sample in samples:
        turns = []
        for turn in sample.turns:
            pieces = [
                Part("", f"{part.summary}, as in {titles[part.text]}") if part.text in titles else part
                for part in turn.parts
            ]
            titles |= {part.text: sample.title for part in pieces if part.text and part.summary}
            turns.append(Turn(turn.role, pieces))
        shown.append(replace(sample, turns=turns))
    return shown


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


def _labels(build: BuildFolder, ids: Sequence[str], boxes: Sequence[str]) -> dict[str, Row]:
    frame = build.records.filter(pl.col("id").is_in(list(ids)))
    columns = ["id", "label", "source_file", "source_line", "repeat", "shrink_rung", *boxes]
    records = collect(frame.select(name for name in columns if name in build.columns))
    return {row["id"]: row for row in records.iter_rows(named=True)}


def _spread_out(rows: list[Row], labels: dict[str, Row], count: int) -> list[Row]:
    """Rows of different classes: the most frequent, the rarest and some between; several pictures first."""
    by_label: dict[str, list[Row]] = {}
    for row in rows:
        by_label.setdefault(str(labels.get(row["id"], {}).get("label")), []).append(row)
    names = sorted(by_label, key=lambda name: (-len(by_label[name]), name))
    if not names:
        return []
    steps = [round(at * (len(names) - 1) / max(count - 1, 1)) for at in range(count)]
    chosen = [by_label[names[at]][0] for at in dict.fromkeys(steps)]
    many = next((row for row in rows if len(row.get("images") or ()) > 1), None)
    if many is not None and count > 1 and all(len(row.get("images") or ()) < 2 for row in chosen):
        chosen[-1] = many
    return chosen


def _sample(build: BuildFolder, split: str, row: Row, record: Row, drawn: DrawnColumns | None) -> Sample:
    facts = [("part", PART_NAMES[split])]
    if record.get("label"):
        facts.append(("label", str(record["label"])))
    if record.get("source_file"):
        facts.append(("source", place_of(build.place(record["source_file"]), record.get("source_line"))))
    if split == "train" and (record.get("repeat") or 1) > 1:
        facts.append(("written", f"{record['repeat']} times"))
    if record.get("shrink_rung") and measured(build.columns, "shrink_rung"):
        facts.append(("prompt shortened", rung_name(build, record["shrink_rung"])))
    boxes = None
    if drawn is not None and any(record.get(name) for name in drawn.names):
        boxes = partial(drawn.boxes_of, record)
    paths = [build.path / path for path in row.get("images") or ()]
    images = [thumbnail(path, number, boxes) for number, path in enumerate(paths, 1)]
    turns = [Turn(message["role"], parts(message["content"] or "")) for message in row["messages"]]
    return Sample(str(row["id"]), facts, images, turns)


def parts(text: str) -> list[Part]:
    """A message in pieces, with its label block and what is very long folded away."""
    match = _LABEL_BLOCK.search(text)
    if match is None:
        return _long(text)
    block = match.group()
    count = len(_json_object(block))
    fold = Part(block, f"{count} labels with their descriptions ({len(block):,} characters)")
    before, after = text[: match.start()].removesuffix("\n"), text[match.end() :].removeprefix("\n")
    return [piece for piece in (*_long(before), fold, *_long(after)) if piece.text]


def _long(text: str) -> list[Part]:
    if len(text) <= LONG_TEXT:
        return [Part(text)]
    return [Part(text[:LONG_TEXT]), Part(text[LONG_TEXT:], f"{len(text) - LONG_TEXT:,} more characters")]


def thumbnail(
    path: Path, number: int, boxes: Callable[[Size], list[Box]] | None = None, *, side_px: int = 0
) -> Thumbnail:
    """A picture small enough for a page, or the words that stand for one that cannot be read.

    `boxes` gives what is drawn on a picture of a size, in its pixels; such a picture is kept larger.
    `side_px` is its longer side, where another is wanted.
    """
    most = side_px or (THUMBNAIL_PX if boxes is None else BOXES_PX)
    try:
        image = load_rgb(path, max_side_px=most)
        if boxes is not None:
            header = read_header(path)
            size = header.width, header.height
            image = draw_boxes(image, [box.scaled(size, image.size) for box in boxes(size)])
    except (ImageProblem, ValueError):  # ValueError: a size that the model's processor refuses
        return Thumbnail("", f"picture {number} is not in the build folder any more")
    target = io.BytesIO()
    image.save(target, "JPEG", quality=72)
    return Thumbnail(
        "data:image/jpeg;base64," + base64.b64encode(target.getvalue()).decode(), f"picture {number}"
    )
