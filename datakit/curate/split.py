"""Training and validation parts that keep groups whole and class shares equal."""

from __future__ import annotations

from typing import ClassVar, Self

import numpy as np
import polars as pl
from pydantic import Field, model_validator

from datakit.core.chat_columns import chat_columns
from datakit.core.class_column import class_of
from datakit.core.counted import counted
from datakit.core.errors import UserError
from datakit.core.groups import Numbers
from datakit.core.near_texts import SAME_TEXT
from datakit.core.outcome import Table
from datakit.core.record import GENERAL, GIVEN_SPLIT, TRAIN, VAL
from datakit.core.split_words import split_of
from datakit.core.step_context import StepContext
from datakit.core.task_blocks import TASK
from datakit.core.transform import Columns, TableTransform
from datakit.core.visible import visible
from datakit.curate._belonging import (
    NEAR_VAL,
    PSEUDO,
    SAME,
    SHARED,
    SOURCE,
    Belonging,
    gives_source,
    like_validation,
)
from datakit.curate._folds import deal
from datakit.curate._stratified import UNCLASSED, Choice, Groups, choose, random_ranks

_SOURCE_SPLIT = "source_split"
"""What readers make of a source's column `split`."""

_FAR_ABOVE = 1.5
"""Times the share that was asked for from which a larger validation part is told."""
_NAMED = 5
"""Classes that validation lacks, told one by one up to so many."""


