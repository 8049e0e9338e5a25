"""annotate.predict: what a model, or the proxy, takes each record's label to be."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, ClassVar, Self

import numpy as np
import orjson
import polars as pl
from pydantic import Field, field_validator, model_validator

from datakit.annotate._served import ServedPredictions, columns_of
from datakit.core.groups import shared_values
from datakit.core.judged import canonical
from datakit.core.outcome import Table
from datakit.core.record import GENERAL, VAL, digest
from datakit.core.settings import open_address
from datakit.core.step_context import StepContext
from datakit.core.transform import Columns, TableTransform, Transform
from datakit.proxy import ProxyData, fit
from datakit.proxy.data import Floats, Rows
from datakit.proxy.lines import LineVoice
from datakit.proxy.looks import Looks
from datakit.proxy.pool import pool_weights, pooled

_GROUPS = ("duplicate_of", "shares_picture_with")
_LEAST = 1e-4
"""Probabilities below stand for nothing and are left out of the JSON."""


class Predict(TableTransform):
    """Column `prediction` with the label that the proxy, or a served model, takes a record to have.

    Beside it stand `prediction_probability` (0 to 1), `prediction_probabilities`, `prediction_by` and
    `prediction_evidence`.

    Without `from_build` the proxy predicts, a small classifier of OCR text and pictures on this machine
    (datakit.proxy). It learns from the labelled records of the training part (all, where curate.split has not
    stood before). These get what the *other* folds make of them, so that a label never predicts itself;
    near-duplicates share a fold. Records without a label, and those of validation, get what all labelled
    records make of them. One with neither text nor picture gets the classes' shares among labelled records
    without. General records (mix.general) get null.

    A screen may show a part of another class's page, whose lines speak for the wrong class. So a second voice
    reads the text line by line and reckons with a stretch of another class (datakit.proxy.stretches), and a
    third one looks at the picture, by how many strips of each kind it has (datakit.proxy.pictures), and a
    fourth reads these from top to bottom as the second one reads lines. The probability is a weighted
    product of the voices, the weights those with which labelled records, out of fold, fit best
    (datakit.proxy.pool); the geometric mean of the first two where there is no picture.
    `prediction_evidence` holds eight numbers that say how sure the prediction is: the logarithm of its
    probability over the next one's, by all together, by the text, by the lines, by the picture and by its
    strips; and of single lines, the lead of the class, what they say for it alone, and what for another
    (datakit.proxy.lines).

    With `from_build` and `base_url` a served model is asked, exactly as its training asked: prompt, answer
    form, pixels and label file are those of the build, and probabilities come from the log-probabilities of
    the answer, restricted to the label set. Records that the model was trained on, by id or by the content of
    a picture, are not asked about and get null: it knows them by heart. A step of this recipe that makes a
    column of the prompt otherwise than the build did is an error. Answers go through the result store under a
    key of the prompt, the pictures' content, the build's content hash, the model's name and `weights`; calls
    are paced and paid as all others (`run.budget_usd`, `run.concurrency`), and the endpoint is looked for
    before anything is paid.

    `prediction_probabilities` is JSON {label: probability}, without those below 0.0001. `prediction_by` names
    who predicted, by content: the build's hash, or that of what the proxy learnt. All are null for a record
    without a prediction (an answer that states no label, a picture that is broken, a model's own training
    record), and the probabilities where the server gives none; the evidence of a model is null.

    To be tried again: as in annotate.describe. Nothing is rejected.
    """

    of_one_task: ClassVar[bool] = True
    version: ClassVar[int] = 5
    example: ClassVar[dict[str, Any] | None] = {}

    into: str = Field(default="prediction", pattern=r"^[A-Za-z_]\w*$")
    """Name of the first column; the others begin with it. Another one for a second voice."""
    from_build: str | None = None
    """Folder of the build whose trained model is asked; the proxy predicts without."""
    base_url: str | None = None
    """Address where that model is served, such as http://127.0.0.1:8000/v1."""
    model: str | None = Field(default=None, min_length=1)
    """Served name of the model; what the build's `serve:` calls it when not given."""
    weights: str = ""
    """Any name for the model's weights. Give another one when the build was trained anew: answers of other
    weights stay in the store and are not taken."""
    form: str | None = None
    """One of the answer's forms, such as `label_only`, where the build has several; the first when not
    given."""
    api_key_env: str = "VLLM_API_KEY"
    """Name of the environment variable that holds the server's key; no other key is sent."""
    max_answer_tokens: int | None = Field(default=None, ge=1)
    """Longest answer of each turn; twice its longest trained one when not given."""
    price_in: float = Field(default=0.0, ge=0)
    """USD per million input tokens; 0 for a server of one's own."""
    price_out: float = Field(default=0.0, ge=0)
    """USD per million output tokens."""
    ocr_text: str = "ocr_text"
    """Column of what OCR read, for the proxy, where there is one; `text` is read besides."""
    pictures: bool = True
    """Whether the proxy looks at pictures too."""

    @field_validator("base_url")
    @classmethod
    def _open_address(cls, address: str | None) -> str | None:
        return address if address is None else open_address(address)

    @model_validator(mode="after")
    def _both_or_none(self) -> Self:
        if (self.base_url is None) != (self.from_build is None):
            missing = "base_url" if self.base_url is None else "from_build"
            raise ValueError(
                f"`{missing}` is missing: `from_build` (the build that the model was trained on) and "
                "`base_url` (where it is served) go together; without both the proxy predicts"
            )
        served = {*ServedPredictions.model_fields} - {"into", "from_build", "base_url"}
        proxys = {"ocr_text", "pictures"}
        fields = type(self).model_fields
        given = {name for name in self.model_fields_set if getattr(self, name) != fields[name].default}
        if useless := sorted(given & (served if self.from_build is None else proxys)):
            who = "the proxy" if self.from_build is None else "a served model"
            raise ValueError(f"`{useless[0]}` means nothing to {who}")
        return self

    def resolved(self) -> Transform:
        if self.from_build is None:
            return self
        return ServedPredictions(**self.model_dump(include=set(ServedPredictions.model_fields)))

    def inputs(self, context: StepContext) -> tuple[str, ...]:
        return ("id", "label", "images")

    def optional(self, context: StepContext) -> tuple[str, ...]:
        return (self.ocr_text, "text", "split", "set", *_GROUPS)

    def outputs(self, context: StepContext) -> Columns:
        return columns_of(self.into)

    def apply(self, frame: pl.LazyFrame, context: StepContext) -> Table:
        # Sorted by id, so that nothing below can depend on the order of the records.
        names = [name for name in self.reads(context) if name in frame.collect_schema()]
        small = frame.select(names).sort("id").collect()
        if "set" in small.columns:
            small = small.filter(pl.col("set").fill_null("") != GENERAL)
        predictions, notes = self._predicted(small, context)
        others = frame.drop(columns_of(self.into), strict=False)
        joined = others.join(predictions.lazy(), on="id", how="left", maintain_order="left")
        return Table(joined, notes=notes)

    def _predicted(self, small: pl.DataFrame, context: StepContext) -> tuple[pl.DataFrame, dict[str, Any]]:
        """Id and the new columns of the records that can be predicted, and the figures for the report."""
        given = small["label"].str.strip_chars().fill_null("") != ""
        in_val = small["split"].fill_null("") == VAL if "split" in small.columns else ~given & False
        learnt = np.flatnonzero((given & ~in_val).to_numpy())
        if not len(learnt):
            words = "No record has a label to learn from, so nothing is predicted."
            empty = pl.DataFrame(schema={"id": pl.String(), **columns_of(self.into)})
            return empty, {"warnings": [words]} if small.height else {}
        data, lines = self._data(small, context)
        labels = _spelt(small["label"].gather(learnt), context)
        others = np.setdiff1d(np.arange(small.height), learnt)
        strips = [lines[at] for at in (*learnt, *others)]
        said = _said(data.take(learnt), labels, data.take(others), strips, context.seed)
        by = f"proxy ({len(learnt):,} records, {_content(data.take(learnt), labels)})"
        columns = dict(zip(columns_of(self.into), _columns(said, by), strict=True))
        predictions = pl.DataFrame({"id": small["id"].gather([*learnt, *others]), **columns})
        agreed = sum(one == other for one, other in zip(said.predicted, labels, strict=False))
        notes = {
            "learnt_from": len(learnt),
            "predicted": len(others),
            "out_of_fold_accuracy": round(agreed / len(learnt), 4),
        }
        return predictions, notes

    def _data(self, small: pl.DataFrame, context: StepContext) -> tuple[ProxyData, list[str]]:
        """What the proxy reads, and the pictures as texts."""
        from datakit.proxy.pictures import looked_at

        columns = [name for name in (self.ocr_text, "text") if name in small.columns]
        texts = small.select(pl.concat_str(columns, separator="\n", ignore_nulls=True)) if columns else None
        images = [paths or [] if self.pictures else [] for paths in small["images"].to_list()]
        looked = looked_at(images, context.run.image_memory_mb)
        groups = shared_values(small, [name for name in _GROUPS if name in small.columns])
        data = ProxyData(
            [""] * small.height if texts is None else texts.to_series().fill_null("").to_list(),
            looked.features if self.pictures else None,
            [str(number) for number in groups],
        )
        return data, looked.lines


