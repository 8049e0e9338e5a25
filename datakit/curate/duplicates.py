"""Records that show the same picture, and where their labels contradict each other."""

from __future__ import annotations

from typing import Any, ClassVar, Literal

import numpy as np
import polars as pl
from pydantic import Field

from datakit.core.groups import Numbers, components
from datakit.core.outcome import Table
from datakit.core.record import MESSAGES
from datakit.core.step_context import StepContext
from datakit.core.transform import Columns, TableTransform
from datakit.curate._pictures import picture_numbers

CONFLICT = "label_conflict"
_OPTIONAL: Columns = {"phash": pl.String(), "looks": pl.List(pl.Null), "messages": MESSAGES}


class Duplicates(TableTransform):
    """Columns `duplicate_of`, `shares_picture_with` and `review`, what a person should look at.

    Records are duplicates when they ask the same (`text`, and what users say in `messages`) about the same
    pictures in the same order. `duplicate_of` is the id of the group's first record, the one with the
    smallest id; a record without a duplicate is its own group. `shares_picture_with` is the first of all
    records that have a picture in common, whatever they ask, directly or through others; null where those
    are the duplicates alone. `curate.split` keeps both kinds of groups whole. Records without pictures are
    never duplicates.

    Two pictures are the same when their files or pixels are equal, or when they look alike: perceptual hashes
    at most `max_hamming` bits apart and colours at most `max_colour` levels. Of plain pictures, gradients and
    simple drawn shapes only equal ones are the same, for many different ones look alike.

    A group whose records have different labels is a conflict. `review` then names the other labels and a
    record of each; it is null elsewhere. Needs the columns of annotate.image_facts; of facts that datakit 0.1
    stored, pictures that may have a duplicate are looked at again. The same for any order of the records.
    """

    version: ClassVar[int] = 2
    needs_images: ClassVar[bool] = True

    max_hamming: int | None = Field(default=8, ge=0, le=64)
    """Bits of 256 that the perceptual hashes of duplicates differ in at most; null for equal pictures only.
    Copies saved again or resized are up to 8 bits apart, different screens 12 and more (measured on
    examples/ecom, 2026-11-26)."""
    max_colour: int = Field(default=16, ge=0, le=255)
    """Levels of 255 by which the mean red, green or blue of each of 8 x 8 places differs at most; 255 for any
    colour. Copies saved again or resized differ by up to 15, a shirt in red and in orange by 60."""
    on_label_conflict: Literal["review", "reject", "keep"] = "review"
    """`review` keeps the records and fills `review`, `reject` rejects them, `keep` only counts them."""
    drop: Literal["none", "equal", "alike"] = "none"
    """Which duplicates are rejected when label, text and dialogue are the same too: of equal files, or of
    pictures that look alike, only the first record stays. Records in a conflict are not dropped."""

    def inputs(self, context: StepContext) -> tuple[str, ...]:
        return ("id", "images", "label", "text", "sha256")

    def optional(self, context: StepContext) -> tuple[str, ...]:
        return tuple(_OPTIONAL)

    def outputs(self, context: StepContext) -> Columns:
        return {"duplicate_of": pl.String(), "shares_picture_with": pl.String(), "review": pl.String()}

    def apply(self, frame: pl.LazyFrame, context: StepContext) -> Table:
        # Sorted by id, so that nothing below can depend on the order of the records.
        there = frame.collect_schema()
        small = frame.select(name for name in self.reads(context) if name in there).sort("id").collect()
        missing = [pl.lit(None, kind).alias(name) for name, kind in _OPTIONAL.items() if name not in there]
        small = self._grouped(small.with_columns(missing))
        small = small.with_columns(
            duplicate_of=pl.col("id").first().over("group"),
            shares_picture_with=pl.when(pl.col("group").n_unique().over("shared") > 1).then(
                pl.col("id").first().over("shared")
            ),
            conflict=pl.col("label").drop_nulls().n_unique().over("group") > 1,
        )
        small = small.with_columns(review=_reviews(small), lost=self._reason())
        facts = small.select("id", *self.outputs(context), "lost")
        if self.on_label_conflict != "review":
            facts = facts.with_columns(review=pl.lit(None, pl.String))
        joined = frame.drop(self.outputs(context), strict=False).join(
            facts.lazy(), on="id", how="left", maintain_order="left"
        )
        kept = joined.filter(pl.col("lost").is_null()).drop("lost")
        return Table(kept, _rejects(small), notes=self._notes(small))

    def _grouped(self, small: pl.DataFrame) -> pl.DataFrame:
        """Columns `pictures`, `shared` and `group`, numbers that are equal for records with the same
        pictures, a picture in common, and the same pictures and question; and what they ask and say."""
        numbers = picture_numbers(small, self.max_hamming, self.max_colour)
        lists = numbers.group_by("row", maintain_order=True).agg(pl.col("number").cast(pl.String))
        keys = lists.select("row", key=pl.col("number").list.join(","))
        rows = small.with_row_index("row").join(keys, on="row", how="left", maintain_order="left")
        same = [_edges(rows, "sha256"), _edges(rows, "key")]
        has = (numbers["row"].cast(pl.Int64).to_numpy(), numbers["number"].to_numpy() + small.height)
        nodes = small.height + numbers.height
        rows = rows.with_columns(pictures=_components(same, nodes)[: small.height])
        rows = rows.with_columns(shared=_components([*same, has], nodes)[: small.height])
        rows = rows.with_columns(question=_QUESTION, dialogue=_turns("user", "assistant"))
        return rows.with_columns(group=pl.struct("pictures", "question").rank("dense"))

    def _reason(self) -> pl.Expr:
        """Why a record is rejected; null for one that stays."""
        reason = pl.lit(None, pl.String)
        if self.drop != "none":
            same = ["sha256" if self.drop == "equal" else "pictures", "label", "question", "dialogue"]
            later = pl.col("id") != pl.col("id").first().over(same)
            # Null shares nothing with null: records without pictures have no sha256, and groups of their own.
            drop = later & ~pl.col("conflict") & pl.col("sha256").is_not_null()
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


