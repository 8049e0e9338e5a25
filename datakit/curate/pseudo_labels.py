"""curate.pseudo_labels: labels for records that have none, out of predictions that are sure enough."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar, Literal

import numpy as np
import polars as pl
from pydantic import Field

from datakit.core.blocks import Section
from datakit.core.chat_columns import chat_columns
from datakit.core.judged import canonical
from datakit.core.labels import LabelSet
from datakit.core.outcome import Table
from datakit.core.prediction_faults import faults
from datakit.core.record import GENERAL, TRAIN, VAL
from datakit.core.step_account import StepAccount
from datakit.core.step_context import StepContext
from datakit.core.transform import Columns, TableTransform
from datakit.curate._belonging import NEAR_VAL, PSEUDO, SAME, SOURCE, like_validation, same_pictures
from datakit.curate._calibrated import LEAST, Bools, Calibration, Floats, calibrate
from datakit.curate._chosen import Rule, choose
from datakit.curate._pseudo_account import Account, section

_KNOWN, _CAP, _UNKNOWN, _UNSURE = "pseudo_known", "pseudo_over_cap", "pseudo_unknown", "pseudo_unsure"
_GIVEN = "@given"
"""A name that no column of a source has."""
_DETAILS = {
    NEAR_VAL: "it is like a record of validation",
    _KNOWN: "a record with a label shows the same picture",
    _CAP: "others of its predicted class are surer",
}


class PseudoLabels(TableTransform):
    """Column `label` of records without one set to their prediction, where that is sure enough.

    Column `label_source` says of every label whether it was "given" or is "pseudo", out of annotate.predict.

    How sure a prediction is comes of the records whose label is known and that were predicted by others
    (those of training, out of fold by the proxy; fewer than 30, those of validation too, as for a model): a
    logistic curve of the probability and of `prediction_evidence`, with an offset for each predicted class
    that is drawn towards 0 where the class has few such records. So one bound is a threshold for each class,
    shrunk towards the global one. With fewer than 30 such records in all probabilities are taken as they are,
    and the verdict says so.

    Kept are of each predicted class the surest `floor`, down to `floor_probability`, so that no class is left
    out because others are easier, and as many records besides as hold the mean of that estimate, over all
    that are kept, at `precision`. With `agree` a second voice must say the same, and agreeing records are
    calibrated by themselves.

    A pseudo-label never reaches validation. A record that belongs with one of validation (the same picture,
    the group of curate.duplicates, nearly the same text) is not kept; curate.split before or after this step
    keeps to that too, and the verdict fails a build where it does not hold. Where a record with a label shows
    the same picture, the prediction adds nothing.

    The expected error of the kept labels, the coverage and the classes' shares before and after stand in the
    report, on the card and in --json. `prediction_by` stays with each record: which model, by content.

    Reasons of rejection, which do not count against `run.max_reject_rate`: pseudo_unsure, pseudo_over_cap,
    pseudo_near_val, pseudo_known, pseudo_unknown. `rest: keep` lets such records go on without a label.
    """

    of_one_task: ClassVar[bool] = True
    version: ClassVar[int] = 5
    example: ClassVar[dict[str, Any] | None] = {}

    prediction: str = "prediction"
    """Column of the predictions; `<it>_probability` holds their probability. One without a probability
    from 0 to 1, of an unknown label, or whose `<it>_probabilities` do not add up to 1, is rejected with what
    is wrong."""
    precision: float = Field(default=0.955, gt=0, lt=1)
    """Share of the kept labels that are to be right, by their own estimate, those that are kept for their
    class's sake among them. On drawn screens that are as hard as real ones (scripts/bench_pseudo.py)
    the estimate is within two points of the truth."""
    threshold: float | None = Field(default=None, gt=0, le=1)
    """Least probability of being right, in place of `precision`."""
    floor: float = Field(default=0.3, ge=0, le=1)
    """Share of the records of each predicted class that are kept at the least; 0 for none."""
    floor_probability: float = Field(default=0.4, ge=0, le=1)
    """Least probability of being right for records that are kept for their class's sake."""
    max_per_class: int | None = Field(default=None, ge=1)
    """Records kept of each predicted class at most, the surest ones."""
    agree: str | None = None
    """Column of a second voice, such as `proxy`, that must predict the same label."""
    rest: Literal["reject", "keep"] = "reject"
    """What becomes of the others: rejected with their reason, or kept without a label."""
    truth: str | None = None
    """Column with the true label of the records without one, where a trial knows it: told beside the
    estimate, used for nothing."""
    ocr_text: str = "ocr_text"
    """Column of what OCR read: records that read alike belong together."""

    def inputs(self, context: StepContext) -> tuple[str, ...]:
        voices = [self.prediction, f"{self.prediction}_probability", *filter(None, [self.agree, self.truth])]
        return tuple(dict.fromkeys(("id", "label", "images", *voices)))

    def optional(self, context: StepContext) -> tuple[str, ...]:
        texts = (self.ocr_text, *chat_columns(context).question_names)
        beside = (f"{self.prediction}_by", self._evidence, self._of_all)
        return tuple(dict.fromkeys(("split", "set", SOURCE, *beside, *SAME, "looks", *texts)))

    def outputs(self, context: StepContext) -> Columns:
        return {"label": pl.String(), SOURCE: pl.String()}

    def card_sections(self, account: StepAccount) -> Sequence[Section]:
        return [section(Account.from_notes(account.notes))] if account.notes.get("candidates") else []

    def apply(self, frame: pl.LazyFrame, context: StepContext) -> Table:
        # Sorted by id, so that nothing below can depend on the order of the records.
        names = [name for name in self.reads(context) if name in frame.collect_schema()]
        small = _with_source(frame.select(names).sort("id").collect())
        chosen, account = self._chosen(small, context)
        fates = chosen.lazy()
        others = frame.drop("label", SOURCE, strict=False)
        joined = others.join(fates.drop("fate", "detail"), on="id", how="left", maintain_order="left")
        if "split" in names:
            is_kept = pl.col(SOURCE).fill_null("") == PSEUDO
            joined = joined.with_columns(split=pl.when(is_kept).then(pl.lit(TRAIN)).otherwise("split"))
        columns = list(dict.fromkeys((*frame.collect_schema().names(), "label", SOURCE)))
        lost = fates.filter(pl.col("fate") != "").select("id", reason="fate", detail="detail")
        if self.rest == "reject":
            joined = joined.join(lost.select("id"), on="id", how="anti", maintain_order="left")
        rejects = lost if self.rest == "reject" else None
        return Table(joined.select(columns), rejects, notes=account.notes())

    def _chosen(self, small: pl.DataFrame, context: StepContext) -> tuple[pl.DataFrame, Account]:
        """Id, label, source and fate of each record: "" for one that stays."""
        small = self._spelt(small, context.labels)
        is_open = (small["label"].is_null() & ~_is_general(small)).to_numpy()
        found = self._faults(small, context)
        valid = np.array([fault == "" for fault in found], dtype=bool)
        fate = np.where(is_open, _UNSURE, "").astype(object)
        fate[is_open & ~valid] = _UNKNOWN
        fate[is_open & self._known(small, is_open, context)] = _KNOWN
        fate[is_open & self._near_val(small, context)] = NEAR_VAL
        agreeing = valid & self._agrees(small)
        calibration = self._calibration(small, agreeing & ~is_open)
        sure, predicted = self._sure(small, calibration), small[self.prediction].fill_null("")
        rows = np.flatnonzero(agreeing & (fate == _UNSURE))
        choice = choose(sure[rows], predicted.gather(rows).to_list(), self._rule)
        fate[rows[choice.kept]], fate[rows[choice.over_cap]] = PSEUDO, _CAP
        details = [self._detail(*values) for values in zip(fate, sure, agreeing, found, strict=True)]
        decided = small.with_columns(
            predicted=predicted,
            given=pl.when(~pl.Series(_is_general(small))).then(_GIVEN),
            is_open=pl.Series(is_open),
            is_valid=pl.Series(valid),
            kept=pl.Series(fate == PSEUDO, dtype=pl.Boolean),
            sure=pl.Series(sure, dtype=pl.Float64),
            fate=pl.Series([str(word) for word in fate], dtype=pl.String),
            detail=pl.Series(details, dtype=pl.String),
            truth=pl.col(self.truth) if self.truth else pl.lit(None, pl.String),
        )
        chosen = decided.select(
            "id",
            "detail",
            label=pl.when("kept").then("predicted").otherwise("label"),
            **{SOURCE: pl.when("kept").then(pl.lit(PSEUDO)).otherwise(SOURCE)},
            fate=pl.when("kept").then(pl.lit("")).otherwise("fate"),
        )
        by = f"{self.prediction}_by"
        voices = sorted(set(small[by].drop_nulls())) if by in small.columns else []
        return chosen, Account.of(decided, calibration, choice, voices)

    def _spelt(self, small: pl.DataFrame, labels: LabelSet | None) -> pl.DataFrame:
        """The records with the predictions and `_GIVEN`, the given label, as the label file spells them."""
        told = {_GIVEN: "label", **{name: name for name in (self.prediction, self.agree, self.truth) if name}}
        return small.with_columns(
            pl.Series(name, [canonical(label, labels) for label in small[column]], dtype=pl.String())
            for name, column in told.items()
        )

    @property
    def _rule(self) -> Rule:
        return Rule(self.precision, self.threshold, self.floor, self.floor_probability, self.max_per_class)

    def _detail(self, fate: str, sure: float, agrees: bool, fault: str) -> str:
        if fate == _UNKNOWN:
            return fault
        if fate == _UNSURE and not agrees:
            return f"`{self.agree}` says another label, or none"
        if fate == _UNSURE:
            return f"the prediction is right with probability {sure:.2f}"
        return _DETAILS.get(fate, "")

    def _faults(self, small: pl.DataFrame, context: StepContext) -> list[str]:
        """Why each record's prediction cannot be a label; "" where it can."""
        names = set(small[_GIVEN].drop_nulls()) or None  # without a label file: those that were given
        labels = set(context.labels.names) if context.labels is not None else names
        probabilities = small[self._of_all] if self._of_all in small.columns else None
        sure = small[f"{self.prediction}_probability"].cast(pl.Float64)
        return faults(small[self.prediction], sure, probabilities, labels)

    def _probability(self, small: pl.DataFrame) -> pl.Series:
        """Null for what is no probability."""
        values = small[f"{self.prediction}_probability"].cast(pl.Float64)
        return values.set(~values.is_between(0, 1).fill_null(False), None)

    def _agrees(self, small: pl.DataFrame) -> Bools:
        if self.agree is None:
            return np.ones(small.height, dtype=bool)
        return (small[self.agree] == small[self.prediction]).fill_null(False).to_numpy()

    def _calibration(self, small: pl.DataFrame, known: Bools) -> Calibration:
        """By the records whose label was given and that have a prediction: those of training, which leaves
        validation out of every choice, and only where these are too few those of validation too."""
        rows = small.filter(pl.Series(known) & (small[SOURCE] != PSEUDO).fill_null(False))
        in_train = rows.filter(pl.col("split").fill_null("") != VAL) if "split" in rows.columns else rows
        rows = in_train if in_train.height >= LEAST else rows
        right = (rows[self.prediction] == rows[_GIVEN]).to_numpy()
        probabilities, predicted = self._probability(rows).to_numpy(), rows[self.prediction].to_list()
        return calibrate(probabilities, predicted, right, self._beside(rows))

    def _sure(self, small: pl.DataFrame, calibration: Calibration) -> Floats:
        predicted = small[self.prediction].fill_null("").to_list()
        probabilities = self._probability(small).fill_null(0.0).to_numpy()
        return calibration.sure(probabilities, predicted, self._beside(small))

    @property
    def _of_all(self) -> str:
        return f"{self.prediction}_probabilities"

    @property
    def _evidence(self) -> str:
        return f"{self.prediction}_evidence"

    def _beside(self, rows: pl.DataFrame) -> Floats:
        """(n, d) what else speaks for the predictions; (n, 0) where there is none, or not of one length."""
        told = rows[self._evidence].to_list() if self._evidence in rows.columns else [None] * rows.height
        sizes = {len(numbers) for numbers in told if numbers is not None}
        if len(sizes) != 1:
            return np.zeros((rows.height, 0))
        width = sizes.pop()
        rows_of = [
            [0.0 if value is None else value for value in numbers or [0.0] * width] for numbers in told
        ]
        return np.nan_to_num(np.array(rows_of, dtype=np.float64), posinf=0.0, neginf=0.0)

    def _near_val(self, small: pl.DataFrame, context: StepContext) -> Bools:
        if "split" not in small.columns:  # curate.split, which is to come, looks itself
            return np.zeros(small.height, dtype=bool)
        like = like_validation(small, small["split"], self.ocr_text, context)
        return (like | (small["split"].fill_null("") == VAL)).to_numpy()

    @staticmethod
    def _known(small: pl.DataFrame, is_open: Bools, context: StepContext) -> Bools:
        numbers = same_pictures(small, context)
        labelled = np.bincount(numbers[~is_open], minlength=int(numbers.max(initial=-1)) + 1) > 0
        return labelled[numbers] if len(numbers) else is_open


def _with_source(small: pl.DataFrame) -> pl.DataFrame:
    """Blank labels as null, and where each label is from, as far as it is known."""
    text = small["label"].str.strip_chars()
    labelled = small.with_columns(label=pl.when(text.fill_null("") != "").then(pl.col("label")))
    source = pl.when(pl.col("label").is_not_null()).then(pl.lit("given"))
    if SOURCE in small.columns:
        source = pl.when(pl.col("label").is_not_null()).then(pl.coalesce(SOURCE, pl.lit("given")))
    return labelled.with_columns(source.alias(SOURCE))


def _is_general(small: pl.DataFrame) -> pl.Series:
    if "set" not in small.columns:
        return pl.Series([False] * small.height, dtype=pl.Boolean)
    return small["set"].fill_null("") == GENERAL