class Split(TableTransform):
    """Column `split`: "train" or "val", the same for all records of a group.

    The validation part holds `val` of all records, and of every class, as nearly as whole groups allow.
    A class of at least two groups has at least `min_val` records in validation and one in training, even
    where that exceeds the share: a class that validation never sees has no score. A class of one group
    stays in training, and a warning names it. Records without a class stay in training (they cannot be
    scored) unless a record of their group is in validation.

    With a `group`, records that share a picture (curate.duplicates) never straddle either, nor do records
    that read nearly the same: a screen photographed again or cropped has another hash and the same text.
    `same_text` does that without a `group` too where the recipe names it.

    In a recipe of several tasks it stands behind their blocks: one split for all, whose groups have records
    of any task, and a class of the same name in two tasks counts as two.

    Seeded by the recipe's seed; the same for any order of the records, and a few more records move only a
    few others. scikit-learn's StratifiedGroupKFold gives fixed folds only, depends on the order of the
    rows and promises no class anything, so the rule is our own.

    General records (mix.general) stay in training. Records whose source has a validation part (folders
    `train/` and `test/`, or a column `given_split` that says train, val or test) stay where they are; only
    those whose source does not say are split. One that is of a group with a record that stays goes where that
    is; in training, where its group stands on both sides. A source's column `split` counts with
    `given: source_split`, as readers call it; without that it is warned of where it has a validation part.

    With `folds` and `fold` validation is one of so many folds, by the same groups: every record but general
    and pseudo-labelled ones is in exactly one of them, also one without a class or of a given part. `val`,
    `min_val` and the source's own parts do not count then: no record is in both parts of a fold, and a record
    of the source's validation part trains the other folds. `datakit kfold` makes a build of each.

    Records whose label is a prediction (`label_source` "pseudo", curate.pseudo_labels) are in training,
    whatever their source says, and the others are split as if they were not there. One that shows or reads
    the same as a record of validation is rejected.

    Reasons of rejection: pseudo_near_val.
    """

    version: ClassVar[int] = 4

    val: float = Field(default=0.1, gt=0, lt=1)
    """Share of the records that go to validation."""
    stratify: str | None = "label"
    """Column of the class whose shares are kept; null for none."""
    group: str | list[str] | None = None
    """Column or columns: records that share a value in any of them never straddle. In a list column each
    element counts. Null belongs to no group. With `images`, `sha256` or `phash` each of a record's pictures
    counts by what its file holds: one picture in common, under whatever name, keeps two records together."""
    given: str = GIVEN_SPLIT
    """Column that says which part its source has a record in, in words such as train, val, dev, test, 验证集;
    null and blank where it may go to either."""
    ocr_text: str = "ocr_text"
    """Column of what OCR read on a record's pictures, where there is one. Text-only records are compared with
    one another by the columns that enter their prompt, or what users say in the messages that they keep."""
    same_text: float | None = Field(default=SAME_TEXT, gt=0, le=1)
    """Jaccard similarity of character 3-grams from which such texts, of 24 characters and more, belong
    together; null for never. Without a `group` only where it is named, so that a plain split stays as it is.
    Two screens of scripts/ocr_baseline are at most 0.54 alike, and a screen 0.62 to 1 like itself read with
    2% of the characters wrong and a tenth of the lines cut off (2026-11-26)."""
    min_val: int = Field(default=1, ge=0)
    """Records that each class of at least two groups has in validation at the least."""
    folds: int | None = Field(default=None, ge=2, le=100)
    """Number of folds that the records are dealt into, for out-of-fold predictions; null for none."""
    fold: int | None = Field(default=None, ge=1)
    """Which of them is validation, from 1."""

    @model_validator(mode="after")
    def _fold_is_there(self) -> Self:
        if (self.folds is None) != (self.fold is None):
            raise ValueError("`folds` and `fold` belong together: give both, or neither")
        if self.folds is not None and self.fold is not None and self.fold > self.folds:
            raise ValueError(f"there is no fold {self.fold} of {self.folds}")
        return self

    @property
    def _same_text(self) -> float | None:
        """The similarity that is gone by."""
        named = self.group is not None or "same_text" in self.model_fields_set
        return self.same_text if named else None

    def inputs(self, context: StepContext) -> tuple[str, ...]:
        tasks = [TASK] if context.tasks and self.stratify else []
        stratify = [self.stratify] if self.stratify else []
        given = [self.given] if self.given != GIVEN_SPLIT else []
        return tuple(dict.fromkeys(["id", *stratify, *tasks, *self._columns(), *given]))

    def optional(self, context: StepContext) -> tuple[str, ...]:
        if self.group is None:
            shared: tuple[str, ...] = (GIVEN_SPLIT, _SOURCE_SPLIT, "set", SOURCE)
        else:
            shared = (GIVEN_SPLIT, _SOURCE_SPLIT, "set", SOURCE, SHARED, "images", "looks")
        texts = ("images", self.ocr_text, *chat_columns(context).question_names)
        if self._same_text is not None:
            return tuple(dict.fromkeys((*shared, *texts)))
        if not gives_source(context.steps, context):
            return shared
        return tuple(dict.fromkeys((*shared, *SAME, "looks", *texts)))

    def outputs(self, context: StepContext) -> Columns:
        return {"split": pl.String()}

    def apply(self, frame: pl.LazyFrame, context: StepContext) -> Table:
        # Sorted by id, so that nothing below can depend on the order of the records.
        columns = [name for name in self.reads(context) if name in frame.collect_schema()]
        every = _named(frame.select(columns).sort("id").collect(), self.given)
        if SOURCE not in columns or not (is_pseudo := every[SOURCE].fill_null("") == PSEUDO).any():
            return self._split(frame, every, context)
        table = self._split(frame, every.filter(~is_pseudo), context)
        return self._with_pseudo(table, every, is_pseudo, context)

    def _split(self, frame: pl.LazyFrame, small: pl.DataFrame, context: StepContext) -> Table:
        """The records with their side; null for those that are not in `small`."""
        if self.folds is not None:
            return self._folded(frame, small, context)
        given, general = _given(small), _general(small)
        passed_over = _passed_over(small)
        settled = pl.concat([given, general])
        if settled.height == small.height and not given.is_empty():
            return _joined(frame, settled, {**_sizes(given["split"]), "given": given.height})
        numbers, alike = self._belonging.numbers(small, context)
        following = _following(small["id"], numbers, settled)
        if not settled.is_empty():
            settled = pl.concat([settled, following])
            is_free = ~small["id"].is_in(settled["id"].implode())
            small, numbers = small.filter(is_free), _renumbered(numbers[is_free.to_numpy()])
        names, classes = self._classes(small)
        firsts = small["id"].gather(np.unique(numbers, return_index=True)[1])
        groups = Groups.of(numbers, classes, len(names), random_ranks(firsts, context.seed))
        choice = choose(groups, self.val, self.min_val)
        side = pl.Series(np.where(choice.chosen[numbers], VAL, TRAIN), dtype=pl.String)
        counts = {"given": given.height, "with_given": following.height}
        notes = {**_notes(side, names, classes, groups, choice), **alike}
        told = notes.get("warnings")
        if warnings := [*passed_over, *(told if isinstance(told, list) else []), *self._above(side, groups)]:
            notes["warnings"] = warnings
        notes |= {name: count for name, count in counts.items() if count}
        splits = small.select("id", split=side)
        return _joined(frame, splits if settled.is_empty() else pl.concat([settled, splits]), notes)

    def _above(self, side: pl.Series, groups: Groups) -> list[str]:
        """That validation is far larger than its share, and of what that comes, in words."""
        in_val, asked = int((side == VAL).sum()), self.val * len(side)
        if in_val <= _FAR_ABOVE * asked or in_val - asked <= 1:  # one record more is rounding
            return []
        words = f"{in_val / len(side):.0%} of the records are in validation, above `val: {self.val:g}`"
        least = np.minimum(self.min_val, groups.totals - 1)
        is_small = bool((least > self.val * groups.totals).any())
        reasons = [f"each class has at least {self.min_val} there"] if is_small else []
        reasons += ["groups stay whole"] if groups.several else []
        remedies = ["a finer `group`"] if groups.several else []
        remedies += ["more records of small classes or `min_val: 0`"] if is_small else []
        brings = "bring" if is_small else "brings"
        return [f"{words}: {', and '.join(reasons)}; {', '.join(remedies)} {brings} it nearer"]

    def _folded(self, frame: pl.LazyFrame, small: pl.DataFrame, context: StepContext) -> Table:
        """The records with their splits where validation is a fold."""
        general = _general(small)
        numbers, alike = self._belonging.numbers(small, context)
        given_val = _given(small).filter(split=VAL).height
        is_dealt = ~small["id"].is_in(general["id"].implode())
        small, numbers = small.filter(is_dealt), _renumbered(numbers[is_dealt.to_numpy()])
        if small.is_empty():
            return _joined(frame, general, {})
        assert self.folds is not None
        assert self.fold is not None  # the validator holds them together
        names, classes = self._classes(small)
        firsts = small["id"].gather(np.unique(numbers, return_index=True)[1])
        folds, groups = deal(numbers, classes, len(names), random_ranks(firsts, context.seed), self.folds)
        is_val = folds.of_group[numbers] == self.fold - 1
        splits = small.select("id", split=pl.Series(np.where(is_val, VAL, TRAIN), dtype=pl.String))
        notes = {**_sizes(splits["split"]), **folds.notes(names, groups), **alike}
        if given_val:
            notes["given_val"] = given_val
        if unclassed := int((classes == UNCLASSED).sum()):
            notes["without_class"] = unclassed
            notes["val_without_class"] = int((is_val & (classes == UNCLASSED)).sum())
        return _joined(frame, pl.concat([general, splits]), notes)

    def _with_pseudo(
        self, table: Table, every: pl.DataFrame, is_pseudo: pl.Series, context: StepContext
    ) -> Table:
        """The same with pseudo-labelled records in training, but for those that are like one of validation:
        the split of the others is what it would be without them."""
        sides = every.select("id").join(table.frame.select("id", "split").collect(), on="id", how="left")
        like = like_validation(every, sides.sort("id")["split"], self.ocr_text, context)
        lost = every.filter(is_pseudo & like).select(
            "id",
            reason=pl.lit(NEAR_VAL),
            detail=pl.lit("its label is a prediction, and it is like a record of validation"),
        )
        kept = table.frame.with_columns(
            split=pl.when(pl.col(SOURCE).fill_null("") == PSEUDO).then(pl.lit(TRAIN)).otherwise("split")
        ).join(lost.lazy().select("id"), on="id", how="anti", maintain_order="left")
        in_train = int(is_pseudo.sum()) - lost.height
        notes = {**table.notes, "pseudo": in_train, TRAIN: int(str(table.notes.get(TRAIN, 0))) + in_train}
        return Table(kept, lost.lazy(), notes=notes)

    @property
    def _belonging(self) -> Belonging:
        """By what records go to one side."""
        return Belonging(tuple(self._columns()), self.ocr_text, self._same_text)

    def _columns(self) -> list[str]:
        if self.group is None:
            return []
        return [self.group] if isinstance(self.group, str) else list(self.group)

    def _classes(self, small: pl.DataFrame) -> tuple[list[str], np.ndarray[tuple[int], np.dtype[np.int64]]]:
        """Names of the classes in order, and each record's class as a number."""
        if self.stratify is None:
            return ["all records"], np.zeros(small.height, dtype=np.int64)
        column = small.select(class_of(small, self.stratify, "stratify")).to_series()
        if TASK in small.columns and self.stratify != TASK:  # a class of one task is none of another's
            column = (small[TASK].fill_null("") + ": " + column).alias(column.name)
        names = column.drop_nulls().unique().sort().to_list()
        numbers = {name: number for number, name in enumerate(names)}
        coded = column.replace_strict(numbers, default=UNCLASSED, return_dtype=pl.Int64)
        return names, coded.to_numpy()


