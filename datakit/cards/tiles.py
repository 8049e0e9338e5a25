"""Records of a build as tiles of the card: pictures with boxes, and what is trained on, to the letter."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import polars as pl

from datakit.artifacts.build_folder import BuildFolder
from datakit.artifacts.measured_columns import measured
from datakit.cards.boxes import DrawnColumns, drawn_columns
from datakit.cards.evidence import frames_of, lines_column
from datakit.cards.parts import part_name
from datakit.cards.pictures import Picture, Pictures
from datakit.cards.prompt_parts import Constant, constant_of
from datakit.cards.samples import parts
from datakit.cards.trained_rows import rows_of
from datakit.core.blur import BLUR
from datakit.core.boxes import Size
from datakit.core.image import ImageProblem, read_header
from datakit.core.record import GENERAL, place_of
from datakit.core.shown_picture import ShownPicture, shown_pictures
from datakit.core.wording import later, t, told
from datakit.pages.blocks import Framed, Part, Screen, Tile, Turn
from datakit.pages.figures import collect
from datakit.verdict.texts import rung_name

NO_LABEL = later("no class")
GENERAL_DATA = later("general data")
_LABEL_CHARS = 80
_FACTS = (
    "id",
    "label",
    "part",
    "source_file",
    "source_line",
    "repeat",
    "shrink_rung",
    "images",
    "width",
    "height",
    BLUR,
)

Row = dict[str, Any]


@dataclass(frozen=True)
class Tiles:
    """Makes the tiles of chosen records of a build, all read at once."""

    build: BuildFolder
    ids: Sequence[str]
    pictures: Pictures

    def tile(self, id_: str, note: str = "") -> Tile:
        """The tile of one of the records."""
        record, row = self._records.get(id_, {}), self._rows.get(id_, {})
        messages = row.get("messages") or ()
        answer = self.answer(id_)
        turns = [Turn(turn["role"], self._parts(turn, record)) for turn in messages]
        screens = [
            self._screen(own, at, record, answer) for at, own in enumerate(self._pictures(row, record))
        ]
        return Tile(id_, label_of(record), note, screens, self._facts(record), turns)

    def answer(self, id_: str) -> str:
        """The last answer that is trained; "" for a record that the trainer does not get."""
        messages = self._rows.get(id_, {}).get("messages") or ()
        return next((str(turn["content"]) for turn in reversed(messages) if turn["role"] == "assistant"), "")

    def first_picture(self, id_: str) -> Picture | None:
        """Its first picture; None for a record without one."""
        own = self._pictures(self._rows.get(id_, {}), self._records.get(id_, {}))
        return self.pictures.shown(own[0], 1) if own else None

    @cached_property
    def constant(self) -> Constant:
        """What the prompts of the records of the task itself share."""
        own = (id_ for id_ in self.ids if self._records.get(id_, {}).get("part") != GENERAL)
        turns = (turn for id_ in own for turn in self._rows.get(id_, {}).get("messages") or ())
        return constant_of([str(turn["content"]) for turn in turns if turn["role"] == "user"])

    @cached_property
    def _records(self) -> dict[str, Row]:
        drawn = self._drawn.names if self._drawn is not None else ()
        names = dict.fromkeys([*_FACTS, *drawn, *([self._lines] if self._lines else [])])
        frame = self.build.records.filter(pl.col("id").is_in(list(self.ids)))
        frame = frame.select(name for name in names if name in self.build.columns)
        return {row["id"]: row for row in collect(frame).iter_rows(named=True)}

    @cached_property
    def _rows(self) -> dict[str, Row]:
        return rows_of(self.build, self.ids)

    @cached_property
    def _drawn(self) -> DrawnColumns | None:
        return drawn_columns(self.build)

    @cached_property
    def _lines(self) -> str | None:
        return lines_column(self.build)

    def _pictures(self, row: Row, record: Row) -> list[ShownPicture]:
        """The build's own copies of its pictures; where the trainer has no row of it the originals, blurred
        where other emitters blur them."""
        if row:
            return [ShownPicture(self.build.path / path) for path in row.get("images") or ()]
        return shown_pictures(record)

    def _parts(self, turn: Mapping[str, Any], record: Row) -> list[Part]:
        text = str(turn["content"] or "")
        if turn["role"] != "user" or record.get("part") == GENERAL or not self.constant.runs:
            return parts(text)
        return self.constant.parts(text)

    def _screen(self, own: ShownPicture, at: int, record: Row, answer: str) -> Screen:
        picture = self.pictures.shown(own, at + 1)
        if not picture.across:
            return Screen(picture.shown)
        frames = frames_of(record.get(self._lines or ""), at, answer)
        frames = _moved(frames, self._read_size(record, at) or picture.size, picture.size)
        if not at and self._drawn is not None:
            frames += self._answered(record, picture.size)
        width, height = picture.size
        return Screen(picture.shown, width, height, picture.across, frames)

    def _read_size(self, record: Row, at: int) -> Size | None:
        """The size of the picture that OCR read, which the build's copy may be smaller than."""
        paths = record.get("images") or ()
        try:
            header = read_header(paths[at])
        except (ImageProblem, OSError, IndexError):
            size = (record.get("width"), record.get("height"))
            return (size[0], size[1]) if not at and size[0] and size[1] else None
        return header.width, header.height

    def _answered(self, record: Row, size: tuple[int, int]) -> list[Framed]:
        """The boxes that the answer holds, in pixels."""
        assert self._drawn is not None
        boxes = self._drawn.boxes_of(record, size)
        return [Framed(box.sides, str(box.name or t("box of the answer")), True) for box in boxes]

    def _facts(self, record: Row) -> list[tuple[str, str]]:
        part = str(record.get("part") or "")
        facts = [(t("part"), part_name(part))]
        if record.get("source_file"):
            place = place_of(self.build.place(record["source_file"]), record.get("source_line"))
            facts.append((t("source"), place))
        if part == "train" and (record.get("repeat") or 1) > 1:
            facts.append((t("written"), t("{repeat} times", repeat=record["repeat"])))
        if record.get("shrink_rung") and measured(self.build.columns, "shrink_rung"):
            facts.append((t("prompt shortened"), told(rung_name(self.build, record["shrink_rung"]))))
        return facts


def _moved(frames: Sequence[Framed], of: Size, to: Size) -> list[Framed]:
    """Boxes in pixels of a picture of one size, in those of its copy."""
    if of == to:
        return list(frames)
    across, down = to[0] / of[0], to[1] / of[1]
    return [
        replace(frame, sides=(left * across, top * down, right * across, bottom * down))
        for frame in frames
        for left, top, right, bottom in (frame.sides,)
    ]


def label_of(record: Row) -> str:
    """What a record's tile stands under."""
    if record.get("part") == GENERAL:
        return t(GENERAL_DATA)
    label = str(record.get("label") or "") or t(NO_LABEL)
    return label if len(label) <= _LABEL_CHARS else f"{label[:_LABEL_CHARS]}…"
