"""Whether a data set with several forms of the answer trains each of them, and validates it."""

from __future__ import annotations

from contextlib import suppress

import polars as pl

from datakit.artifacts.build_folder import BuildFolder
from datakit.core.answer_forms import ContractFormat
from datakit.core.errors import UserError
from datakit.core.record import TRAIN, VAL
from datakit.pages.figures import collect
from datakit.verdict.seen import Seen, some

_FORM = "answer_form"


def untested(build: BuildFolder) -> Seen | None:
    """Forms that nothing trains, or that a validation lacks. The first is served and scored."""
    names = _forms(build)
    if len(names) < 2 or _FORM not in build.columns:
        return None
    counted = build.main.group_by(form=pl.col(_FORM)).agg(
        train=(pl.col("part") == TRAIN).sum(), val=(pl.col("part") == VAL).sum()
    )
    forms = pl.LazyFrame({"form": names}, schema={"form": pl.String})
    table = collect(forms.join(counted, on="form", how="left", maintain_order="left")).fill_null(0)
    has_validation = build.main.filter(pl.col("part") == VAL)
    is_blind = (pl.col("val") == 0) & pl.lit(bool(collect(has_validation.limit(1)).height))
    lacking = table.filter((pl.col("train") == 0) | is_blind)
    shown = [_words(*row, is_served=row[0] == names[0]) for row in lacking.rows()]
    words = f"{lacking.height:,} of {len(names):,} do not: {some(shown)}" if shown else "all do"
    return Seen(
        "Every form of the answers stands in training and validation", lacking.height, words, lacking.lazy()
    )


def _forms(build: BuildFolder) -> list[str]:
    """The names of the answers' forms, the served one first; none where nothing says them."""
    with suppress(UserError):
        form = build.answer_format
        if isinstance(form, ContractFormat):
            return [contract.form for contract in form.contracts]
    return []


def _words(form: str, train: int, val: int, *, is_served: bool) -> str:
    """`lines` (served and scored; 12 training, 0 validation)."""
    return f"`{form}` ({'served and scored; ' if is_served else ''}{train:,} training, {val:,} validation)"
