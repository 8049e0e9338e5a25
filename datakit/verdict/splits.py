"""Whether anything of validation stands in training: equal pictures, equal texts, near-duplicates."""

from __future__ import annotations

from typing import Any

import numpy as np
import polars as pl

from datakit.artifacts.build_folder import BuildFolder
from datakit.artifacts.measured_columns import measured
from datakit.artifacts.originals import originals
from datakit.core.near_texts import MIN_GRAMS, SAME_TEXT, near_text_groups, texts_to_compare
from datakit.core.record import TRAIN, VAL
from datakit.pages.figures import collect
from datakit.verdict.keys import chat_keys, image_keys
from datakit.verdict.seen import SHOWN, Seen, height, records


def image_leak(build: BuildFolder) -> Seen | None:
    """Whatever was emitted, by the content of the pictures where the build says it."""
    if not _has_validation(build):
        return None
    records_keys, how = image_keys(build)
    keys = build.main.select("id", "part").join(records_keys, on="id")
    keys = keys.explode("keys").drop_nulls("keys").rename({"keys": "key"})
    val = keys.filter(pl.col("part") == VAL)
    total = height(val.unique("key"))
    if not total:
        return None
    train = keys.filter(pl.col("part") == TRAIN)
    shared = val.join(train, on="key", how="semi")
    count = height(shared.unique("key"))
    return Seen(
        f"No validation picture stands in training ({how})",
        count,
        f"{count:,} of {total:,} validation pictures do" if count else f"none of {total:,}",
        build.main.join(shared.unique("id"), on="id", how="semi").select(*SHOWN, "images"),
    )


def text_leak(build: BuildFolder) -> Seen | None:
    """Records without pictures are what enters their prompt: the same must not stand on both sides."""
    if not _has_validation(build):
        return None
    texts = chat_keys(build).drop_nulls("question_text").select("id", "question_text", key="question")
    plain = build.main.select(*SHOWN).join(texts, on="id")
    val = plain.filter(pl.col("part") == VAL)
    total = height(val.unique("key"))
    if not total:
        return None
    shared = val.join(plain.filter(pl.col("part") == TRAIN), on="key", how="semi")
    count = height(shared.unique("key"))
    words = f"{count:,} of {total:,} texts do" if count else f"none of {total:,}"
    return Seen("No text-only validation record stands in training", count, words, shared.drop("key"))


def near_leak(build: BuildFolder) -> Seen | None:
    """Groups that curate.duplicates found: the split, or what came after it, may have torn them."""
    columns = [name for name in ("duplicate_of", "shares_picture_with") if measured(build.columns, name)]
    if not columns or not _has_validation(build):
        return None
    sides = build.main.select(*SHOWN, *columns)
    torn = [pl.col(name).is_not_null() & (pl.col("part") == TRAIN).any().over(name) for name in columns]
    sides = sides.with_columns(torn=pl.any_horizontal(torn)).filter(pl.col("part") == VAL)
    shared = sides.filter("torn").drop("torn")
    count, total = height(shared), height(sides)
    words = f"{count:,} of {total:,} have one; let curate.split keep them together (group: duplicate_of)"
    statement = "No look-alike of a validation record stands in training"
    return Seen(statement, count, words if count else f"none of {total:,}", shared)


def near_text_leak(build: BuildFolder) -> Seen | None:
    """Whatever the split did, by the rule that it has: the same screen photographed again reads alike."""
    if not _has_validation(build):
        return None
    texts = [name for name in build.columns if name.endswith("_text") and name != "question_text"]
    ocr = [name for name in texts if _is_ocr(build.columns.get(name.removesuffix("_text")))]
    alone = chat_keys(build).select("id", "question_text")
    both = collect(build.main.select(*SHOWN, "images", *ocr).join(alone, on="id", how="left"))
    is_val = (both["part"] == VAL).to_numpy()
    compared, torn = np.zeros(both.height, dtype=bool), np.zeros(both.height, dtype=bool)
    for column in ocr or [""]:  # without OCR, records of text alone are compared
        for values in texts_to_compare(both, column, both["question_text"]):
            numbers = near_text_groups(values, SAME_TEXT, MIN_GRAMS)
            in_train = np.bincount(numbers[~is_val], minlength=both.height) > 0
            compared |= is_val & values.is_not_null().to_numpy()
            torn |= is_val & in_train[numbers]
    total, count = int(compared.sum()), int(torn.sum())
    if not total:
        return None
    words = f"{count:,} of {total:,} do; let curate.split keep them together (same_text: {SAME_TEXT})"
    statement = (
        f"No validation record reads like one in training ({SAME_TEXT:.0%} alike, OCR text or text alone)"
    )
    shown = both.filter(pl.Series(torn)).select(*SHOWN, "question_text", *ocr).lazy()
    return Seen(statement, count, words if count else f"none of {total:,}", shown)


def _is_ocr(dtype: Any) -> bool:
    """Whether a column holds lines with their boxes, as annotate.ocr gives them."""
    return isinstance(dtype, pl.List) and isinstance(dtype.inner, pl.Struct)


def validation(build: BuildFolder) -> Seen | None:
    """Without validation records nothing measures what a model has learnt."""
    total = height(originals(build))
    if not total:
        return None
    has = _has_validation(build)
    words = "there is one" if has else f"all {records(total)} stand in training"
    return Seen("There is a validation split", 0 if has else total, words)


def _has_validation(build: BuildFolder) -> bool:
    return bool(collect(build.main.select((pl.col("part") == VAL).any())).item())
