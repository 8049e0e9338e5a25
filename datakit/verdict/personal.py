"""Personal data that guard.personal_data found and left, and pictures that are blurred in training alone."""

from __future__ import annotations

from typing import Any

import polars as pl

from datakit.artifacts.build_folder import BuildFolder
from datakit.core.blur import BLUR
from datakit.core.personal import LEFT_UNSEEN, PERSONAL, WORDS
from datakit.pages.figures import collect
from datakit.verdict.seen import SHOWN, Seen, height, records

_GUARD = "guard.personal_data"
_STATEMENT = "Personal data that was looked for is nowhere left"


def left(build: BuildFolder) -> Seen | None:
    """Records whose texts hold personal data (`mode: report`), or whose pictures still show what their texts
    do no more; and columns of prompts and answers that nobody looked at."""
    if PERSONAL not in build.columns or not (notes := _notes(build)):
        return None
    holding = build.main.filter(pl.col(PERSONAL).list.len() > 0)
    if all(str(each.get("mode")) == "report" for each in notes):
        words = f"{_listed(holding)}, and was left (`mode: report`)"
    else:
        holding = _still_shown(build, holding)
        words = f"the pictures may show what is masked in their texts: {_listed(holding)}"
    count = height(holding)
    unseen = [str(name) for name in notes[-1].get(LEFT_UNSEEN, ())]
    if not count:
        words = (
            "in nothing that was looked at"
            if unseen
            else "in no text, and in no line of pictures that OCR read"
        )
    if unseen:
        words += f"; not looked at: {', '.join(unseen)}"
        count = count or height(build.main)
    return Seen(_STATEMENT, count, words, holding.select(*SHOWN, PERSONAL))


def blurred(build: BuildFolder) -> Seen | None:
    """Records with a picture that was blurred for the training; pictures that are served are not."""
    if BLUR not in build.columns:
        return None
    changed = build.main.filter(pl.col(BLUR).list.len() > 0)
    count = height(changed)
    words = (
        f"those of {records(count)} were blurred for it, and served ones are not"
        if count
        else "none was blurred"
    )
    return Seen("Pictures are served as they were trained", count, words, changed.select(*SHOWN, PERSONAL))


def _notes(build: BuildFolder) -> list[dict[str, Any]]:
    """What the guards of the build noted."""
    return [step.notes for step in build.report.steps if step.name == _GUARD and "mode" in step.notes]


def _still_shown(build: BuildFolder, holding: pl.LazyFrame) -> pl.LazyFrame:
    """Those that have pictures in which no line was blurred."""
    shown = holding.filter(pl.col("images").list.len().fill_null(0) > 0)
    if BLUR in build.columns:
        shown = shown.filter(pl.col(BLUR).list.len().fill_null(0) == 0)
    return shown


def _listed(holding: pl.LazyFrame) -> str:
    """The records of each kind, the most frequent first."""
    kinds = collect(holding.select(pl.col(PERSONAL).explode()).drop_nulls().group_by(PERSONAL).len())
    rows = sorted(kinds.iter_rows(), key=lambda row: (-row[1], row[0]))
    return ", ".join(f"{WORDS.get(kind, kind)} in {records(count)}" for kind, count in rows)