def _turns(*roles: str) -> pl.Expr:
    """What these say in a record's dialogue, as one text."""
    turn = pl.element().filter(pl.element().struct.field("role").is_in(roles))
    return pl.col("messages").list.eval(turn.struct.field("content")).list.join("\x1f")


_QUESTION = (
    pl.concat_str([pl.col("text"), _turns("user")], separator="\x1f", ignore_nulls=True)
    .str.replace_all(r"<image>|\s", "")
    .fill_null("")
)
"""What a record asks about its pictures; places of pictures and white space make no difference."""


def _edges(rows: pl.DataFrame, column: str) -> tuple[Numbers, Numbers]:
    """Edges from each row to the first one with the same value; null is like nothing."""
    table = rows.select("row", value=column).drop_nulls("value")
    table = table.with_columns(first=pl.col("row").first().over("value"))
    return table["row"].cast(pl.Int64).to_numpy(), table["first"].cast(pl.Int64).to_numpy()


def _components(edges: list[tuple[Numbers, Numbers]], nodes: int) -> pl.Series:
    left, right = (np.concatenate([pair[side] for pair in edges]) for side in (0, 1))
    return pl.Series(components(left, right, nodes))


def _reviews(small: pl.DataFrame) -> pl.Series:
    """Per record the labels that others of its group have, each with the first record that has it."""
    conflicts = small.filter(pl.col("conflict") & pl.col("label").is_not_null())
    firsts = conflicts.group_by("group", "label").agg(pl.col("id").first()).sort("group", "id")
    others: dict[int, list[tuple[str, str]]] = {}
    for group, label, id_ in firsts.iter_rows():
        others.setdefault(group, []).append((label, id_))
    texts = [
        "another label on the same picture: "
        + ", ".join(f"{other} ({id_})" for other, id_ in others[group] if other != label)
        if conflict
        else None
        for group, label, conflict in small.select("group", "label", "conflict").iter_rows()
    ]
    return pl.Series(texts, dtype=pl.String)


def _rejects(small: pl.DataFrame) -> pl.LazyFrame:
    lost = small.filter(pl.col("lost").is_not_null())
    detail = (
        pl.when(pl.col("lost") == CONFLICT)
        .then("review")
        .otherwise(pl.format("same picture, label and text as {}", "duplicate_of"))
    )
    return lost.select("id", reason="lost", detail=detail).lazy()
