"""Records that show the same picture, and where their labels contradict each other."""

from __future__ import annotations

from typing import Any, ClassVar, Literal

import numpy as np
import polars as pl
from pydantic import Field

from datakit.core.chat_columns import chat_columns
from datakit.core.compared import compared
from datakit.core.groups import Numbers, components
from datakit.core.outcome import Table
from datakit.core.step_context import StepContext
from datakit.core.task_blocks import TASK
from datakit.core.transform import Columns, TableTransform
from datakit.curate._pictures import picture_numbers

CONFLICT = "label_conflict"
_OPTIONAL: Columns = {"phash": pl.String(), "looks": pl.List(pl.Null)}
_LOST = "@lost"
"""A name that no column of a source has."""
_PICTURES = ("id", "images", "sha256", *_OPTIONAL)
_SHOWN = 40
"""Characters of an answer that `review` shows."""


class Duplicates(TableTransform):
    """Columns `duplicate_of`, `shares_picture_with` and `review`, what a person should look at.

    Records are duplicates when they ask the same about the same pictures in the same order. What a record
    asks are the columns that the prompt of the recipe's renderer uses (what OCR or a model made of the
    picture is none of them), or what users say in the messages that it keeps; where nothing is rendered,
    `text` and the messages. `duplicate_of` is the id of the group's first record, the one with the smallest
    id; a record without a duplicate is its own group. `shares_picture_with` is the first of all records that
    have a picture in common, whatever they ask, directly or through others; null where those are the
    duplicates alone. `curate.split` keeps both kinds of groups whole. Records without pictures are never
    duplicates. Behind the blocks of several tasks records of two tasks are no duplicates, for each is asked
    its own question: they share a picture.

    Two pictures are the same when their files or pixels are equal, or when they look alike: perceptual hashes
    at most `max_hamming` bits apart and colours at most `max_colour` levels. Of plain pictures, gradients and
    simple drawn shapes only equal ones are the same, for many different ones look alike.

    A group whose records are answered differently is a conflict: by what is scored (the label, labels,
    number or boxes of the answer's form, else its last text), or by the answers of the messages. `review`
    then names the other answers and a record of each; it is null elsewhere. Needs the columns of
    annotate.image_facts; of facts that datakit 0.1 stored, pictures that may have a duplicate are looked at
    again. The same for any order of the records.
    """

    version: ClassVar[int] = 4
    needs_images: ClassVar[bool] = True

    max_hamming: int | None = Field(default=8, ge=0, le=64)
    """Bits of 256 that the perceptual hashes of duplicates differ in at most; null for equal pictures only.
    Copies saved again or resized are up to 8 bits apart, different screens 12 and more (measured on
    scripts/ocr_baseline, 2026-11-26)."""
    max_colour: int = Field(default=16, ge=0, le=255)
    """Levels of 255 by which the mean red, green or blue of each of 8 x 8 places differs at most; 255 for any
    colour. Copies saved again or resized differ by up to 15, a shirt in red and in orange by 60."""
    on_label_conflict: Literal["review", "reject", "keep"] = "review"
    """`review` keeps the records and fills `review`, `reject` rejects them, `keep` only counts them."""
    drop: Literal["none", "equal", "alike"] = "none"
    """Which duplicates are rejected when all that is answered is the same too: of equal files, or of pictures
    that look alike, only the first record stays. Records whose labels, numbers or boxes conflict are not
    dropped; of texts several may be right."""

    def inputs(self, context: StepContext) -> tuple[str, ...]:
        return ("id", "images", "label", "text", "sha256")

    def optional(self, context: StepContext) -> tuple[str, ...]:
        tasks = [TASK] if _is_of_tasks(context) else []
        return tuple(dict.fromkeys([*_OPTIONAL, *tasks, *chat_columns(context).names]))

    def outputs(self, context: StepContext) -> Columns:
        return {"duplicate_of": pl.String(), "shares_picture_with": pl.String(), "review": pl.String()}

    def apply(self, frame: pl.LazyFrame, context: StepContext) -> Table:
        # Sorted by id, so that nothing below can depend on the order of the records.
        there = frame.collect_schema()
        small = frame.select(name for name in self.reads(context) if name in there).sort("id").collect()
        missing = [pl.lit(None, kind).alias(name) for name, kind in _OPTIONAL.items() if name not in there]
        chats = _chats(small, context)
        # Without the columns that make the chats: those may have any name, such as `group`.
        small = self._grouped(small.with_columns(missing).select(*_PICTURES).hstack(chats))
        small = small.with_columns(
            duplicate_of=pl.col("id").first().over("group"),
            shares_picture_with=pl.when(pl.col("group").n_unique().over("shared") > 1).then(
                pl.col("id").first().over("shared")
            ),
            equal_to=pl.col("id").first().over(self._same),
            conflict=pl.col("answer").drop_nulls().n_unique().over("group") > 1,
        )
        small = small.with_columns(review=_reviews(small), lost=self._reason())
        facts = small.select("id", *self.outputs(context), pl.col("lost").alias(_LOST))
        if self.on_label_conflict != "review":
            facts = facts.with_columns(review=pl.lit(None, pl.String))
        joined = frame.drop(self.outputs(context), strict=False).join(
            facts.lazy(), on="id", how="left", maintain_order="left"
        )
        kept = joined.filter(pl.col(_LOST).is_null()).drop(_LOST)
        return Table(kept, _rejects(small), notes=self._notes(small))

    @property
    def _same(self) -> list[str]:
        """What records have in common of which one is enough."""
        return ["sha256" if self.drop == "equal" else "pictures", TASK, "question", "answer", "whole"]

    def _grouped(self, small: pl.DataFrame) -> pl.DataFrame:
        """Columns `pictures`, `shared` and `group`, numbers that are equal for records with the same
        pictures, a picture in common, and the same pictures and question."""
        numbers = picture_numbers(small, self.max_hamming, self.max_colour)
        lists = numbers.group_by("row", maintain_order=True).agg(pl.col("number").cast(pl.String))
        keys = lists.select("row", key=pl.col("number").list.join(","))
        rows = small.with_row_index("row").join(keys, on="row", how="left", maintain_order="left")
        same = [_edges(rows, "sha256"), _edges(rows, "key")]
        has = (numbers["row"].cast(pl.Int64).to_numpy(), numbers["number"].to_numpy() + small.height)
        nodes = small.height + numbers.height
        rows = rows.with_columns(pictures=_components(same, nodes)[: small.height])
        rows = rows.with_columns(shared=_components([*same, has], nodes)[: small.height])
        return rows.with_columns(group=pl.struct("pictures", TASK, "question").rank("dense"))

    def _reason(self) -> pl.Expr:
        """Why a record is rejected; null for one that stays."""
        reason = pl.lit(None, pl.String)
        if self.drop != "none":
            later = pl.col("id") != pl.col("equal_to")
            # Null shares nothing with null: records without pictures have no sha256, and groups of their own.
            torn = pl.col("conflict") & pl.col("closed").any().over("group")
            drop = later & ~torn & pl.col("sha256").is_not_null()
            reason = pl.when(drop).then(pl.lit("duplicate")).otherwise(reason)
        if self.on_label_conflict == "reject":
            reason = pl.when(pl.col("conflict")).then(pl.lit(CONFLICT)).otherwise(reason)
        return reason

    def _notes(self, small: pl.DataFrame) -> dict[str, Any]:
        later = small.filter(pl.col("id") != pl.col("duplicate_of"))
        conflicts = small.filter("conflict")
        return {
            "groups_of_duplicates": later["duplicate_of"].n_unique(),
            "duplicates": later.height,
            "label_conflicts": conflicts["group"].n_unique(),
            "records_in_conflict": conflicts.height,
        }


