"""What a model answered for one record, and predictions.jsonl: the file between predicting and evaluating."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from datakit.artifacts.format_version import refuse_newer
from datakit.core.errors import UserError
from datakit.core.parameters import describe_fault
from datakit.core.regular_files import regular
from datakit.core.replacing import check_replaceable, first_line, set_aside

FORMAT = 1
"""The newest format of a line that is read, and the one that is written."""
UPGRADE = "Upgrade datakit (pip install -U datakit), or predict again: datakit predict BUILD"
NOT_ANSWERED = "not_answered"
"""The problem of a record that the server gave no answer for."""
CONTRADICTED = "contradicted"
"""The problem of a record of which a file says two things: none of them is its answer."""
CUT = "length"
"""How a turn ended that had no more room."""
EMPTY, REFUSED, THINKING_CUT = "empty", "refused", "thinking_cut"
"""Problems of a reply without an answer: it says nothing, declines, or ended while the model thought."""


Probability = Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)]


class Turn(BaseModel):
    """What one turn of the answer took."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    room: int = Field(ge=1)
    """Tokens that it might have (`max_tokens` of the request)."""
    tokens_in: int | None = Field(default=None, ge=0)
    tokens_out: int | None = Field(default=None, ge=0)
    finish: str = "stop"
    """Why it ended: `stop`, or `length` where its room did."""


class Prediction(BaseModel):
    """One answer. Either it states something (`predicted`, `values`), or `problem` says why it does not."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    id: str = Field(min_length=1)
    """The record's id in its build, or the picture's path in a folder."""
    label: str | None = None
    """The truth; None where it is not known."""
    predicted: str | None = None
    """The label that the answer states, in its canonical spelling; None where there is a problem."""
    confidence: Probability | None = None
    """Probability of `predicted`, 0 to 1; None when the server gave none."""
    probabilities: dict[str, Probability] | None = None
    """Label -> probability, where the server scored the closed set."""
    problem: str = ""
    """"" or a short word: empty, refused, thinking_cut, form, label_missing, label_unknown, label_ambiguous,
    not_answered."""
    detail: str = ""
    """One sentence for the user."""
    answer: str = ""
    """The answer as it came, without the model's thinking."""
    thinking: str = ""
    """What the model thought before it, where the server shows it."""
    reason: str | None = None
    """The reason that the answer gives; None when it gives none."""
    values: dict[str, Any] | None = None
    """Field -> value, of answers whose scored field is no label: several labels, a number, a text."""
    boxes: list[dict[str, Any]] | None = None
    """The boxes that the answer states as records have them, `{image, box, label, text}`, in pixels of the
    upright original picture (of the copy that was asked about, where the original is not at hand); None for
    none, and where boxes are in no model's numbers."""
    evidence: list[dict[str, Any]] | None = None
    """The lines of text that the answer cites, in the same form, and `holds`: whether OCR reads such a line
    there; null where the picture was not read."""
    images: tuple[str, ...] = ()
    model: str = ""
    tokens_in: int | None = Field(default=None, ge=0)
    """Of all turns together, as `tokens_out`."""
    tokens_out: int | None = Field(default=None, ge=0)
    turns: tuple[Turn, ...] = ()
    """What each turn took, in their order; none for a record without an answer, and in older files."""
    seconds: float | None = Field(default=None, ge=0)
    """Time from the request to the whole answer."""
    version: int = Field(default=1, ge=1)
    """Format of the line; one without a version has format 1."""

    @model_validator(mode="after")
    def _label_or_problem(self) -> Prediction:
        if self.predicted is None and self.values is None and not self.problem:
            raise ValueError("neither `predicted` nor `problem` is given: one of the two must be")
        if self.predicted is not None and self.problem:
            raise ValueError(f"both `predicted` and `problem` ({self.problem}) are given")
        return self

    @property
    def correct(self) -> bool | None:
        """Whether the answer is the truth; one with a problem is wrong. None: the truth is not known."""
        return None if self.label is None else self.predicted == self.label

    @property
    def cut(self) -> tuple[int, ...]:
        """The turns, from 1, that ended because their room did."""
        return tuple(number for number, turn in enumerate(self.turns, 1) if turn.finish == CUT)