def _spelt(labels: pl.Series, context: StepContext) -> list[str]:
    """The labels as the label file spells them, so that two spellings are one class."""
    return [str(canonical(label.strip(), context.labels)) for label in labels]


@dataclass(frozen=True)
class _Said:
    """What the proxy says of the labelled records, out of fold, and then of the others."""

    classes: tuple[str, ...]
    probabilities: Floats
    predicted: list[str]
    evidence: Floats


def _said(data: ProxyData, labels: list[str], others: ProxyData, strips: list[str], seed: int) -> _Said:
    """`strips` are the pictures as texts, those of `data` first."""
    fitted = fit(replace(data, pictures=None), labels, seed)
    classes = fitted.classes
    asked = (
        fitted.probabilities(replace(others, pictures=None)) if len(others) else np.zeros((0, len(classes)))
    )
    known = _of_silent(fitted.out_of_fold(), data, labels, classes)
    text = np.concatenate([known, _of_silent(asked, data, labels, classes, others)])
    voice = LineVoice(data, labels, others, seed)
    lines = voice.probabilities(text)
    both = pooled((text, lines), (0.5, 0.5))
    given = np.array([classes.index(label) for label in labels], dtype=np.int64)
    looks, rows = _looks(data, given, others, len(classes))
    by_strip = LineVoice(
        replace(data, texts=strips[: len(data)]), labels, replace(others, texts=strips[len(data) :]), seed
    )
    voices = (text, lines, looks, by_strip.probabilities(np.full(both.shape, 1 / len(classes))))
    learnt = rows[rows < len(data)]
    if len(learnt):
        weights = pool_weights([one[learnt] for one in voices], given[learnt])
        both[rows] = pooled([one[rows] for one in voices], weights)
    best = both.argmax(axis=1)
    leads = [_lead(said, best) for said in (both, *voices)]
    evidence = np.column_stack([*leads, voice.evidence(best)])
    return _Said(classes, both, [classes[at] for at in best], evidence)


