"""Boxes of answers in the numbers of the model that is trained, in columns beside the records' own.

A field of kind `boxes` reads boxes in pixels of the upright picture; the column `answer_NAME` that is made of
column NAME holds what the answer states. So the numbers that are trained, scored and drawn are the same.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import polars as pl

from datakit.core.box_forms import BoxForm, SeenPictures
from datakit.core.boxes import BoxFault, checked, of_column
from datakit.core.contract import AnswerContract
from datakit.core.errors import UserError
from datakit.core.evidence import cited
from datakit.core.image import ImageProblem, read_header
from datakit.core.outcome import Batch, Reject
from datakit.core.transform import BatchWorker

_SIDES, _MODELS_SIDES = "box", ("bbox_2d", "bbox")
"""Where a box has its pixels, and where it has the numbers of a model."""


def placed(contract: AnswerContract, form: BoxForm) -> AnswerContract:
    """The contract with its boxes out of the columns that are made here, in the notation of a family."""
    notation = "tokens" if form == "qwen2_vl" else "json"
    fields = (
        field.model_copy(
            update={"column": field.made_prefix + field.source, "notation": field.notation or notation}
        )
        if field.is_placed
        else field
        for field in contract.fields
    )
    return contract.model_copy(update={"fields": tuple(fields)})


class MadeOf(NamedTuple):
    """What a column is made of."""

    boxes: str
    """The column of the boxes, or of the lines of OCR."""
    quoted_in: str = ""
    """Of evidence: the column whose quotations choose the lines."""


def sources_of(contracts: Sequence[AnswerContract]) -> dict[str, MadeOf]:
    """Column that is made here -> what it is made of, for contracts that are `placed`."""
    return {
        field.source: MadeOf(
            field.source.removeprefix(field.made_prefix), field.quoted_in if field.kind == "evidence" else ""
        )
        for contract in contracts
        for field in contract.fields
        if field.is_placed
    }


class Counted(NamedTuple):
    """A record's boxes as an answer states them."""

    text: str | None
    """As JSON; null for none."""
    clipped: int = 0
    """Boxes that hung over the edge of their picture."""


def counted(value: Any, images: Sequence[str], seen: SeenPictures) -> Counted:
    """Boxes in pixels in the numbers of the model, and those in such numbers as they are.

    Raises BoxFault for boxes that cannot be used, ImageProblem for a picture that cannot be read.
    """
    boxes = _parsed(value)
    if boxes is None or boxes == []:
        return Counted(None)
    if not isinstance(boxes, list):
        return Counted(
            value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)
        )
    in_pixels = [isinstance(box, Mapping) and _is_in_pixels(box) for box in boxes]
    if not any(in_pixels):
        return Counted(json.dumps(boxes, ensure_ascii=False, default=str))
    if not all(in_pixels):
        words = (
            f"box {in_pixels.index(False) + 1} has its numbers elsewhere than in `{_SIDES}`, as others have"
        )
        raise BoxFault("boxes_unreadable", words)
    if len(images) > 1:
        words = f"the record has {len(images)} pictures, and the boxes of an answer do not say on which"
        raise BoxFault("images_too_many", words)
    sizes = [(header.width, header.height) for header in map(read_header, images)]
    within, clipped = checked(of_column(boxes), sizes)
    try:
        entries = seen.written(within, sizes)
    except ValueError as error:
        raise BoxFault("image_too_long", f"{images[0]}: {error}") from None
    return Counted(json.dumps(entries, ensure_ascii=False), clipped)


class ModelBoxes(BatchWorker):
    """Gives records the columns of their boxes in the model's numbers, and has them rendered."""

    def __init__(
        self, rendered: BatchWorker, sources: Mapping[str, MadeOf], seen: SeenPictures, *, keep: bool
    ) -> None:
        """`sources`: see `sources_of`. `keep`: records that have messages have no answer written."""
        self.rendered, self.sources, self.seen, self.keep = rendered, sources, seen, keep
        self.clipped = 0

    def __call__(self, frame: pl.DataFrame) -> Batch:
        texts: dict[str, list[str | None]] = {name: [] for name in self.sources}
        kept: list[int] = []
        rejects: list[Reject] = []
        read = [name for made in self.sources.values() for name in made if name]
        wanted = ["id", "source_file", "source_line", "images", *read, *(["messages"] if self.keep else [])]
        for at, row in enumerate(frame.select(list(dict.fromkeys(wanted))).iter_rows(named=True)):
            try:
                boxes = self._counted(row)
            except (BoxFault, ImageProblem) as fault:
                rejects.append(Reject.of(row, fault.reason, str(fault)))
                continue
            kept.append(at)
            for name, value in boxes.items():
                texts[name].append(value.text)
                self.clipped += value.clipped
        made = [pl.Series(name, values, dtype=pl.String) for name, values in texts.items()]
        batch = self.rendered((frame[kept] if rejects else frame).with_columns(made))
        order = {id_: at for at, id_ in enumerate(frame["id"])}
        return Batch(batch.frame, sorted([*rejects, *batch.rejects], key=lambda reject: order[reject.id]))

    @property
    def notes(self) -> dict[str, Any]:
        clipped = {"boxes clipped to their picture": self.clipped} if self.clipped else {}
        return {**self.rendered.notes, **clipped}

    def _counted(self, row: Mapping[str, Any]) -> dict[str, Counted]:
        if self.keep and row["messages"]:
            return dict.fromkeys(self.sources, Counted(None))
        images = row["images"] or ()
        return {name: self._value(row, made, images) for name, made in self.sources.items()}

    def _value(self, row: Mapping[str, Any], made: MadeOf, images: Sequence[str]) -> Counted:
        boxes = row[made.boxes]
        if made.quoted_in:
            boxes = cited(str(row[made.quoted_in] or ""), _lines(boxes, made.boxes))
        return counted(boxes, images, self.seen)


def check_new(sources: Mapping[str, MadeOf], columns: Sequence[str]) -> None:
    """Raises UserError where the records have a column already that is to be made."""
    taken = next((name for name in sources if name in columns), None)
    if taken is not None:
        raise UserError(
            f"the records have a column `{taken}`, which is made here of `{sources[taken].boxes}`",
            remedy="Rename it where it is read.",
        )


def _lines(value: Any, column: str) -> list[Mapping[str, Any]]:
    """The lines of OCR of a record. Raises BoxFault for what is none."""
    lines = _parsed(value) or []
    if not isinstance(lines, list) or not all(isinstance(line, Mapping) for line in lines):
        raise BoxFault(
            "boxes_unreadable", f"`{column}` is no list of lines with boxes, as annotate.ocr gives"
        )
    return lines


def _parsed(value: Any) -> Any:
    """The boxes of a text that is JSON as a whole, one box as a list; else the value."""
    if isinstance(value, str):
        try:
            value = json.loads(value)
        except ValueError:
            return value.strip() or None
    return [value] if isinstance(value, Mapping) else value


def _is_in_pixels(box: Mapping[str, Any]) -> bool:
    return box.get(_SIDES) is not None and not any(box.get(key) is not None for key in _MODELS_SIDES)
