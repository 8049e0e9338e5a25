"""What is scored: one label a record, several, a number or free text; and how such values are read."""

from __future__ import annotations

import math
import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Any

from datakit.core.labels import LabelSet, says_nothing
from datakit.evaluation.boxes import PlacedBoxes

Value = frozenset[str] | float | tuple[str, ...] | PlacedBoxes
"""A set of labels, a number, texts (the references of a truth, the one text of an answer), or boxes."""


class Task(str, Enum):  # noqa: UP042 (a bundle runs on Python 3.10, which has no StrEnum)
    """The kinds of field that an answer is scored by."""

    LABEL = "label"
    LABELS = "labels"
    NUMBER = "number"
    TEXT = "text"
    BOXES = "boxes"


@dataclass(frozen=True)
class Target:
    """The field of an answer that is scored."""

    task: Task = Task.LABEL
    field: str = "label"
    """Name of the field in answers."""
    column: str = "label"
    """Column of the records that holds the truth."""
    references: str = ""
    """Column with further texts that are as good as the truth, of free text."""


NOT_A_NUMBER = "not_a_number"
_BETWEEN = re.compile(r"[、,，;；|\n]")
_PLAIN = re.compile(r"[+-]?(?:\d+(?:\.\d*)?|\.\d+)(?:e[+-]?\d+)?")
_THOUSANDS = re.compile(r"[+-]?\d{1,3}(?:,\d{3})+(?:\.\d*)?")


def read_number(value: Any) -> float | None:
    """The number that a value states; None for a text that is more or less than one number.

    Full-width digits, a thousands comma and white space are read over; a unit, a percent sign or a range is
    no number, nor is infinity.
    """
    if isinstance(value, bool):
        return None
    if isinstance(value, int | float):
        return float(value) if math.isfinite(value) else None
    if not isinstance(value, str):
        return None
    text = unicodedata.normalize("NFKC", value).replace("\N{MINUS SIGN}", "-").strip().lower()
    if not _PLAIN.fullmatch(text) and not _THOUSANDS.fullmatch(text):
        return None
    number = float(text.replace(",", ""))
    return number if math.isfinite(number) else None


def read_labels(value: Any, labels: LabelSet | None) -> frozenset[str] | None:
    """The labels that a value states, in the label file's spelling where it has them; None for no such value.

    A text names several with 、 , ; | or line breaks between them, unless it is one label as it stands.
    """
    if isinstance(value, str):
        whole = labels.find(value) if labels else None
        parts: Sequence[Any] = [value] if whole else _BETWEEN.split(value)
    elif isinstance(value, list | tuple | frozenset):
        parts = list(value)
    else:
        return None
    if not all(isinstance(part, str) for part in parts):
        return None
    names = [str(part).strip() for part in parts]
    known = [name for name in names if (labels and labels.find(name)) or not says_nothing(name)]
    return frozenset(_spelt(name, labels) for name in known)


def read_texts(value: Any) -> tuple[str, ...] | None:
    """The texts of a value, one or a list of several; None where there is none with a character in it."""
    parts = [value] if isinstance(value, str) else value if isinstance(value, list | tuple) else []
    return tuple(part for part in parts if isinstance(part, str) and part.strip()) or None


def _spelt(name: str, labels: LabelSet | None) -> str:
    label = labels.find(name) if labels else None
    return label.name if label else name