def _is_of_tasks(context: StepContext) -> bool:
    """Whether the step stands behind the blocks of several tasks."""
    return bool(context.tasks) and not context.task


def _chats(small: pl.DataFrame, context: StepContext) -> pl.DataFrame:
    """Per record what it asks and answers, and `what` its answer is called; `task` is "" in a recipe of one.

    A record of several tasks is read as its own task has it: with the task's columns and labels.
    """
    if not _is_of_tasks(context):
        columns = chat_columns(context)
        what = columns.target.kind if columns.target.is_closed else "answer"
        chats = compared(small, columns, context.labels)
        return chats.with_columns(pl.lit("").alias(TASK), pl.lit(what).alias("what"))
    rows = small.with_row_index(_LOST)
    parts = []
    for scope in context.tasks:
        mine = rows.filter(pl.col(TASK) == scope.name)
        chats = _chats(mine.drop(_LOST), context.in_task(scope.name))
        parts.append(chats.with_columns(mine[_LOST], pl.lit(scope.name).alias(TASK)))
    return pl.concat(parts).sort(_LOST).drop(_LOST)


def _edges(rows: pl.DataFrame, column: str) -> tuple[Numbers, Numbers]:
    """Edges from each row to the first one with the same value; null is like nothing."""
    table = rows.select("row", value=column).drop_nulls("value")
    table = table.with_columns(first=pl.col("row").first().over("value"))
    return table["row"].cast(pl.Int64).to_numpy(), table["first"].cast(pl.Int64).to_numpy()


def _components(edges: list[tuple[Numbers, Numbers]], nodes: int) -> pl.Series:
    left, right = (np.concatenate([pair[side] for pair in edges]) for side in (0, 1))
    return pl.Series(components(left, right, nodes))


def _short(answer: str) -> str:
    return answer if len(answer) <= _SHOWN else f"{answer[:_SHOWN]}…"


def _reviews(small: pl.DataFrame) -> pl.Series:
    """Per record what others of its group answer, each with the first record that does."""
    conflicts = small.filter(pl.col("conflict") & pl.col("answer").is_not_null())
    firsts = conflicts.group_by("group", "answer").agg(pl.col("id").first()).sort("group", "id")
    others: dict[int, list[tuple[str, str]]] = {}
    for group, answer, id_ in firsts.iter_rows():
        others.setdefault(group, []).append((answer, id_))
    texts = [
        f"another {what} on the same picture: "
        + ", ".join(f"{_short(other)} ({id_})" for other, id_ in others[group] if other != answer)
        if conflict
        else None
        for group, answer, conflict, what in small.select("group", "answer", "conflict", "what").iter_rows()
    ]
    return pl.Series(texts, dtype=pl.String)


def _rejects(small: pl.DataFrame) -> pl.LazyFrame:
    lost = small.filter(pl.col("lost").is_not_null())
    detail = (
        pl.when(pl.col("lost") == CONFLICT)
        .then("review")
        .otherwise(pl.format("same picture, {} and text as {}", "what", "equal_to"))
    )
    return lost.select("id", reason="lost", detail=detail).lazy()
