"""A data set that ms-swift loads: chats as JSON Lines, pictures, and boxes in `objects`."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar

import orjson
from pydantic import Field, model_validator

from datakit.core.boxes import Box, BoxFault, Size, checked, is_number, of_column
from datakit.core.image import ImageProblem, read_header
from datakit.core.record import TRAIN
from datakit.core.step_context import StepContext
from datakit.core.templates import PROMPT_ROLES, escape_tokens
from datakit.core.training_columns import LOSS, OBJECTS, TOOLS
from datakit.core.transform import Artifact, Emitter, FinalRecords
from datakit.emit._blurred import source_of
from datakit.emit._faults import RowFault, written_rows
from datakit.emit._images import How, ImageFiles
from datakit.emit._records import (
    PLACED,
    batches,
    carried_columns,
    fitting,
    nothing_to_train,
    split_keys,
    with_places,
)
from datakit.emit._split_files import SplitFiles

_ROLES = {"function_call": "tool_call", "observation": "tool_response"}
"""LLaMA-Factory's names of turns -> ms-swift's; the others are the same."""
_TAGS = re.compile(r"<(bbox|ref-object|cot-process|start-image|video|audio)>")
"""What ms-swift replaces in texts besides `<image>`."""
_BOX, _REF = "<bbox>", "<ref-object>"
_KINDS = ("real", "norm1")
"""What `bbox_type` may be: pixels, or shares of the sides."""
_SIDES = 4
"""Numbers of a box; others are points, or the corners of polygons."""
_SLICE = 256
_SOURCES = "@sources"
"""The pictures of a record before they were placed: their sizes are those that boxes are measured by."""


class MsSwift(Emitter):
    """JSON Lines for ms-swift: `<name>_swift_train.jsonl`, `_val`, `_general`, and pictures.

    A row is `{"id", "messages", "images"}`. With `boxes`, rows with pictures have `objects` as well: `ref`
    (the texts), `bbox` (`[x1, y1, x2, y2]`, shares of the upright picture's sides, so that no resizing moves
    them), `bbox_type` "norm1" and `image_id`. ms-swift puts them where the messages say `<ref-object>` and
    `<bbox>`, in the notation that QWENVL_BBOX_FORMAT names, in training and inference alike: `legacy`, the
    default, is that of Qwen2-VL; Qwen2.5-VL and Qwen3-VL take `new`. A prompt template writes such places.
    Without `boxes`, records of chats that came with `objects` keep them as shares; elsewhere these tags are
    written in full-width brackets, so that a text which holds one by chance is no place. `tools`, and the
    `loss` of turns, stand where ms-swift has them.

    Rows without pictures have a file of their own where rows with pictures exist too. A training record
    with `repeat` 3 is written three times, first copies first. Pictures are upright RGB, as in
    emit.llamafactory, which shares `images/`. Paths are relative to the build: run `swift sft` in it.

    Left out with their reason are records that ms-swift would drop or stop at, and those whose tags are not
    as many as the boxes, or whose boxes cannot be placed on their pictures.
    """

    version: ClassVar[int] = 2

    images: How = "link"
    """`link` makes hard links (symbolic ones where the file system allows no hard ones), `copy` copies,
    `resize` copies and scales down what is over `image_max_pixels`."""
    image_max_pixels: int | None = Field(default=None, ge=784)
    """Largest picture that `resize` leaves, in pixels."""
    boxes: str | None = None
    """Column with the boxes of each record, such as `ocr`: a list of `{label, text, box, image}`, the box in
    pixels of the upright picture (xyxy), the picture by its number from 0. A box is called by its `label`, or
    its `text` where it has none."""

    @model_validator(mode="after")
    def _limit_belongs_to_resize(self) -> MsSwift:
        if (self.image_max_pixels is None) == (self.images == "resize"):
            raise ValueError("`images: resize` and `image_max_pixels` belong together")
        return self

    def inputs(self, context: StepContext) -> tuple[str, ...]:
        return ("id", "messages", "images", *([self.boxes] if self.boxes else []))

    def carries(self, context: StepContext) -> tuple[str, ...]:
        return (TOOLS, LOSS) if self.boxes else (TOOLS, LOSS, OBJECTS)

    def optional(self, context: StepContext) -> tuple[str, ...]:
        return (*PLACED, *self.carries(context))

    def write(self, records: FinalRecords, folder: Path, context: StepContext) -> list[Artifact]:
        images = ImageFiles.into(folder / "images", self.images, self.image_max_pixels, context)
        split_files = SplitFiles(folder, f"{context.name}_swift", lines=True)
        others = carried_columns(records, self.carries(context))
        try:
            for batch in batches(records, [*([self.boxes] if self.boxes else []), *others]):
                for portion in fitting(batch, "ms-swift", context.left_out).iter_slices(_SLICE):
                    fit, places = images.place_for(portion, context.left_out)
                    placed = with_places(fit, places).with_columns(fit["images"].alias(_SOURCES))
                    rows, written = written_rows(placed, self._row, context.left_out)
                    split_files.append(rows, split_keys(written))
            artifacts = split_files.close()
        finally:
            split_files.release()
        if not split_files.rows(TRAIN):
            raise nothing_to_train(context.left_out)
        return artifacts

    def _row(self, record: dict[str, Any]) -> bytes:
        sources = record[_SOURCES] or ()
        objects = self._objects(record, sources) if self.boxes and sources else _given(record, sources)
        losses = record.get(LOSS) or [None] * len(record["messages"])
        prompts = () if objects else PROMPT_ROLES  # ms-swift fills tags of prompts; targets keep every byte
        messages = [
            {
                "role": _ROLES.get(turn["role"], turn["role"]),
                "content": _without_tags(turn["content"]) if turn["role"] in prompts else turn["content"],
                **({} if loss is None else {"loss": loss}),
            }
            for turn, loss in zip(record["messages"], losses, strict=True)
        ]
        row: dict[str, Any] = {"id": record["id"], "messages": messages}
        if record.get(TOOLS):
            row[TOOLS] = record[TOOLS]
        if sources:
            row["images"] = record["images"]
            if self.boxes or objects:
                row["objects"] = objects or {"ref": [], "bbox": [], "bbox_type": "norm1", "image_id": []}
        return orjson.dumps(row)

    def _objects(self, record: dict[str, Any], sources: Sequence[str]) -> dict[str, Any] | None:
        """The boxes that the texts have places for; None for texts without any."""
        text = "".join(turn["content"] for turn in record["messages"])
        places, names = text.count(_BOX), text.count(_REF)
        if not places and not names:
            return None
        boxes = list(record[self.boxes or ""] or ())
        if places != len(boxes) or names not in (0, len(boxes)):
            raise RowFault(
                "box_places",
                f"the record has {places} {_BOX} and {names} {_REF} places for {len(boxes)} boxes: the "
                f"prompt must name every box of `{self.boxes}` once, or none",
            )
        named = _read(boxes)
        if names and (nameless := next((at for at, box in enumerate(named, 1) if not box.name), None)):
            raise RowFault("box_places", f"box {nameless} has neither `label` nor `text` for its {_REF}")
        numbers = [box.image for box in named]
        return {
            "ref": [_plain(box.name) for box in named] if names else [],
            "bbox": _on_pictures([list(box.sides) for box in named], numbers, sources),
            "bbox_type": "norm1",
            "image_id": numbers,
        }


def _read(boxes: Sequence[Any]) -> list[Box]:
    try:
        return of_column(boxes)
    except BoxFault as fault:
        raise RowFault(fault.reason, fault.detail) from fault


def _given(record: dict[str, Any], sources: Sequence[str]) -> dict[str, Any] | None:
    """The boxes that a record came with, as shares of the sides, which no resizing moves."""
    if not record.get(OBJECTS) or not sources:
        return None
    objects: dict[str, Any] = orjson.loads(record[OBJECTS])
    boxes, kind = objects.get("bbox"), objects.get("bbox_type") or "real"
    if boxes is None:
        return objects
    if not isinstance(boxes, list) or kind not in _KINDS:
        words = f"`bbox` {str(boxes)[:60]} of `bbox_type` {kind!r}: ms-swift takes a list, real or norm1"
        raise RowFault("objects_format", words)
    numbers = objects.get("image_id") or [0] * len(boxes)
    shares = _on_pictures(boxes, numbers, sources, in_shares=kind == "norm1")
    return {**objects, "bbox": shares, "bbox_type": "norm1"}


def _without_tags(text: str) -> str:
    return _TAGS.sub(r"＜\1＞", text)


def _plain(text: str) -> str:
    """A text from a picture, which ms-swift puts into the chat as it is: nothing in it is a token."""
    return _without_tags(escape_tokens(text))


def _size(path: str) -> tuple[int, int]:
    try:
        header = read_header(source_of(path))
    except ImageProblem as problem:
        raise RowFault(problem.reason, problem.detail) from problem
    return header.width, header.height


def _on_pictures(
    boxes: Sequence[Any], numbers: Any, sources: Sequence[str], *, in_shares: bool = False
) -> list[list[float]]:
    """Boxes, points and polygons as shares of the sides of the pictures that the numbers name.

    Raises RowFault for what is none, or without a picture of its own, a box without an area, and one of
    which less than half lies within its picture; others are clipped to it.
    """
    if not isinstance(numbers, list) or len(numbers) != len(boxes):
        raise RowFault(
            "objects_format", f"the record names pictures for {numbers} where it has {len(boxes)} boxes"
        )
    sizes = [_size(path) for path in sources]
    for box, number in zip(boxes, numbers, strict=True):
        if not isinstance(number, int) or number not in range(len(sizes)):
            raise RowFault("objects_format", f"a box is on picture {number}, but the record has {len(sizes)}")
        if not isinstance(box, list) or len(box) % 2 or not box or not all(map(is_number, box)):
            raise RowFault("boxes_unreadable", f"a box is no list of numbers, across and down: {box}")
    return [
        _shares(box, number, sizes[number], in_shares=in_shares)
        for number, box in zip(numbers, boxes, strict=True)
    ]


def _shares(box: Sequence[float], number: int, size: Size, *, in_shares: bool) -> list[float]:
    """A box or a point as shares of the sides of its picture, within it. Raises RowFault."""
    pixels = [value * size[at % 2] if in_shares else float(value) for at, value in enumerate(box)]
    if len(pixels) != _SIDES:
        if not all(0 <= value <= size[at % 2] for at, value in enumerate(pixels)):
            words = f"the point or polygon {box} lies outside its picture of {size[0]} x {size[1]} pixels"
            raise RowFault("box_outside", words)
    else:
        left, top, right, bottom = pixels
        try:
            (inner,), _ = checked([Box(0, (left, top, right, bottom))], [size])
        except BoxFault as fault:
            raise RowFault(fault.reason, f"{fault.detail} (on picture {number})") from fault
        pixels = list(inner.sides)
    return [round(value / size[at % 2], 6) for at, value in enumerate(pixels)]