def _general(small: pl.DataFrame) -> pl.DataFrame:
    """Id and split of the general records that an earlier step mixed in."""
    if "set" not in small.columns:
        return pl.DataFrame(schema={"id": pl.String, "split": pl.String})
    return small.filter(pl.col("set") == GENERAL).select("id", split=pl.lit(TRAIN))


def _given(small: pl.DataFrame) -> pl.DataFrame:
    """Id and split of the records whose source says it; none where no source has a validation part."""
    if GIVEN_SPLIT not in small.columns or not (small[GIVEN_SPLIT] == VAL).any():
        return pl.DataFrame(schema={"id": pl.String, "split": pl.String})
    return small.filter(pl.col(GIVEN_SPLIT).is_not_null()).select("id", split=GIVEN_SPLIT)


def _named(every: pl.DataFrame, column: str) -> pl.DataFrame:
    """The records with the source's own parts by our words. Raises UserError for a word that names none."""
    if column not in every.columns:
        return every
    if every.schema[column].is_nested():
        raise UserError(
            f"the column {column} has {every.schema[column]} and names no split",
            remedy="Name a column of single words in `given`: train, val or test.",
        )
    said = every[column].cast(pl.String)
    words = {word: split_of(word) for word in said.drop_nulls().unique().sort()}
    if strange := [word for word, split in words.items() if split is None and word.strip()]:
        raise UserError(
            f"the column {column} says `{visible(strange[0])}`, which is no split",
            remedy="Say train, val or test; leave it empty where the record may go to either.",
        )
    return every.with_columns(said.replace_strict(words, return_dtype=pl.String).alias(GIVEN_SPLIT))


