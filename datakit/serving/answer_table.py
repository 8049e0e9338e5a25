"""Answers as a CSV file with columns of one's own choice, such as a competition wants."""

from __future__ import annotations

import csv
import io
import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from datakit.artifacts import predictions
from datakit.artifacts.checked_predictions import Checked, once
from datakit.artifacts.predictions import NOT_ANSWERED, Prediction
from datakit.core.contract import AnswerContract
from datakit.core.errors import Exit, UserError, did_you_mean
from datakit.core.regular_files import read_regular
from datakit.core.replacing import set_aside
from datakit.core.scripts import shell_words
from datakit.core.spreadsheets import text_cell
from datakit.core.visible import visible
from datakit.serving.items import Item

EXAMPLE = "id,label=predicted"
_OWN = ("id", "label", "predicted", "confidence", "reason", "answer", "problem", "model")
"""Fields of a prediction that a column may hold."""
_OF_IMAGE = ("image", "image_id")
"""Name of the first picture's file, and the same without its suffix, where records have no such columns."""
_NAMED = 5


@dataclass(frozen=True)
class Columns:
    """Column of the file -> the field that it holds, in order."""

    fields: Mapping[str, str]

    @classmethod
    def parse(cls, text: str | None, items: Sequence[Item], contract: AnswerContract) -> Columns:
        """`id,label=predicted`: COLUMN=FIELD, or a name that is both, with commas between.

        Without a text they are the id and what the answer is scored by. Fields are those of a prediction,
        those that answers state, and the columns of the records. Raises UserError for anything else, before
        anybody is asked.
        """
        target = contract.target
        if text is None:
            text = EXAMPLE if target.kind == "label" else f"id,{target.name}"
        known = [
            *_OWN,
            *(field.name for field in contract.fields),
            *dict.fromkeys(name for item in items for name in item.columns),
        ]
        if not any(item.messages for item in items):  # those of a build have names made of their content
            known += _OF_IMAGE
        fields: dict[str, str] = {}
        for part in text.split(","):
            column, equals, field = (word.strip() for word in part.partition("="))
            field = field if equals else column
            if not column or not field:
                raise UserError(
                    f"--columns: `{part}` names no column", remedy=f"Give COLUMN=FIELD, such as {EXAMPLE}."
                )
            if column in fields:
                raise UserError(
                    f"--columns: `{column}` is named twice", remedy="Give each column its own name."
                )
            if field not in known:
                names = list(dict.fromkeys(known))
                hint = did_you_mean(field, names)
                raise UserError(
                    f"--columns: `{column}={field}`: neither answers nor records have a field `{field}`",
                    remedy=f"{hint} Fields there: {', '.join(names)}. It is COLUMN=FIELD.".strip(),
                )
            fields[column] = field
        return cls(fields)

    def row(self, item: Item, prediction: Prediction) -> list[Any]:
        """What stands in the columns; None where there is nothing."""
        return [_value(field, item, prediction) for field in self.fields.values()]


def _value(field: str, item: Item, prediction: Prediction) -> Any:
    if field in (prediction.values or {}):
        return (prediction.values or {})[field]
    if field in _OWN:
        return getattr(prediction, field)
    if field in item.columns:
        return item.columns[field]
    if field in _OF_IMAGE and item.images:
        name = PurePosixPath(item.shown_images[0]).name
        return name if field == "image" else PurePosixPath(name).stem
    return None


@dataclass(frozen=True)
class Written:
    """What became of the table."""

    path: Path
    filled: tuple[str, ...]
    """Ids of the records whose missing values were filled in."""
    kept: Path | None
    """Where the file lies now that stood there with another content."""


def write_table(
    path: Path,
    items: Sequence[Item],
    answers: Path,
    columns: Columns,
    missing: str | None = None,
) -> Written:
    """One row for each item out of a file of predictions, in the items' order, in UTF-8.

    Texts that a spreadsheet would compute are guarded.

    A record without an answer, or without the value of a column, has `missing` there. Raises UserError that
    names them where nothing is said for that: a file with holes is refused by a competition, or scored as
    wrong. So it does where the answers say two things of a record. A file of another content that stands
    there is set aside.
    """
    checked = Checked()
    by_id = {prediction.id: prediction for prediction in once(predictions.read(answers), None, checked)}
    checked.refuse_contradictions(answers, "Leave one answer of each record in the file.")
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(map(text_cell, columns.fields))
    empty: list[Prediction] = []
    for item in items:
        id_ = item.id or ""
        prediction = by_id.get(id_) or Prediction(id=id_, problem=NOT_ANSWERED)
        row = columns.row(item, prediction)
        if None in row:
            empty.append(prediction)
        writer.writerow(_cell(missing if value is None else value) for value in row)
    if empty and missing is None:
        raise _holes(path, answers, empty)
    return Written(path, tuple(prediction.id for prediction in empty), _put(path, text.getvalue().encode()))


def _cell(value: Any) -> str | int | float:
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return text_cell(visible(json.dumps(value, ensure_ascii=False)))
    return text_cell(visible(value)) if isinstance(value, str) else value


def _holes(path: Path, answers: Path, empty: Sequence[Prediction]) -> UserError:
    again = sum(prediction.problem == NOT_ANSWERED for prediction in empty)
    ids = ", ".join(prediction.id for prediction in empty[:_NAMED]) + (", …" if len(empty) > _NAMED else "")
    first = next((prediction for prediction in empty if prediction.problem), None)
    why = f" ({first.id}: {first.problem})" if first is not None else ""
    return UserError(
        f"{path.name} was not written: {len(empty):,} records have no value for a column of it: {ids}{why}",
        remedy=(f"{again:,} of them were not answered: run the same command again. " if again else "")
        + "Or say with --missing VALUE what stands there, and with "
        f"--answers {shell_words([str(answers)])} that nobody is asked again.",
        exit_code=Exit.PARTIAL if again else Exit.FAILED,
    )


def _put(path: Path, data: bytes) -> Path | None:
    """Writes the file whole; where that lies now which stood there with other content."""
    kept = None
    if os.path.lexists(path):
        if path.is_file() and read_regular(path) == data:
            return None
        kept = set_aside(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f".{path.name}.part")
    draft.write_bytes(data)
    os.replace(draft, path)
    return kept
