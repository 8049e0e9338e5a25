"""Records that show the same picture, and where their labels contradict each other."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
import polars as pl
from pydantic import Field

from datakit.core.outcome import Table
from datakit.core.step_context import StepContext
from datakit.core.transform import Columns, TableTransform
from datakit.curate._groups import Numbers, components
from datakit.curate._hamming import near_groups

CONFLICT = "label_conflict"


class Duplicates(TableTransform):
    """Columns `duplicate_of`, the id of the group's first record, and `review`, what a person should look at.

    Records are in one group when their files are equal (`sha256`) or their pictures look alike (`phash` at
    most `max_hamming` bits apart), directly or through others. The first record is the one with the
    smallest id; a record without a duplicate is its own group, so that `curate.split` can keep groups
    whole with `group: duplicate_of`. Records without pictures are never duplicates.

    A group whose records have different labels is a conflict. `review` then names the other labels and a
    record of each; it is null elsewhere. Needs the columns of annotate.image_facts. The same for any order
    of the records.
    """

    max_hamming: int | None = Field(default=8, ge=0, le=64)
    """Bits of 256 that the perceptual hashes of duplicates differ in at most; null for equal files only.
    Copies saved again or resized are up to 8 bits apart, different screens 12 and more (measured on
    examples/ecom, 2026-11-24)."""
    on_label_conflict: Literal["review", "reject", "keep"] = "review"
    """`review` keeps the records and fills `review`, `reject` rejects them, `keep` only counts them."""
    drop: Literal["none", "equal", "alike"] = "none"
    """Which duplicates are rejected when label and text are the same too: of equal files, or of pictures
    that look alike, only the first record stays. Records in a conflict are not dropped."""

    def inputs(self, context: StepContext) -> tuple[str, ...]:
        return ("id", "label", "text", "sha256", *(("phash",) if self.max_hamming is not None else ()))

    def outputs(self, context: StepContext) -> Columns:
        return {"duplicate_of": pl.String(), "review": pl.String()}

    def apply(self, frame: pl.LazyFrame, context: StepContext) -> Table:
        # Sorted by id, so that nothing below can depend on the order of the records.
        small = frame.select(self.inputs(context)).sort("id").collect()
        small = small.with_columns(group=pl.Series(self._groups(small), dtype=pl.Int64))
        small = small.with_columns(
            duplicate_of=pl.col("id").first().over("group"),
            conflict=pl.col("label").drop_nulls().n_unique().over("group") > 1,
        )
        small = small.with_columns(review=_reviews(small), lost=self._reason())
        facts = small.select("id", "duplicate_of", "review", "lost")
        if self.on_label_conflict != "review":
            facts = facts.with_columns(review=pl.lit(None, pl.String))
        joined = frame.drop("duplicate_of", "review", strict=False).join(
            facts.lazy(), on="id", how="left", maintain_order="left"
        )
        kept = joined.filter(pl.col("lost").is_null()).drop("lost")
        return Table(kept, _rejects(small), notes=self._notes(small))

    def _groups(self, small: pl.DataFrame) -> Numbers:
        """Group number per record."""
        edges = [_same(small["sha256"])]
        if self.max_hamming is not None:
            edges += _alike(small["phash"], self.max_hamming)
        left = np.concatenate([pair[0] for pair in edges])
        right = np.concatenate([pair[1] for pair in edges])
        return components(left, right, small.height)

    def _reason(self) -> pl.Expr:
        """Why a record is rejected; null for one that stays."""
        reason = pl.lit(None, pl.String)
        if self.drop != "none":
            same = ["sha256" if self.drop == "equal" else "group", "label", "text"]
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


def _same(values: pl.Series) -> tuple[Numbers, Numbers]:
    """Edges from each row to the first one with the same value; null is like nothing."""
    table = pl.DataFrame({"value": values}).with_row_index("row").drop_nulls("value")
    table = table.with_columns(first=pl.col("row").first().over("value")).filter(
        pl.col("row") != pl.col("first")
    )
    return table["row"].cast(pl.Int64).to_numpy(), table["first"].cast(pl.Int64).to_numpy()


def _alike(hashes: pl.Series, max_hamming: int) -> list[tuple[Numbers, Numbers]]:
    """Edges between rows whose perceptual hashes are equal or near. Hashes of one length are compared."""
    table = pl.DataFrame({"hash": hashes}).with_row_index("row").drop_nulls("hash")
    firsts = table.unique("hash", keep="first", maintain_order=True)
    edges = [_same(hashes)]
    for _, same_length in firsts.group_by(pl.col("hash").str.len_bytes(), maintain_order=True):
        raw = b"".join(same_length["hash"].str.decode("hex").to_list())
        matrix = np.frombuffer(raw, dtype=np.uint8).reshape(same_length.height, -1)
        group, rows = near_groups(matrix, max_hamming), same_length["row"].cast(pl.Int64).to_numpy()
        _, first = np.unique(group, return_index=True)
        edges.append((rows, rows[first][group]))
    return edges


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