def write(path: Path, predictions: Iterable[Prediction]) -> int:
    """Writes the file whole or not at all; the number of predictions in it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f".{path.name}.part")
    count = 0
    with open(draft, "wb") as file:
        for prediction in predictions:
            file.write(_line(prediction))
            count += 1
    os.replace(draft, path)
    return count


def replace(path: Path, predictions: Iterable[Prediction]) -> Path | None:
    """Writes the file in place of an earlier one; where that lies now if it says anything of its own.

    An earlier file all of whose lines are among the new ones, as that of an unfinished run, is not kept; how
    long an answer took does not count.
    """
    every = list(predictions)
    try:
        doubled = not path.is_file() or _answers(read(path)) <= _answers(every)
    except UserError:  # a damaged line: what the others say is kept
        doubled = False
    kept = None if doubled else set_aside(path)
    write(path, every)
    return kept


def check_place(path: Path) -> None:
    """Raises UserError where something other than predictions would be written over."""
    check_replaceable(
        path, "a file of predictions", lambda file: bool(_read_line(first_line(file), str(file)))
    )


def _answers(predictions: Iterable[Prediction]) -> set[str]:
    answered = (prediction for prediction in predictions if prediction.problem != NOT_ANSWERED)
    return {prediction.model_dump_json(exclude={"seconds", "turns"}) for prediction in answered}


def append(path: Path, predictions: Iterable[Prediction]) -> None:
    """Adds predictions at the end, in one write: a killed process leaves at most its last line unfinished.

    Call `mend` once before the first one, so that such a line does not run into the next.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with open(path, "ab", buffering=0, opener=regular) as file:
        file.write(b"".join(map(_line, predictions)))


def mend(path: Path) -> bool:
    """Cuts off a last line that was never finished; whether there was one."""
    try:
        file = open(path, "r+b", opener=regular)  # noqa: SIM115 (closed by the with below)
    except FileNotFoundError:
        return False
    with file:
        size = end = file.seek(0, os.SEEK_END)
        while end:
            start = max(0, end - 65_536)
            file.seek(start)
            newline = file.read(end - start).rfind(b"\n")
            if newline >= 0:
                end = start + newline + 1
                break
            end = start
        file.truncate(end)
    return end < size


def read(path: Path) -> Iterator[Prediction]:
    """The predictions of a file, in order.

    Raises UserError with file and line for a line that is no prediction.
    """
    try:
        file = open(path, "rb", opener=regular)  # noqa: SIM115 (closed by the with below)
    except OSError as error:
        raise UserError(
            f"cannot read {path}: {error.strerror}", remedy="Make it with `datakit predict`."
        ) from None
    with file:
        for number, line in enumerate(file, 1):
            if line.strip():
                yield _read_line(line, f"{path}:{number}")


def _line(prediction: Prediction) -> bytes:
    return prediction.model_dump_json(exclude_defaults=True).encode() + b"\n"


def _read_line(line: bytes, where: str) -> Prediction:
    try:
        prediction = Prediction.model_validate_json(line)
    except ValidationError as error:
        fault: Any = error.errors(include_url=False)[0]
    else:
        if prediction.version > FORMAT:
            refuse_newer({"version": prediction.version}, FORMAT, where, UPGRADE)
        return prediction
    if fault["type"] == "json_invalid":
        ended = line.endswith(b"\n")
        what = f"this line is not JSON: {fault['ctx']['error']}" if ended else "this line was never finished"
        again = "Run `datakit predict` again, for folds `datakit kfold` with `--run`: it goes on from there."
        raise UserError(what, where=where, remedy=again)
    refuse_newer(json.loads(line), FORMAT, where, UPGRADE)  # its fields may be unknown here
    what, remedy = describe_fault(fault, Prediction)
    raise UserError(what, where=where, remedy=remedy or "Make the file with `datakit predict`.")