def _passed_over(small: pl.DataFrame) -> list[str]:
    """That a source's column `split` has a validation part which this step does not keep, in words."""
    if _SOURCE_SPLIT not in small.columns or GIVEN_SPLIT in small.columns:
        return []
    if small.schema[_SOURCE_SPLIT] != pl.String():
        return []
    sides = [split_of(word) for word in small[_SOURCE_SPLIT].drop_nulls()]
    if None in sides or VAL not in sides:
        return []
    return [
        f"the source's own column `split` has {counted(sides.count(VAL), 'record')} for validation, and the "
        f"records are split anew: `given: {_SOURCE_SPLIT}` keeps its parts"
    ]


def _following(ids: pl.Series, numbers: Numbers, settled: pl.DataFrame) -> pl.DataFrame:
    """Id and split of the records that are free and of a group with settled ones, where those are."""
    if settled.is_empty():
        return settled
    groups = pl.DataFrame({"id": ids, "group": numbers}).join(settled, on="id", how="left")
    # "train" < "val". Who knows both sides leaks on either; validation scores it on neither.
    groups = groups.with_columns(theirs=pl.col("split").min().over("group"))
    following = groups.filter(pl.col("split").is_null(), pl.col("theirs").is_not_null())
    return following.select("id", split="theirs")


def _renumbered(numbers: Numbers) -> Numbers:
    """The same groups, numbered from 0 on without gaps."""
    return np.unique(numbers, return_inverse=True)[1].astype(np.int64)


def _joined(frame: pl.LazyFrame, splits: pl.DataFrame, notes: dict[str, object]) -> Table:
    """The records with their splits."""
    others = frame.drop("split", strict=False)
    return Table(others.join(splits.lazy(), on="id", how="left", maintain_order="left"), notes=notes)


def _sizes(side: pl.Series) -> dict[str, object]:
    in_val = int((side == VAL).sum())
    return {TRAIN: len(side) - in_val, VAL: in_val}


def _notes(
    side: pl.Series,
    names: list[str],
    classes: np.ndarray[tuple[int], np.dtype[np.int64]],
    groups: Groups,
    choice: Choice,
) -> dict[str, object]:
    """Facts for the report: sizes of both parts, and the classes that validation lacks."""
    notes = _sizes(side)
    unclassed = int((classes == UNCLASSED).sum())
    if unclassed:
        notes["without_class"] = unclassed
    lacking = [number for number in range(len(names)) if choice.have[number] == 0]
    if len(lacking) > _NAMED:
        few = ", ".join(names[number] for number in lacking[:_NAMED])
        notes["warnings"] = [
            f"{len(lacking)} of {len(names)} classes are not in validation, their records stayed in training"
            f": {few} and {len(lacking) - _NAMED} more"
        ]
    elif lacking:
        notes["warnings"] = [_left_out(names[number], number, groups) for number in lacking]
    return notes


def _left_out(name: str, number: int, groups: Groups) -> str:
    records = int(groups.totals[number])
    what = "its only record" if records == 1 else f"its {records} records"
    what += " (one group)" if records > 1 and groups.groups[number] == 1 else ""
    return f"class {name} is not in validation: {what} stayed in training"
