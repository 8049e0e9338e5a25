"""What an evaluation takes out of a build: the truths of a split and the pictures of records."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

import polars as pl

from datakit.artifacts.build_folder import BuildFolder
from datakit.core.answer import LABEL
from datakit.core.errors import UserError
from datakit.evaluation.outcomes import Truths
from datakit.evaluation.tasks import Target, Task, Value, read_labels, read_number, read_texts
from datakit.evaluation.value_outcomes import ValueTruths, whole_text


def target_of(build: BuildFolder) -> Target:
    """What answers to the build are scored by.

    The build's own word, else the label. A build without labels whose answers hold none is one of free text:
    the last field of the answer. Raises UserError for a kind that is not scored.
    """
    said = build.answer_target
    if said:
        kinds = {task.value: task for task in Task}
        kinds["line"] = Task.TEXT
        if said.get("kind") not in kinds:
            raise UserError(
                f"answers of the kind `{said.get('kind')}` are not scored",
                remedy=f"Scored are {', '.join(task.value for task in Task)}.",
            )
        name = said.get("name", LABEL)
        return Target(kinds[said["kind"]], name, said.get("column") or name, said.get("references", ""))
    fields = build.answer_format.turns[-1].variables if build.has_answer_format else (LABEL,)
    if LABEL in fields or build.main.select(pl.col(LABEL).is_not_null().any()).collect().item():
        return Target()
    return Target(Task.TEXT, fields[-1], fields[-1])


def truths_of(build: BuildFolder, split: str) -> Truths:
    """The true labels of a split. Raises UserError for a split without labelled records."""
    mine, elsewhere = _split_of(build, split, ["label"])
    return Truths.of(build.path.name, split, build.labels, mine.select("id", "label").iter_rows(), elsewhere)


def value_truths_of(build: BuildFolder, split: str, target: Target) -> ValueTruths:
    """The true values of a split. Raises UserError for a split without any, and for an absent column."""
    columns = [name for name in (target.column, target.references) if name]
    for name in columns:
        if name not in build.columns:
            raise UserError(
                f"answers are scored by `{name}`, which the records of {build.path.name} do not have",
                remedy=f"Columns there: {', '.join(name for name in build.columns if name[:1] != '@')}.",
            )
    mine, elsewhere = _split_of(build, split, columns)
    truth_of: dict[str, Value] = {}
    without: list[str] = []
    for id_, *values in mine.select("id", *columns).iter_rows():
        truth = _truth(values, target, build)
        if truth is None:
            without.append(id_)
        else:
            truth_of[id_] = truth
    if not truth_of:
        raise UserError(
            f"no record of the split `{split}` has a true `{target.column}`, so nothing can be scored",
            remedy=f"The column holds the truth of answers that are scored as {target.task.value}.",
        )
    read = partial(_read, build, target) if build.has_answer_format else whole_text
    return ValueTruths(build.path.name, split, target, build.labels, truth_of, read, elsewhere, without)


def _read(build: BuildFolder, target: Target, text: str) -> tuple[Any, str, str]:
    answer = build.answer_format.parse(text, build.labels)
    return answer.values.get(target.field), answer.problem, answer.detail


def _truth(values: Sequence[Any], target: Target, build: BuildFolder) -> Value | None:
    if target.task is Task.NUMBER:
        return read_number(values[0])
    if target.task is Task.LABELS:
        return read_labels(values[0], build.labels)
    texts = [text for value in values for text in read_texts(value) or ()]
    return tuple(dict.fromkeys(texts)) or None


def _split_of(build: BuildFolder, split: str, columns: Sequence[str]) -> tuple[pl.DataFrame, set[str]]:
    """Id and columns of a split's records, and the ids of the others. Raises UserError for an empty split."""
    records = build.main.select("id", "part", *columns).collect()
    mine = records.filter(pl.col("part") == split)
    if mine.is_empty():
        parts = ", ".join(records["part"].unique(maintain_order=True)) or "none"
        raise UserError(
            f"{build.path.name} has no records in the split `{split}`",
            remedy=f"Splits there: {parts}. A validation part comes from curate.split.",
        )
    return mine, set(records.filter(pl.col("part") != split)["id"])


def images_of(build: BuildFolder, ids: Sequence[str]) -> dict[str, list[str]]:
    """Id -> the build's own copies of its pictures, relative to it; the originals where it has none."""
    wanted = set(ids)
    frame = build.main.filter(pl.col("id").is_in(list(wanted))).select("id", "images").collect()
    found = {id_: [build.place(path) for path in paths or ()] for id_, paths in frame.iter_rows()}
    for file in build.data_files.values():
        for row in build.lines(file.file):
            if row["id"] in wanted:
                found[row["id"]] = list(row.get("images") or ())
                wanted.discard(row["id"])
            if not wanted:
                return found
    return found
