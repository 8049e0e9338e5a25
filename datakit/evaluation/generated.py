"""LLaMA-Factory's generated_predictions.jsonl: answers without ids, joined by their order and checked."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import orjson

from datakit.artifacts.build_folder import BuildFolder
from datakit.artifacts.predictions import Prediction
from datakit.core.answer import AnswerFormat
from datakit.core.errors import UserError
from datakit.core.regular_files import regular

FILE = "generated_predictions.jsonl"
_KEYS = {"prompt", "predict", "label"}


def is_generated(path: Path) -> bool:
    """Whether a file has the trainer's own form, by its first line."""
    try:
        with open(path, "rb", opener=regular) as file:
            row = orjson.loads(file.readline())
    except (OSError, orjson.JSONDecodeError):
        return False
    return isinstance(row, dict) and row.keys() >= _KEYS


def read_generated(path: Path, build: BuildFolder, split: str) -> list[Prediction]:
    """The trainer's answers with the ids of the build's rows, read by the build's answer form.

    The trainer writes one line for each row of the set that it predicted, in the set's order, and no id. It
    drops rows that it cannot read without a word, which would shift all that follow: so the counts must be
    equal, and each line's true answer must be that of its row. Raises UserError otherwise.
    """
    form = build.answer_format
    rows = list(_emitted(build, split))
    lines = list(_lines(path))
    if len(lines) != len(rows):
        raise UserError(
            f"{path} has {len(lines):,} answers, but the split `{split}` of {build.path.name} has "
            f"{len(rows):,} rows",
            remedy="The lines carry no ids, so they cannot be joined. Predict the whole split of this very "
            "build (`max_samples` unset, nothing dropped by the trainer), or use `datakit predict`.",
        )
    return [
        _prediction(line, row, number, path, form, build)
        for number, (line, row) in enumerate(zip(lines, rows, strict=True), 1)
    ]


def _emitted(build: BuildFolder, split: str) -> Iterator[dict[str, Any]]:
    files = [file.file for file in build.data_files.values() if file.part == split]
    if not files:
        raise UserError(
            f"{build.path.name} has no emitted rows of the split `{split}`",
            remedy="The file comes from LLaMA-Factory, so the recipe needs `emit: [llamafactory]`.",
        )
    for file in files:
        yield from build.lines(file)


def _lines(path: Path) -> Iterator[dict[str, Any]]:
    with open(path, "rb", opener=regular) as file:
        for number, line in enumerate(file, 1):
            if not line.strip():
                continue
            try:
                row = orjson.loads(line)
            except orjson.JSONDecodeError as error:
                raise UserError(f"this line is not JSON: {error}", where=f"{path}:{number}") from None
            if not isinstance(row, dict) or not all(isinstance(row.get(key), str) for key in _KEYS):
                raise UserError(
                    "this line has not the texts `prompt`, `predict` and `label`", where=f"{path}:{number}"
                )
            yield row


def _prediction(
    line: dict[str, Any], row: dict[str, Any], number: int, path: Path, form: AnswerFormat, build: BuildFolder
) -> Prediction:
    truth = row["messages"][-1]["content"]
    if _plain(line["label"]) != _plain(truth):
        raise UserError(
            f"the true answer of this line is not that of row {number}, record {row['id']}: "
            f"{_short(line['label'])} against {_short(truth)}",
            where=f"{path}:{number}",
            remedy="The file was made for another build, or the trainer left out or cut a row "
            "(`cutoff_len`). Predict the split of this very build, or use `datakit predict`.",
        )
    answer = form.parse(line["predict"], build.labels)
    return Prediction(
        id=row["id"],
        label=form.parse(truth, build.labels).label,
        predicted=answer.label,
        problem=answer.problem,
        detail=answer.detail,
        answer=line["predict"],
        reason=answer.reason,
        values=None if answer.label or answer.problem else dict(answer.values),
        images=tuple(row.get("images") or ()),
    )


def _plain(text: str) -> str:
    """The text as it survives the tokenizer: composed characters, white space aside."""
    return "".join(unicodedata.normalize("NFC", text).split())


def _short(text: str) -> str:
    line = " ".join(text.split())
    return f"“{line[:40]}…”" if len(line) > 40 else f"“{line}”"
