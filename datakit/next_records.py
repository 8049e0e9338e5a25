"""Which records without a label a person should label next, out of a build, its recipe and stored results."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import polars as pl

from datakit.artifacts import predictions
from datakit.artifacts.build_folder import BuildFolder
from datakit.artifacts.checked_predictions import Checked, once
from datakit.artifacts.odd_overrides import shown_ids
from datakit.artifacts.predictions import NOT_ANSWERED, Prediction
from datakit.artifacts.tasks import of_task
from datakit.core.chat_columns import chat_columns
from datakit.core.counted import counted
from datakit.core.errors import UserError, did_you_mean
from datakit.core.factored_chats import CHATS
from datakit.core.files import FileDigests
from datakit.core.groups import shared_values
from datakit.core.judged import canonical
from datakit.core.labels import LabelSet
from datakit.core.record import GENERAL
from datakit.core.step_context import StepContext
from datakit.core.visible import visible
from datakit.curate._belonging import PSEUDO, SOURCE
from datakit.next_voices import Voices, model_words
from datakit.opened_build import recipe_of
from datakit.proxy import ProxyData
from datakit.proxy.worth import MOST, Pick, most_worth
from datakit.recipe.recipe import Recipe
from datakit.reviewing.answered import Answers
from datakit.reviewing.proposed import DISAGREE, STANDS_FOR, UNCERTAIN, UNLIKE, Proposal, shown
from datakit.reviewing.records import PageRecords
from datakit.reviewing.words import language_of_names
from datakit.run import manifest
from datakit.run.store_place import StorePlace
from datakit.run.unlabelled import BeforePrompts, before_prompts

_GROUPS = ("duplicate_of", "shares_picture_with")
_CLOSE = 0.25
"""Lead of the likeliest label over the next one under which a record counts as uncertain."""
_UNLIKE = 0.15
"""Likeness of the nearest labelled record under which a record is unlike all of them. Of drawn screens nine
in ten pairs of two classes are less alike than 0.12, half of those of one layout more than 0.24."""
_FEWEST = 3
"""Records that one stands for at the least, to be said to."""
_NAMED = 5

TABLE: dict[str, Any] = {
    "id": pl.String,
    "judged": pl.String,
    "why": pl.List(pl.String),
    "label": pl.String,
    "probability": pl.Float64,
    "other_label": pl.String,
    "other_probability": pl.Float64,
    "worth": pl.Float64,
    "alike": pl.Int64,
    "likeness": pl.Float64,
    "said": pl.List(pl.Struct({"by": pl.String, "label": pl.String})),
}


@dataclass(frozen=True)
class NextRecords:
    """What should be labelled next."""

    build: BuildFolder
    """Of a build of several tasks the folder of the one asked for."""
    proposals: tuple[Proposal, ...]
    """The one most worth a label first."""
    unlabelled: int
    """Records without a label, those proposed among them."""
    labelled: int
    notes: tuple[str, ...]
    """What limits the choice, and what will keep decisions from having an effect."""
    records: pl.DataFrame = field(repr=False)
    """All that have no label, as they come to the prompts."""
    labels: tuple[str, ...] = ()
    """Of the label file, else those that are given."""
    answers: Answers = field(default_factory=Answers)

    def page(self) -> PageRecords:
        """The proposed records for a review."""
        frame = shown(self.records, self.proposals, language_of_names(self.labels))
        return PageRecords(self.build, frame, self.answers, self.labels)

    def table(self) -> pl.DataFrame:
        """The proposals as rows, with the digest of what a decision about each is about."""
        judged = self.page().judged_by_id
        rows = [one.row() | {"judged": judged[one.id]} for one in self.proposals]
        return pl.DataFrame(rows, schema=TABLE)


def next_records(
    build: BuildFolder, count: int = 50, *, predicted: Sequence[Path] = (), task: str | None = None
) -> NextRecords:
    """The records without a label that are worth a person's time, the most worth first.

    The recipe's steps are gone through with the stored results, up to the first that wants a label, so that
    decisions made since the build count; nothing is paid. `predicted` are files of a model's predictions
    (predictions.jsonl), a voice beside the proxy; an earlier file goes before a later one.

    Raises UserError where the recipe is gone, and where no record is without a label.
    """
    own = of_task(build, task)
    recipe = recipe_of(own)
    if recipe is None:
        raise UserError(
            f"the recipe of {(own.whole or own).path} is gone, or does not check: what it left without a "
            "label stands in its sources",
            remedy="Put the recipe back, or check it with `datakit plan`, and build again.",
        )
    name = own.path.name if own.whole is not None else ""
    store = StorePlace.of(recipe.run, recipe.project).open()
    try:
        context = replace(recipe.context(), files=FileDigests(store))
        before = before_prompts(recipe, context, store, name)
        is_current = manifest.is_current(own.whole or own, recipe, context, None)
    finally:
        store.close()
    notes = [] if is_current else [_changed(own)]
    return _proposed(_Work(own, recipe, context.in_task(name), before), count, predicted, notes)


def _changed(build: BuildFolder) -> str:
    return (
        f"{(build.whole or build).path.name} is not what its recipe and files would make now (decisions made "
        "since are among these): records and labels are as they are now"
    )


@dataclass(frozen=True)
class _Work:
    """What is chosen from, and by what."""

    build: BuildFolder
    recipe: Recipe
    context: StepContext
    """Of the task that is asked for."""
    before: BeforePrompts

    @property
    def labels(self) -> LabelSet | None:
        return self.context.labels or self.build.labels


def _proposed(work: _Work, count: int, predicted: Sequence[Path], notes: list[str]) -> NextRecords:
    known, others = _parted(work)
    answers = _answers(others["id"].to_list(), predicted, work.build)
    labels = [canonical(label.strip(), work.labels) or label for label in known["label"]]
    every = _data(pl.concat([known, others]), work)
    data = every.take(range(known.height)), every.take(range(known.height, len(every)))
    voices = Voices.of(*data, labels, model_words(others, answers, work.labels), work.context.seed)
    picks = most_worth(*data, voices.beliefs(labels), count, work.context.seed)
    ids = others["id"].to_list()
    proposals = tuple(_proposal(ids[pick.row], pick, voices) for pick in picks)
    names = work.labels.names if work.labels else sorted(set(labels))
    notes += [*answers.notes, *_limits(work, data, labels, count, len(picks)), *_effects(work)]
    return NextRecords(
        build=work.build,
        proposals=proposals,
        unlabelled=others.height,
        labelled=known.height,
        notes=tuple(notes),
        records=others,
        labels=tuple(names),
        answers=answers,
    )


def _parted(work: _Work) -> tuple[pl.DataFrame, pl.DataFrame]:
    """The records that somebody labelled, and those that nobody did; sorted by id."""
    records = work.before.records
    if records.schema.get("label") != pl.String():
        raise UserError(
            f"the records of {work.build.path} have no `label` that is one text",
            remedy="Only records of which each has one label can be proposed.",
        )
    if "set" in records.columns:
        records = records.filter(pl.col("set").fill_null("") != GENERAL)
    is_open = pl.col("label").str.strip_chars().fill_null("") == ""
    if SOURCE in records.columns:
        is_open = is_open | (pl.col(SOURCE).fill_null("") == PSEUDO)
    parted = records.sort("id").with_columns(is_open.alias("@open"))
    known = parted.filter(~pl.col("@open")).drop("@open")
    others = parted.filter(pl.col("@open")).drop("@open")
    if CHATS in others.columns:
        others = others.filter(pl.col(CHATS).is_null())  # a chat of its own needs no label
    if others.is_empty():
        raise _none_open(work)
    return known, others


def _none_open(work: _Work) -> UserError:
    rejected = work.before.rejected.get("label_missing", 0)
    what = f"every record of {work.build.path} has a label: there is none to propose"
    if rejected:
        return UserError(
            f"{what}. guard.label rejects {counted(rejected, 'record')} without one",
            remedy="Let them pass: `- guard.label: {allow_missing: true}`.",
        )
    return UserError(
        what,
        remedy="Add a reader of records without a label to the recipe, such as "
        "`- read.jsonl: {path: unlabelled.jsonl, image: image, label: null}`, and let guard.label pass them: "
        "`{allow_missing: true}`.",
    )


def _data(records: pl.DataFrame, work: _Work) -> ProxyData:
    """The records as the proxy reads them."""
    from datakit.proxy.pictures import looked_at

    columns = _text_columns(records, work)
    joined = pl.concat_str(columns, separator="\n", ignore_nulls=True) if columns else pl.lit("")
    texts = records.select(text=joined)["text"] if columns else pl.Series([""] * records.height)
    images = [paths or [] for paths in records["images"].to_list()]
    looks = looked_at(images, work.context.run.image_memory_mb).features if any(images) else None
    groups = shared_values(records, [name for name in _GROUPS if name in records.columns])
    return ProxyData(texts.fill_null("").to_list(), looks, [str(number) for number in groups])


def _text_columns(records: pl.DataFrame, work: _Work) -> list[str]:
    """Columns of what OCR read, and of what else the prompt asks about."""
    steps = [step for step in work.recipe.steps if step.name == "annotate.ocr"]
    read = [f"{step.transform.model_dump()['into']}_text" for step in steps]
    names = dict.fromkeys([*read, "text", *chat_columns(work.context).question_names])
    return [name for name in names if name != "label" and records.schema.get(name) == pl.String()]


def _answers(ids: Sequence[str], files: Sequence[Path], build: BuildFolder) -> Answers:
    """What files of predictions say of records without a label."""
    known, by_id, notes = set(ids), dict[str, Prediction](), list[str]()
    for path in files:
        own = [one for one in predictions.read(path) if one.problem != NOT_ANSWERED]
        checked = Checked()
        fitting = {one.id: one for one in once(own, build.labels, checked) if one.id in known}
        if not fitting:
            hint = did_you_mean(own[0].id, ids) if own else "It holds no answer."
            raise UserError(
                f"no answer of {path} is about a record without a label",
                remedy=f"Ask a model about those: `datakit predict`. {hint}".strip(),
            )
        name = visible(build.place(str(path.absolute())))
        words = (
            f"{name} says something of {len(fitting):,} of {counted(len(known), 'record')} without a label"
        )
        strange = len({one.id for one in own} - known)
        notes.append(words + (f"; {strange:,} others are left out" if strange else ""))
        if two := [id_ for id_ in checked.contradicted if id_ in known]:
            told = f"{counted(len(two), 'record')} two different things: none of them is heard"
            notes.append(f"{name} says of {told} ({shown_ids(two)})")
        by_id = fitting | by_id
    return Answers(by_id, tuple(notes))


def _proposal(id_: str, pick: Pick, voices: Voices) -> Proposal:
    said = voices.labels(pick.row)
    sure = sorted(voices.both[pick.row], reverse=True) if said else []
    why = [
        word
        for word, holds in (
            (DISAGREE, len(set(said.values())) > 1),
            (UNCERTAIN, len(sure) > 1 and sure[0] - sure[1] < _CLOSE),
            (UNLIKE, pick.likeness < _UNLIKE),
            (STANDS_FOR, pick.alike >= _FEWEST),
        )
        if holds
    ]
    if not why:
        why = [STANDS_FOR if pick.alike else UNCERTAIN if len(sure) > 1 else UNLIKE]
    return Proposal(
        id=id_,
        why=tuple(why),
        worth=pick.worth,
        alike=pick.alike,
        likeness=pick.likeness,
        probabilities=dict(zip(voices.classes, map(float, voices.both[pick.row]), strict=True))
        if said
        else {},
        said=said,
    )


def _limits(
    work: _Work, data: tuple[ProxyData, ProxyData], labels: Sequence[str], count: int, picked: int
) -> list[str]:
    """What the choice lacks."""
    known, others = data
    told = []
    if work.labels is not None and (absent := sorted(set(work.labels.names) - set(labels))):
        names = ", ".join(absent[:_NAMED]) + (
            f" and {len(absent) - _NAMED:,} more" if absent[_NAMED:] else ""
        )
        told.append(
            f"{len(absent):,} of {counted(len(work.labels.names), 'label')} "
            f"{'has' if len(absent) == 1 else 'have'} no labelled record, and so no prediction: {names}"
        )
    free = [group for group in others.groups if group not in set(known.groups)]
    if len(free) < len(others):
        told.append(
            f"{len(others) - len(free):,} of {counted(len(others), 'record')} without a label look the same "
            "as one that has a label (curate.duplicates), and are not proposed"
        )
    if len(free) > MOST:
        told.append(f"{MOST:,} of {len(free):,} records without a label, drawn by the seed, are compared")
    if picked < count:
        told.append(f"{counted(picked, 'record')} can be proposed, not {count:,}")
    waiting = sum(id_ in work.before.waiting for id_ in work.before.records["id"])
    if waiting:
        told.append(
            f"{counted(waiting, 'record')} {'waits' if waiting == 1 else 'wait'} for results that are not "
            "in the store, such as what OCR reads: build the recipe, and propose again"
        )
    return told


def _effects(work: _Work) -> list[str]:
    """Where decisions go into validation."""
    steps = [step.name for step in work.recipe.steps]
    if "curate.overrides" not in steps or "curate.split" not in steps:
        return []
    if steps.index("curate.overrides") > steps.index("curate.split"):
        return []
    return [
        "curate.overrides stands before curate.split, which deals some of the records that are labelled now "
        "into validation: chosen ones, harder than what comes. Put it behind curate.split to keep validation "
        "as it is"
    ]
