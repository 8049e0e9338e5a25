"""Boxes of a model's answer, back in pixels of the picture that was asked about, and whether they hold."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from datakit.core.answer import AnswerFormat
from datakit.core.answer_forms import ContractFormat
from datakit.core.box_texts import entries_in
from datakit.core.boxes import Box, BoxFault, Size, of_column
from datakit.core.contract import AnswerField
from datakit.core.evidence import holds

Row = Mapping[str, Any]


def states_places(form: AnswerFormat) -> bool:
    """Whether answers of a form have boxes in numbers that a build says how to count."""
    return isinstance(form, ContractFormat) and form.seen is not None


def boxes_of(values: Mapping[str, Any], form: AnswerFormat, size: Size) -> list[Box]:
    """The boxes of an answer in pixels of an upright picture of this size; none for an answer without any.

    `values` are those that `form` reads out of the answer. Raises ValueError for a picture that the model's
    processor refuses.
    """
    return [box for _, box in _placed(values, form, size, "boxes")]


@dataclass(frozen=True)
class Cited:
    """A line of text that an answer cites."""

    box: Box
    """In pixels of the upright picture."""
    holds: bool | None
    """Whether OCR reads such a line there; None where the picture was not read."""


def evidence_of(values: Mapping[str, Any], form: AnswerFormat, size: Size, record: Row) -> list[Cited]:
    """The lines that an answer cites, checked against those that OCR read, which `record` has in its columns.

    Raises ValueError as `boxes_of` does.
    """
    return [
        Cited(box, None if lines is None else holds(box, lines))
        for field, box in _placed(values, form, size, "evidence")
        for lines in [_lines(record.get(field.lines_column))]
    ]


def _placed(
    values: Mapping[str, Any], form: AnswerFormat, size: Size, kind: str
) -> Iterator[tuple[AnswerField, Box]]:
    """The boxes of the fields of a kind."""
    if not isinstance(form, ContractFormat) or form.seen is None:
        return
    fields = {field.name: field for own in form.contracts for field in own.fields if field.kind == kind}
    for name, field in fields.items():
        for entry in entries_in(str(values.get(name) or "")) or ():
            yield field, Box(0, form.seen.pixels(entry["bbox_2d"], size), entry.get("label"))


def _lines(value: Any) -> Sequence[Box] | None:
    """The lines of a column of OCR; None where there is no such column, or something else in it."""
    try:
        return None if value is None else of_column(value)
    except BoxFault:
        return None
