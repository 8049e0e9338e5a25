"""How often each training record is written, so that rare classes are seen often enough."""

from __future__ import annotations

import hashlib
from contextlib import suppress
from importlib import metadata
from math import sqrt
from typing import Any, ClassVar, Literal

import numpy as np
import polars as pl
from pydantic import Field, model_validator

from datakit.core.chat_columns import contracts_of
from datakit.core.class_column import class_of
from datakit.core.errors import UserError, did_you_mean
from datakit.core.outcome import Done, Table
from datakit.core.record import digest, repeat_id
from datakit.core.step_context import StepContext
from datakit.core.sub_results import SubResults
from datakit.core.transform import Annotator, Columns, Renderer, TableTransform

_REPEATS: Columns = {"repeat_of": pl.String(), "repeat_number": pl.UInt32()}
_MOST_OF_A_TEXT = 2
"""Times that one text is trained in an epoch."""


class Resample(TableTransform):
    """Column `repeat`: how often the emitter writes the record; 1 outside the training part.

    The strategy gives each class a number of training rows:

    - `sqrt`: √(n · n_max) for a class of n records, where n_max is the largest class (the largest stays as it
      is, and a class of a quarter of its records gets half of its rows);
    - `uniform`: n_max for every class;
    - `cap`: at most `cap`; larger classes lose records at random, which become rejects `resampled_out`;
    - `explicit`: the numbers in `counts`; classes that are not named stay as they are.

    Rows are spread evenly: the records of a class are repeated equally often, give or take one, and at most
    `max_repeat` times. Which get one more, or stay, follows from the recipe's seed and their ids: a record
    that is added displaces at most one other. Records without a class, of other parts and of the general set
    are never touched. In a recipe of several tasks it stands in a block that goes on behind curate.split, and
    `balance.tasks` weighs the tasks against each other.

    A text that is trained three times is learned by heart. Where a later step writes texts of the answer
    (annotate.reason), or has other words for each repeat (render.chat with several label blocks), each repeat
    therefore becomes a record of its own (`a`, `a~repeat2`) and gets a text of its own; columns `repeat_of`
    (the first one's id) and `repeat_number` (from 1) tell them apart. Where the texts are written already, a
    record is repeated at most twice.
    """

    version: ClassVar[int] = 3
    of_one_task: ClassVar[bool] = True

    by: str = "label"
    """Column of the class."""
    strategy: Literal["sqrt", "uniform", "cap", "explicit"] = "sqrt"
    """How the numbers of rows are chosen."""
    cap: int | None = Field(default=None, ge=1)
    """Most rows of a class (`strategy: cap`)."""
    counts: dict[str, int] | None = None
    """Class -> rows (`strategy: explicit`)."""
    max_repeat: int = Field(default=3, ge=1)
    """A record is never repeated more often than this: a model learns its few pictures by heart."""
    split: Literal["train"] = "train"
    """The part that is resampled. Validation stays as it is, or its scores would mean nothing."""

    @model_validator(mode="after")
    def _parameters_fit_the_strategy(self) -> Resample:
        for name in ("cap", "counts"):
            wanted = "cap" if name == "cap" else "explicit"
            given = getattr(self, name) is not None
            if given and self.strategy != wanted:
                raise ValueError(f"`{name}` belongs to `strategy: {wanted}`, not to `{self.strategy}`")
            if not given and self.strategy == wanted:
                raise ValueError(f"`strategy: {wanted}` needs `{name}`")
        for label, count in (self.counts or {}).items():
            if count < 1:
                raise ValueError(f"`counts` gives {label} {count} rows; the least is 1")
        return self

    def inputs(self, context: StepContext) -> tuple[str, ...]:
        return ("id", self.by)

    def optional(self, context: StepContext) -> tuple[str, ...]:
        return ("split", "set")

    def outputs(self, context: StepContext) -> Columns:
        columns: Columns = {"repeat": pl.UInt32()}
        return {**columns, **_REPEATS} if self._makes_records(context) else columns

    def apply(self, frame: pl.LazyFrame, context: StepContext) -> Table:
        step = self._for_texts(frame, context)
        if step is not self:
            table = step.apply(frame, context)
            _say_why(table.notes, self.max_repeat)
            return table
        small = self._training(frame)
        sizes = {
            name: int(count)
            for name, count in small["class"].drop_nulls().value_counts().sort("class").rows()
        }
        self._check_counts(sizes)
        rows = {name: self._rows(name, size, max(sizes.values())) for name, size in sizes.items()}
        key = digest([context.seed, "balance.resample", self.by])
        small = _spread(small, sizes, rows, key, context.sub_results)
        kept = frame.drop("repeat", strict=False).join(
            small.select("id", "repeat").lazy(), on="id", how="left", maintain_order="left"
        )
        kept = kept.with_columns(pl.col("repeat").fill_null(1)).filter(pl.col("repeat") > 0)
        notes = _notes(sizes, rows, self._held_back(sizes, rows))
        added = 0
        if self._makes_records(context):
            kept = _as_records(kept, max(small["repeat"].to_list(), default=1))
            added = int(small["repeat"].clip(1).sum()) - small.height
        return Table(kept, _left_out(small, sizes, rows), added, notes)

    def _makes_records(self, context: StepContext) -> bool:
        """Whether a later step makes the repeats of a record different from each other."""
        return self._has_texts_to_come(context) or any(
            _REPEATS.keys() & _inputs(step, context) for step in context.steps if isinstance(step, Renderer)
        )

    def _has_texts_to_come(self, context: StepContext) -> bool:
        """Whether a later step writes texts that the answers of the recipe have."""
        texts = _answer_texts(context)
        at = next((at for at, step in enumerate(context.steps) if step is self), len(context.steps))
        later = [step for step in context.steps[at:] if isinstance(step, Annotator) and step.asks_model]
        return any(texts & step.outputs(context.for_step(step)).keys() for step in later)

    def _for_texts(self, frame: pl.LazyFrame, context: StepContext) -> Resample:
        """The step with a `max_repeat` that suits the texts which the records have already."""
        written = _answer_texts(context) & set(frame.collect_schema().names())
        if not written or self.max_repeat <= _MOST_OF_A_TEXT or self._has_texts_to_come(context):
            return self
        return self.model_copy(update={"max_repeat": _MOST_OF_A_TEXT})

    def _training(self, frame: pl.LazyFrame) -> pl.DataFrame:
        """Id and class of the records that may be resampled, in order of their ids."""
        columns = frame.collect_schema().names()
        if "split" not in columns:
            raise UserError(
                "balance.resample finds no column `split`",
                remedy="Put curate.split before it: repeated records must never reach validation.",
            )
        mine = pl.col("split") == self.split
        if "set" in columns:
            mine &= pl.col("set").fill_null("") == ""
        classes = class_of(frame, self.by, "by")
        return frame.filter(mine).select("id", **{"class": classes}).sort("id").collect()

    def _check_counts(self, sizes: dict[str, int]) -> None:
        for name in self.counts or {}:
            if sizes and name not in sizes:
                raise UserError(
                    f"`counts` names the class {name}, which no training record has",
                    remedy=did_you_mean(name, sizes) or f"Classes: {', '.join(sizes)}",
                )

    def _wanted(self, name: str, size: int, largest: int) -> int:
        if self.strategy == "sqrt":
            return round(sqrt(size * largest))
        if self.strategy == "uniform":
            return largest
        if self.cap is not None:
            return min(size, self.cap)
        return (self.counts or {}).get(name, size)

    def _rows(self, name: str, size: int, largest: int) -> int:
        return min(self._wanted(name, size, largest), size * self.max_repeat)

    def _held_back(self, sizes: dict[str, int], rows: dict[str, int]) -> list[str]:
        held = []
        for name, size in sizes.items():
            wanted = self._wanted(name, size, max(sizes.values()))
            if wanted > rows[name]:
                held.append(
                    f"class {name}: {rows[name]} rows instead of {wanted} (max_repeat {self.max_repeat})"
                )
        return held


