"""Which records belong together: by columns, by the content of their pictures, by what they read like."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl

from datakit.core.chat_columns import chat_columns
from datakit.core.compared import compared
from datakit.core.files import FileDigests
from datakit.core.groups import Numbers, shared_values
from datakit.core.near_texts import MIN_GRAMS, SAME_TEXT, near_text_groups, texts_to_compare
from datakit.core.record import VAL
from datakit.core.step_context import StepContext
from datakit.core.transform import Reader, Transform

SHARED = "shares_picture_with"
SAME = ("duplicate_of", SHARED)
"""Columns of curate.duplicates."""
PSEUDO = "pseudo"
REVIEWED = "reviewed"
NEAR_VAL = "pseudo_near_val"
SOURCE = "label_source"
"""Column that says where a label is from: "given", "pseudo" or "reviewed"."""
_OF_PICTURES = frozenset({"images", "sha256", "phash"})
_PICTURES = ("@files", "@pixels", "@hashes")


@dataclass(frozen=True)
class Belonging:
    """By what records belong together."""

    columns: tuple[str, ...]
    ocr_text: str
    same_text: float | None

    def numbers(self, small: pl.DataFrame, context: StepContext) -> tuple[Numbers, dict[str, object]]:
        """Group number per record, and for the report how many read like another one."""
        groups = self._alike(small, context)
        columns = list(self.columns)
        if not _OF_PICTURES.isdisjoint(columns):
            small = small.with_columns(_pictures(small, context.files))
        if columns:
            columns += [name for name in (SHARED, *_PICTURES) if name in small.columns]
        several = sum(int((np.bincount(numbers)[numbers] > 1).sum()) for numbers in groups)
        read = [pl.Series(f"@{at}", numbers) for at, numbers in enumerate(groups)]
        with_texts = small.with_columns(read)
        notes: dict[str, object] = {"near_duplicate_texts": several} if several else {}
        return shared_values(with_texts, [*columns, *(series.name for series in read)]), notes

    def _alike(self, small: pl.DataFrame, context: StepContext) -> list[Numbers]:
        """A number per record for each kind of text, the same for texts that are nearly equal."""
        if self.same_text is None or "images" not in small.columns:
            return []
        question = compared(small, chat_columns(context), context.labels)["question"]
        texts = texts_to_compare(small, self.ocr_text, question)
        return [near_text_groups(values, self.same_text, MIN_GRAMS) for values in texts]


def like_validation(small: pl.DataFrame, split: pl.Series, ocr_text: str, context: StepContext) -> pl.Series:
    """Whether each record belongs with one of validation, whatever the split goes by: by its pictures, as
    curate.duplicates says, or by what it reads like."""
    columns = tuple(name for name in ("images", *SAME) if name in small.columns)
    numbers, _ = Belonging(columns, ocr_text, SAME_TEXT).numbers(small, context)
    in_val = (split.fill_null("") == VAL).to_numpy()
    has_val = np.bincount(numbers[in_val], minlength=int(numbers.max(initial=-1)) + 1) > 0
    return pl.Series(has_val[numbers] if len(numbers) else np.zeros(0, dtype=bool), dtype=pl.Boolean)


def gives_source(steps: Sequence[Transform], context: StepContext) -> bool:
    """Whether a step, or the source that one reads, says which labels are predictions."""
    return any(
        SOURCE
        in (
            step.columns(context.for_step(step))
            if isinstance(step, Reader)
            else step.outputs(context.for_step(step))
        )
        for step in steps
    )


def same_pictures(small: pl.DataFrame, context: StepContext) -> Numbers:
    """Group number per record: those that have a picture in common, by content."""
    pictures = small.with_columns(_pictures(small, context.files))
    return shared_values(pictures, [name for name in ("@files", "@pixels") if name in pictures.columns])


def _pictures(small: pl.DataFrame, files: FileDigests) -> list[pl.Series | pl.Expr]:
    """Columns of lists with a value for each of a record's pictures, equal for equal pictures."""
    columns: list[pl.Series | pl.Expr] = []
    if "images" in small.columns:
        digests = [[files.sha256(path) for path in paths or ()] for paths in small["images"].to_list()]
        columns.append(pl.Series("@files", digests, dtype=pl.List(pl.String)))
    if _has_pixels(small.schema.get("looks")):
        pixels = pl.element().struct.field("pixels")
        columns.append(pl.col("looks").list.eval(pixels).alias("@pixels"))
    if small.schema.get("phash") == pl.String:  # 64 digits a picture
        columns.append(pl.col("phash").str.extract_all(r"\w{64}").alias("@hashes"))
    return columns


def _has_pixels(dtype: object) -> bool:
    """Whether `looks` is that of annotate.image_facts: a source may have a column of that name, too."""
    inner = dtype.inner if isinstance(dtype, pl.List) else None
    return isinstance(inner, pl.Struct) and any(field.name == "pixels" for field in inner.fields)
