"""Every record that was answered wrongly: all of them as a table for spreadsheets, the surest on the page."""

from __future__ import annotations

import csv
import io
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from datakit.artifacts.predictions import Prediction
from datakit.core.replacing import set_aside
from datakit.core.spreadsheets import text_cell
from datakit.core.visible import visible
from datakit.core.wording import t
from datakit.evaluation.confusion import Images
from datakit.evaluation.outcomes import Outcomes
from datakit.evaluation.tasks import Task
from datakit.evaluation.value_outcomes import ValueOutcomes, answered_text, truth_texts
from datakit.pages.blocks import Block, Cell, Code, Link, Section, Table, Text

FILE = "wrong.csv"
MOST_ROWS = 100
"""On the page; the file has all."""
_CELL_CHARS = 60
_HEAD = ("id", "truth", "answered", "confidence", "problem", "detail", "reason", "answer", "images")


@dataclass(frozen=True)
class Wrong:
    """A record that was answered wrongly, or not at all."""

    id: str
    truth: str
    answered: str
    """What the answer states; "" where it has a problem."""
    prediction: Prediction

    @property
    def confidence(self) -> float | None:
        return self.prediction.confidence


def wrong_records(outcomes: Outcomes | ValueOutcomes) -> list[Wrong]:
    """All of them, the surest first, those without a confidence in the build's order.

    Of labels and texts that is every answer that is not exactly right, of numbers every one outside of the
    tolerance.
    """
    rows = _of_values(outcomes) if isinstance(outcomes, ValueOutcomes) else _of_labels(outcomes)
    return sorted(rows, key=lambda row: -1.0 if row.confidence is None else row.confidence, reverse=True)


def _of_labels(outcomes: Outcomes) -> list[Wrong]:
    return [
        Wrong(id_, truth, prediction.predicted or "", prediction)
        for id_, truth, prediction in zip(outcomes.ids, outcomes.truth, outcomes.answers, strict=True)
        if prediction.predicted != truth
    ]


def _of_values(outcomes: ValueOutcomes) -> list[Wrong]:
    right = outcomes.figures.right
    return [
        Wrong(
            outcomes.ids[at],
            " / ".join(truth_texts(outcomes.truth[at])),
            answered_text(outcomes.given[at]),
            outcomes.answers[at],
        )
        for at in range(outcomes.count)
        if not right[at]
    ]


def write_wrong(rows: Sequence[Wrong], folder: Path, images_of: Images) -> Path:
    """`wrong.csv` in a folder, in UTF-8 with the mark by which spreadsheets know it.

    No cell is a formula. A file with other rows, on which somebody may have worked, is set aside.
    """
    images = images_of([row.id for row in rows])
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\r\n")
    writer.writerow(_HEAD)
    for row in rows:
        writer.writerow(text_cell(visible(cell)) for cell in _cells(row, images.get(row.id, [])))
    data = text.getvalue().encode("utf-8-sig")
    path = folder / FILE
    folder.mkdir(parents=True, exist_ok=True)
    if os.path.lexists(path):
        if path.is_file() and path.read_bytes() == data:
            return path
        set_aside(path)
    draft = path.with_name(f".{FILE}.part")
    draft.write_bytes(data)
    os.replace(draft, path)
    return path


def _cells(row: Wrong, images: Sequence[str]) -> tuple[str, ...]:
    prediction = row.prediction
    confidence = "" if row.confidence is None else f"{row.confidence:.6g}"
    told = (prediction.problem, prediction.detail, prediction.reason or "", prediction.answer)
    return (row.id, row.truth, row.answered, confidence, *told, "; ".join(images))


def wrong_section(rows: Sequence[Wrong], task: Task) -> Section:
    """The first hundred as a table, and where the others are."""
    if not rows:
        return Section(t("Wrong answers"), [])
    shown = rows[:MOST_ROWS]
    words = t(
        "{count:,} answers outside of the tolerance"
        if task is Task.NUMBER
        else "{count:,} records that were answered wrongly",
        count=len(rows),
    )
    words += (
        t("; the first {shown}, the surest in front:", shown=len(shown))
        if len(shown) < len(rows)
        else t(", the surest in front:")
    )
    head = [t("record"), t("truth"), t("answered"), t("confidence, %")]
    cells: list[list[Cell]] = [
        [
            Code(row.id),
            _short(row.truth),
            _short(row.answered) or f"({row.prediction.problem})",
            None if row.confidence is None else round(100 * row.confidence, 1),
        ]
        for row in shown
    ]
    told = t("All {count:,} with their answers and reasons, as a table ({file})", count=len(rows), file=FILE)
    link = Link(told, FILE)
    blocks: list[Block] = [Text(words), Table(head, cells), link]
    return Section(t("Wrong answers"), blocks)


def _short(text: str) -> str:
    line = " ".join(text.split())
    return f"{line[:_CELL_CHARS]}…" if len(line) > _CELL_CHARS else line