def _inputs(step: Renderer, context: StepContext) -> set[str]:
    """The columns that a step takes; none where it is wrong, which its own place in the recipe tells."""
    with suppress(UserError):
        return set(step.inputs(context.for_step(step)))
    return set()


def _answer_texts(context: StepContext) -> set[str]:
    """The columns whose texts the recipe's answers have."""
    renderers = [step for step in context.steps if isinstance(step, Renderer)]
    with suppress(UserError):  # the renderer's own fault, which is told as such before any step works
        form = renderers[-1].answer_format(context.for_step(renderers[-1])) if renderers else None
        contracts = contracts_of(form) if form is not None else ()
        fields = [field for contract in contracts for field in contract.fields]
        return {field.source for field in fields if not field.is_closed}
    return set()


def _as_records(frame: pl.LazyFrame, most: int) -> pl.LazyFrame:
    """Each record as often as it is repeated, the firsts of all before the seconds."""
    ids = frame.select("id").collect()["id"]
    mark = "~"
    while ids.str.contains(f"{mark}repeat[0-9]+$").any():
        mark += "~"
    parts = [frame.with_columns(repeat_of="id", repeat_number=pl.lit(1, pl.UInt32))]
    for number in range(2, most + 1):
        due = frame.filter(pl.col("repeat") >= number)
        parts.append(
            due.with_columns(
                id=pl.col("id") + repeat_id("", number, mark),
                repeat_of="id",
                repeat_number=pl.lit(number, pl.UInt32),
            )
        )
    return pl.concat(parts).with_columns(repeat=pl.lit(1, pl.UInt32))


