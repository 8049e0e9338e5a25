"""Labels that are predictions: none in validation, and how many of training's are wrong by their estimate."""

from __future__ import annotations

from typing import Any

import polars as pl

from datakit.artifacts.build_folder import BuildFolder
from datakit.core.record import TRAIN, VAL
from datakit.verdict.seen import SHOWN, Seen, height, records

_SOURCE, _PSEUDO = "label_source", "pseudo"
_SHOWN = (_SOURCE, "prediction", "prediction_probability", "prediction_by")


def in_validation(build: BuildFolder) -> Seen | None:
    """A score on labels that nobody gave measures a model by its like."""
    if _SOURCE not in build.columns:
        return None
    found = _labelled(build).filter(pl.col("part") == VAL)
    count, total = height(found), height(_labelled(build))
    if not total:
        return None
    words = f"{count:,} of {total:,} do" if count else f"none of {total:,}"
    return Seen("No label of validation is a prediction", count, words, found)


def labels(build: BuildFolder) -> Seen | None:
    """Told always where there are any: what was learnt from them is worth what they are."""
    notes = [step.notes for step in build.report.steps if step.notes.get("candidates")]
    if _SOURCE not in build.columns and not notes:
        return None
    statement = "Every label of training was given"
    found = _labelled(build).filter(pl.col("part") == TRAIN) if _SOURCE in build.columns else None
    count = 0 if found is None else height(found)
    if not count:
        return _none_kept(statement, notes)
    total = height(build.main.filter(pl.col("part") == TRAIN))
    return Seen(
        statement, count, f"{records(count)} of {total:,} have a predicted one{_estimate(notes)}", found
    )


def _none_kept(statement: str, notes: list[dict[str, Any]]) -> Seen | None:
    """Predictions were wanted as labels, and none was sure enough."""
    if not notes:
        return Seen(statement, 0, "all were")
    candidates = sum(int(note["candidates"]) for note in notes)
    left: dict[str, int] = {}
    for note in notes:
        for reason, number in note.get("left", {}).items():
            left[reason] = left.get(reason, 0) + number
    why = ", ".join(f"{reason} {number}" for reason, number in sorted(left.items()))
    words = f"of {records(candidates)} without a label none got one: {why}"
    return Seen("Records without a label get one", candidates, words)


def _estimate(notes: list[dict[str, Any]]) -> str:
    """How many are wrong, and what the estimate rests on."""
    told = [note for note in notes if note.get("expected_error") is not None]
    if not told:
        return "; nothing says how many are wrong"
    wrong = sum(note["kept"] * note["expected_error"] for note in told)
    share = wrong / max(sum(note["kept"] for note in told), 1)
    words = f"; {share:.1%} of these are wrong by estimate, about {wrong:,.0f}"
    if any(not note["calibrated_by"] for note in told):
        words += ", which too few known labels set right: trust it little"
    return f"{words}. Transductive: scores on these pictures are no test"


def _labelled(build: BuildFolder) -> pl.LazyFrame:
    """The records whose label is a prediction."""
    shown = [name for name in _SHOWN if name in build.columns]
    return build.main.filter(pl.col(_SOURCE) == _PSEUDO).select(*SHOWN, *shown)
