"""What the form of an answer forces a record's value to give up: line breaks, a spelling, keys of boxes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from datakit.core import contract_values as values
from datakit.core.contract_words import Language
from datakit.core.labels import LabelSet

if TYPE_CHECKING:
    from datakit.core.contract import AnswerField

WORDS = {
    "line_breaks": "line breaks became spaces",
    "white_space": "tabs, wide spaces or several spaces became one space",
    "next_heading": "a line that begins like the next heading was joined to the line before",
    "number_spelling": "numbers were written in plain digits, as 007 is 7",
    "box_keys": "keys that a box has no place for were left out",
    "box_words": "words around the list of boxes were left out",
    "label_marks": "marks around the labels were left out",
    "blank": "a value of marks alone was written as an empty one",
}
"""Kind of change -> what became of the value. White space at its ends is no change."""


class Change(NamedTuple):
    """What the form changed in a value."""

    kind: str
    """One of WORDS."""
    details: tuple[str, ...] = ()
    """What exactly, such as the keys that are left out."""


def changes(field: AnswerField, value: Any, language: Language, labels: LabelSet | None) -> list[Change]:
    """What `contract_values.written` changes in a value that it writes; nothing for one kept as it is.

    A label that the label file spells otherwise is no change: the file says so.
    """
    if value is None or (field.kind in ("label", "labels") and labels is not None):
        return []
    if field.is_placed:
        return _of_boxes(value)
    if field.kind == "labels":
        return _of_labels(value)
    text = str(value).strip()
    if field.optional and values.becomes_empty(text, language):
        return [Change("blank")]
    if field.kind == "number":  # a number that is none of text has no spelling of its own
        spelt = values.written(field, value, language, labels)
        return [Change("number_spelling")] if isinstance(value, str) and spelt != text else []
    return [] if field.kind == "text" else _of_line(text)


def _of_line(text: str) -> list[Change]:
    """What one line costs a text."""
    lines = text.splitlines()
    uneven = any(line.strip() != values.one_line(line) for line in lines)
    kinds = [("line_breaks", len(lines) > 1), ("white_space", uneven)]
    return [Change(kind) for kind, changed in kinds if changed]


def _of_labels(value: Any) -> list[Change]:
    """What a list of labels gives up where no label file says how they are spelt."""
    if isinstance(value, str):
        marked = [part for part in values.listed(value) if part != values.without_marks(part)]
        return [Change("label_marks")] if marked else []
    return list(dict.fromkeys(change for part in value if part for change in _of_line(str(part).strip())))


def _of_boxes(value: Any) -> list[Change]:
    kinds = []
    if isinstance(value, str):
        text, value = value.strip(), values.json_in(value)
        if text and (not text.startswith("[") or not text.endswith("]")):
            kinds.append(Change("box_words"))
    boxes = [box for box in value or () if isinstance(box, dict)]
    if keys := sorted({key for box in boxes for key in values.keys_left_out(box)}):
        kinds.append(Change("box_keys", tuple(keys)))
    names = (str(values.name_of_box(box)).strip() for box in boxes)
    return [*kinds, *dict.fromkeys(change for name in names for change in _of_line(name))]
