"""Boxes of a model's answer, back in pixels of the picture that was asked about."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from datakit.core.answer import AnswerFormat
from datakit.core.answer_forms import ContractFormat
from datakit.core.box_texts import entries_in
from datakit.core.boxes import Box
from datakit.core.image import read_header


def states_places(form: AnswerFormat) -> bool:
    """Whether answers of a form have boxes in numbers that a build says how to count."""
    return isinstance(form, ContractFormat) and form.seen is not None


def boxes_of(values: Mapping[str, Any], form: AnswerFormat, picture: str | Path) -> list[Box]:
    """The boxes of an answer in pixels of the upright picture, within it; none for an answer without any.

    `values` are those that `form` reads out of the answer; `picture` is the file that was asked about, at its
    own size. Raises ImageProblem for one that cannot be read, ValueError for one that the model's processor
    refuses.
    """
    if not isinstance(form, ContractFormat) or form.seen is None:
        return []
    fields = {field.name for own in form.contracts for field in own.fields if field.kind == "boxes"}
    stated = [values[name] for name in sorted(fields) if values.get(name)]
    entries = [entry for text in stated for entry in entries_in(str(text)) or ()]
    if not entries:
        return []
    header = read_header(picture)
    size = header.width, header.height
    return [Box(0, form.seen.pixels(entry["bbox_2d"], size), entry.get("label")) for entry in entries]