def _spread(
    small: pl.DataFrame, sizes: dict[str, int], rows: dict[str, int], key: bytes, known: SubResults
) -> pl.DataFrame:
    """The records with `repeat`: equally often within a class, the first in the class's order once more."""
    ranks = [hashlib.blake2b(id_.encode(), digest_size=8, key=key).digest() for id_ in small["id"]]
    whole = {name: rows[name] // size for name, size in sizes.items()}
    more = _draws({name: rows[name] % size for name, size in sizes.items()}, sizes, known)
    ranked = small.with_columns(rank=pl.Series(ranks, dtype=pl.Binary)).sort("rank", "id")
    place = pl.int_range(pl.len()).over("class")
    counts = [
        pl.col("class").replace_strict(numbers, default=default, return_dtype=pl.UInt32)
        for numbers, default in ((whole, 1), (more, 0))
    ]
    repeat = (counts[0] + (place < counts[1])).cast(pl.UInt32)
    return ranked.with_columns(repeat=repeat).sort("id").drop("rank")


def _draws(more: dict[str, int], sizes: dict[str, int], known: SubResults) -> dict[str, int]:
    """How many records of each class are drawn, held by imbalanced-learn to what the class has.

    Its samplers draw places, so that one more record would exchange a whole class; which records are drawn
    is decided by their ids. For the same sizes the answer is taken from the store: the package takes seconds
    to be imported.
    """
    wanted = {code: count for code, count in enumerate(more.values()) if count}
    if not wanted:
        return more
    version = metadata.version("imbalanced-learn")
    key = digest(["balance.resample draws", version, sorted(wanted.items()), list(sizes.values())])
    before = known.get(key)
    checked = dict(before.raw) if isinstance(before, Done) else _checked(wanted, list(sizes.values()))
    if before is None:
        known.put(key, Done(sorted(checked.items())))
    return {name: int(checked.get(code, 0)) for code, name in enumerate(more)}


def _checked(wanted: dict[int, int], sizes: list[int]) -> dict[int, int]:
    from imblearn.utils import check_sampling_strategy

    # One record more, of no class: imbalanced-learn refuses data of a single class.
    codes = np.append(np.repeat(np.arange(len(sizes)), sizes), -1)
    return {
        int(code): int(count)
        for code, count in check_sampling_strategy(wanted, codes, "under-sampling").items()
    }


def _left_out(small: pl.DataFrame, sizes: dict[str, int], rows: dict[str, int]) -> pl.LazyFrame:
    """The training records that no row is made of, as rejects."""
    out = small.filter(pl.col("repeat") == 0)
    details = [
        f"class {name} keeps {rows[name]} of its {sizes[name]} training records" for name in out["class"]
    ]
    return out.select(
        "id",
        reason=pl.lit("resampled_out"),
        detail=pl.Series(details, dtype=pl.String),
    ).lazy()


def _say_why(notes: dict[str, Any], max_repeat: int) -> None:
    """Adds to warnings of classes that got fewer rows why that is."""
    if notes.get("warnings"):
        notes["warnings"].append(
            f"max_repeat is {_MOST_OF_A_TEXT} instead of {max_repeat}, because the answers have their texts "
            "already and no text is trained three times. Put balance.resample (with curate.split) before the "
            "step that writes them: each repeat then gets a text of its own."
        )


def _notes(sizes: dict[str, int], rows: dict[str, int], held_back: list[str]) -> dict[str, Any]:
    notes: dict[str, Any] = {
        "classes": {name: {"records": size, "rows": rows[name]} for name, size in sizes.items()}
    }
    if held_back:
        notes["warnings"] = held_back
    return notes