def _looks(data: ProxyData, given: Rows, others: ProxyData, classes: int) -> tuple[Floats, Rows]:
    """(n, classes) what the pictures say, nothing where there is none; and the rows that have one."""
    taught = Looks(data, given, classes)
    said = np.full((len(data) + len(others), classes), 1 / classes)
    own, rows = taught.left_out(data.groups)
    asked, more = taught.of(others)
    said[rows], said[len(data) + more] = own, asked
    return said, np.concatenate([rows, len(data) + more])


def _lead(said: Floats, predicted: Rows) -> Floats:
    """(n,) logarithm of the predicted class's probability over the next one's."""
    rows, others = np.arange(len(said)), said.copy()
    others[rows, predicted] = 0.0
    lead: Floats = np.log((said[rows, predicted] + _LEAST) / (others.max(axis=1, initial=0.0) + _LEAST))
    return lead


def _of_silent(
    said: Floats,
    data: ProxyData,
    labels: list[str],
    classes: tuple[str, ...],
    others: ProxyData | None = None,
) -> Floats:
    """The same, where records without text and picture get the classes' shares among such labelled ones.

    Those of `others`; without them the labelled ones themselves, each without its own group.
    """
    asked = data if others is None else others
    silent, of_known = _silent(asked), _silent(data)
    places = {name: at for at, name in enumerate(classes)}
    known = [(places[labels[row]], data.groups[row]) for row in of_known]
    told = said.copy()
    for row in silent:
        shares = np.full(len(classes), 0.1)
        for place, group in known:
            shares[place] += others is not None or group != asked.groups[row]
        told[row] = shares / shares.sum()
    return told


def _silent(data: ProxyData) -> list[int]:
    seen = set[int]()
    if data.pictures is not None:
        seen = set(np.flatnonzero(np.isfinite(data.pictures).all(axis=1)).tolist())
    return [row for row, text in enumerate(data.texts) if row not in seen and not text.strip()]


def _columns(said: _Said, by: str) -> list[pl.Series]:
    """The columns of records that were predicted, in order."""
    told = [
        orjson.dumps(
            {name: round(float(p), 6) for name, p in zip(said.classes, row, strict=True) if p >= _LEAST}
        ).decode()
        for row in said.probabilities
    ]
    return [
        pl.Series(said.predicted, dtype=pl.String),
        pl.Series(said.probabilities.max(axis=1), dtype=pl.Float64),
        pl.Series(told, dtype=pl.String),
        pl.Series([by] * len(told), dtype=pl.String),
        pl.Series(said.evidence.round(6).tolist(), dtype=pl.List(pl.Float64)),
    ]


def _content(data: ProxyData, labels: list[str]) -> str:
    """What the proxy learnt from, as 12 hex digits."""
    looks = None if data.pictures is None else np.nan_to_num(data.pictures, nan=-1.0).tolist()
    return digest([list(data.texts), labels, looks], size=6).hex()
