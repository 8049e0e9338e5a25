"""Records as reviewers decided: relabelled, dropped or left, by the file that `datakit review` writes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from itertools import takewhile
from pathlib import Path
from typing import Any, ClassVar

import polars as pl

from datakit.artifacts.odd_overrides import UNNAMED, oddities
from datakit.artifacts.overrides import Override, OverrideLine, read_overrides
from datakit.core import blocks
from datakit.core.errors import UserError, did_you_mean
from datakit.core.judged import Seen, canonical
from datakit.core.outcome import Table
from datakit.core.step_account import StepAccount
from datakit.core.step_context import StepContext
from datakit.core.suspect_columns import REVIEWED_BY
from datakit.core.transform import Columns, Renderer, TableTransform
from datakit.core.wording import later, t, told
from datakit.curate._belonging import PSEUDO, REVIEWED, SOURCE, gives_source
from datakit.curate._decisions import Outcome, decided
from datakit.curate._moved import now_under

DROPPED = "dropped_by_review"
_READ = ("id", "images", "label", "text")
_NAMED = 1000
"""Decisions that the report names; all are counted."""
_SHOWN = 200
"""Decisions that the card lists."""
_FAULTS = {
    "changed": later("the record has changed since it was reviewed: review it again"),
    "disagree": later("reviewers decided differently: one of them must decide again"),
    "no_record": later(
        "no record of this id comes to the step: it was removed or rejected, `--limit` left it out, or this "
        "is the review of another build"
    ),
    "unknown_label": later("the new label is not in the label file"),
}


class Overrides(TableTransform):
    """Labels as reviewers decided, columns `label_by` and `label_change`, and without what they dropped.

    `path` holds a decision a line, as `datakit review` writes them. One is applied to the record of its id
    when the record is still what the reviewer saw: its label (in the label file's spelling), its pictures by
    content, its `text`, the chat that it brings, and each of the source's own columns, such as a title, that
    prompts and answers of the reviewed build used and those of this one use. Of one reviewer's decisions
    about the same thing the last holds; a record that was relabelled and reviewed again in a later build has
    its decisions applied one after the other, whoever made them: the latest by `when` holds. Of decisions
    with one time (or none, which come before all others) those about what the record is come first, in
    whatever lines they stand: they go on from each other, and two about the same thing that differ are a
    disagreement.

    Decisions that are not applied are counted and named in the report, on the card and in the verdict
    (`override_not_applied`): about a record that has changed since, or that does not come to this step; of
    reviewers who disagree, of whom none is followed; with a label that the label file does not have. Warned
    of are decisions whose time says no zone (they are read as UTC) or lies in the future, those without a
    name, which count as one person's, and those that stand there more than once.

    A decision about a label that curate.pseudo_labels gave is applied to the record as it is without one: put
    the step before annotate.predict, and it holds whatever the model predicts now. The label is then that of
    the reviewer (`label_source` "reviewed"), also where the prediction was accepted, and the record is split,
    taught and ranked like any other. Behind curate.pseudo_labels the same holds for the records that it kept.

    Several steps may share a file: each of several tasks meets the lines of its own records, and a line that
    no task has a record of is told once. A line that an earlier step of the recipe has met, of this file or
    another, is passed over.

    `label_by` is who changed the label, null where nobody did; `label_change` says from what to what, when
    and why; `label_reviewed_by` is who gave or accepted it as it is: curate.label_noise and curate.suspects
    list it no more. Put the step behind guard.label and before whatever uses labels. Reason of rejection:
    dropped_by_review, which does not count against `run.max_reject_rate`.
    """

    version: ClassVar[int] = 5
    of_one_task: ClassVar[bool] = True
    example: ClassVar[dict[str, Any] | None] = {"path": "../examples/ecom/overrides.jsonl"}

    path: str
    """File of decisions (overrides.jsonl), from the recipe's folder."""

    def inputs(self, context: StepContext) -> tuple[str, ...]:
        return _READ

    def optional(self, context: StepContext) -> tuple[str, ...]:
        return (SOURCE,)

    def outputs(self, context: StepContext) -> Columns:
        names = ("label", "label_by", "label_change", REVIEWED_BY)
        return dict.fromkeys((*names, SOURCE) if self._has_predictions(context) else names, pl.String())

    def files(self, context: StepContext) -> list[Path]:
        return list(dict.fromkeys(context.path(path) for path in (self.path, *self._earlier(context))))

    def _has_predictions(self, context: StepContext) -> bool:
        """Whether labels of the recipe are predictions."""
        return gives_source([step for step in context.steps if not isinstance(step, Overrides)], context)

    def _earlier(self, context: StepContext) -> list[str]:
        """The files that steps before this one apply."""
        before = takewhile(lambda step: step is not self, context.steps)
        found = [step.path for step in before if isinstance(step, Overrides)]
        return found if any(step is self for step in context.steps) else []

    def _other_tasks(self, context: StepContext) -> list[str]:
        """The other tasks whose decisions stand in the same file."""
        path = context.path(self.path)
        return [
            scope.name
            for scope in context.tasks
            if scope.name != context.task
            and any(isinstance(step, Overrides) and context.path(step.path) == path for step in scope.steps)
        ]

    def apply(self, frame: pl.LazyFrame, context: StepContext) -> Table:
        _check_place(self, context)
        place = context.path(self.path)
        lines = read_overrides(context.read_text(self.path), str(place))
        met = {
            line.override
            for path in self._earlier(context)
            for line in read_overrides(context.read_text(path), str(context.path(path)))
        }
        fresh = [line for line in lines if line.override not in met]
        work = _Work(context, self._has_predictions(context), self._other_tasks(context))
        work.take(frame, fresh)
        labelled = self._labelled(frame, pl.DataFrame(work.reviews, schema=_REVIEWS, orient="row"), context)
        dropped = pl.DataFrame(work.dropped, schema=_DROPPED, orient="row")
        kept = labelled.join(dropped.lazy(), on="id", how="anti", maintain_order="left")
        notes = work.notes(self.path, lines)
        if len(fresh) < len(lines):
            notes["met_before"] = len(lines) - len(fresh)
        return Table(kept, dropped.lazy(), notes=notes)

    def _labelled(self, frame: pl.LazyFrame, reviews: pl.DataFrame, context: StepContext) -> pl.LazyFrame:
        """The records with what was decided of them, beside what an earlier step said."""
        there = frame.collect_schema().names()
        joined = frame.join(reviews.lazy(), on="id", how="left", maintain_order="left")
        is_changed, is_reviewed = (pl.col(f"@{name}").is_not_null() for name in ("label_change", REVIEWED_BY))
        told = {"label": pl.when(is_changed).then("@label").otherwise("label")}
        for name in ("label_by", "label_change", REVIEWED_BY):
            before = pl.col(name) if name in there else pl.lit(None, pl.String())
            told[name] = pl.coalesce(f"@{name}", before)
        if self._has_predictions(context):
            source = pl.col(SOURCE) if SOURCE in there else pl.lit(None, pl.String())
            told[SOURCE] = pl.when(is_changed | is_reviewed).then(pl.lit(REVIEWED)).otherwise(source)
        return joined.with_columns(**told).drop(f"@{name}" for name in _REVIEWED)

    def card_sections(self, account: StepAccount) -> Sequence[blocks.Section]:
        notes = account.notes
        return [blocks.Section(t("Decisions of reviewers"), _card_blocks(notes))]


_REVIEWED = ("label", "label_by", "label_change", REVIEWED_BY)
_REVIEWS = {"id": pl.String(), **{f"@{name}": pl.String() for name in _REVIEWED}}
_DROPPED = {"id": pl.String(), "reason": pl.String(), "detail": pl.String()}


@dataclass
class _Work:
    """The decisions of a file met with the records of a step."""

    context: StepContext
    has_predictions: bool = False
    """Whether a record without a label may have been judged with a predicted one."""
    other_tasks: Sequence[str] = ()
    """The tasks that the file has decisions about too."""
    reviews: list[tuple[str, str | None, str | None, str | None, str | None]] = field(default_factory=list)
    """Id, label, and the columns that say who decided it; nothing of a change where the label stays."""
    dropped: list[tuple[str, str, str]] = field(default_factory=list)
    applied: list[OverrideLine] = field(default_factory=list)
    superseded: int = 0
    predicted: int = 0
    """Decisions that were applied about predicted labels."""
    confirmed: int = 0
    """Decisions to relabel that were applied and leave the label as it is."""
    elsewhere: list[OverrideLine] = field(default_factory=list)
    """Decisions about no record here, which may be one of another task."""
    faults: list[tuple[str, OverrideLine, str]] = field(default_factory=list)
    """Word, decision, and what else there is to say."""

    def take(self, frame: pl.LazyFrame, lines: Sequence[OverrideLine]) -> None:
        """Meets the decisions with the records that they name."""
        by_id: dict[str, list[OverrideLine]] = {}
        for line in lines:
            by_id.setdefault(line.override.id, []).append(line)
        columns = [name for name in (*_READ, SOURCE) if name in frame.collect_schema()]
        rows = frame.filter(pl.col("id").is_in(list(by_id))).select(columns).collect().rows(named=True)
        for row in rows:
            self._record(row, by_id[row["id"]])
        missing = by_id.keys() - {row["id"] for row in rows}
        if self.other_tasks:
            self.elsewhere = [line for id_ in missing for line in by_id[id_]]
            return
        if not missing:
            return
        rows = frame.select([name for name in _READ if name in columns]).collect().to_dicts()
        ids = [row["id"] for row in rows] if len(missing) < 100 else []
        lost = [line for id_ in sorted(missing) for line in by_id[id_]]
        moved = now_under(lost, rows, self.context)
        for line in lost:
            hint = moved.get(line.number) or did_you_mean(line.override.id, ids)
            self.faults.append(("no_record", line, hint))

    def _record(self, row: Mapping[str, Any], lines: Sequence[OverrideLine]) -> None:
        pictures = [self.context.files.sha256(path) for path in row["images"] or ()]
        is_pseudo = row.get(SOURCE) == PSEUDO
        shown = canonical(row["label"], self.context.labels)
        label = None if is_pseudo else shown
        may_be_predicted = is_pseudo or (self.has_predictions and not (label or "").strip())
        brought = self.context.brought_by(row["id"])

        @cache
        def seen(name: str | None) -> Seen:
            return Seen.of(name, pictures, row["text"], brought)

        outcome = decided(
            [_about_now(line, label, seen) for line in self._known(lines, may_be_predicted)],
            label,
            lambda name: seen(name).said,
            predicted=may_be_predicted,
        )
        self.faults += [("changed", line, "") for line in outcome.stale]
        self.faults += [("disagree", line, _others(line, outcome)) for line in outcome.conflict]
        self.superseded += len(outcome.superseded)
        self.applied += outcome.applied
        self.predicted += len(outcome.applied) if may_be_predicted else 0
        if outcome.is_dropped:
            drops = [line.override for line in outcome.applied if line.override.action == "drop"]
            self.dropped.append((row["id"], DROPPED, "; ".join(_signed(drop) for drop in drops)))
        elif outcome.label != label:
            last = [line.override for line in outcome.applied if line.override.new == outcome.label][-1]
            before = f"{shown} (predicted)" if is_pseudo else label or "no label"
            words = f"{before} → {outcome.label}; {_signed(last)}"
            who = last.who or UNNAMED
            self.reviews.append((row["id"], outcome.label, who, words, None if outcome.conflict else who))
        elif outcome.applied and not outcome.conflict:
            self.confirmed += sum(line.override.action == "relabel" for line in outcome.applied)
            who = outcome.applied[-1].override.who or UNNAMED
            self.reviews.append((row["id"], label, None, None, who))

    def _known(self, lines: Sequence[OverrideLine], is_predicted: bool) -> Iterator[OverrideLine]:
        """The decisions with their labels in the label file's spelling; those of other labels are faults."""
        labels = self.context.labels
        for line in lines:
            override = line.override
            new = override.new if override.action == "relabel" else None
            gives = override.old if override.action == "accept" and is_predicted else new
            if labels is not None and gives is not None and labels.find(gives) is None:
                self.faults.append(("unknown_label", line, labels.suggest(gives)))
                continue
            names = {"new": canonical(new, labels), "old": canonical(override.old, labels)}
            yield line.model_copy(update={"override": override.model_copy(update=names)})

    def notes(self, path: str, lines: Sequence[OverrideLine]) -> dict[str, Any]:
        """Facts for report and card."""
        actions = Counter(line.override.action for line in self.applied)
        taken = sum(line.override.action == "accept" and bool(line.override.new) for line in self.applied)
        self.applied.sort(key=lambda line: line.number)
        changes = [line for line in self.applied if _changes(line.override)]
        self.faults.sort(key=lambda fault: fault[1].number)
        notes: dict[str, Any] = {
            "file": path,
            "lines": len(lines),
            "relabelled": sum(changed is not None for *_, changed, _ in self.reviews) - taken,
            "dropped": len(self.dropped),
            "accepted": actions["accept"] + self.confirmed,
            "superseded": self.superseded,
            "not_applied": dict(Counter(word for word, _, _ in self.faults)),
            "decisions": [_told(line) for line in changes[:_NAMED]],
            "faults": [
                {"why": word, "hint": hint, **_told(line)} for word, line, hint in self.faults[:_NAMED]
            ],
        }
        if len(changes) > _NAMED:
            notes["changes"] = len(changes)
        if self.predicted:
            notes["about_predictions"] = self.predicted
        if self.elsewhere:
            notes["elsewhere"] = [{"why": "no_record", "hint": "", **_told(line)} for line in self.elsewhere]
        warnings = oddities(lines, path, self.context.began)
        if lines and len([word for word, _, _ in self.faults if word == "no_record"]) == len(lines):
            builds = sorted({line.override.build for line in lines if line.override.build})
            of = f" ({', '.join(builds)})" if builds else ""
            warnings.insert(0, f"no decision of {path} names a record here: is it of another build{of}?")
        return {**notes, "warnings": warnings} if warnings else notes


def _check_place(step: Overrides, context: StepContext) -> None:
    """Raises UserError behind steps that have used the old label already."""
    before = context.steps[: context.steps.index(step)] if step in context.steps else ()
    if any(other.name() == "balance.resample" for other in before):
        raise UserError(
            "curate.overrides stands behind balance.resample, where repeats of a record keep its old label",
            remedy="Put it before balance.resample.",
        )
    renderer = next((other for other in before if isinstance(other, Renderer)), None)
    if renderer is not None:
        raise UserError(
            f"curate.overrides stands behind {renderer.name()}, whose answers hold the old labels",
            remedy=f"Put it before {renderer.name()}; in a recipe of several tasks, into each `task:` block.",
        )


def _about_now(line: OverrideLine, label: str | None, seen: Callable[[str | None], Seen]) -> OverrideLine:
    """The decision as one about the record with the columns that it has now, where it holds for those."""
    override = line.override
    for name in (label, override.old, override.new):
        if seen(name).is_of(override.judged):
            about = override.model_copy(update={"judged": seen(name).said})
            return line.model_copy(update={"override": about})
    return line


def _others(line: OverrideLine, outcome: Outcome) -> str:
    """The decisions that one stands against."""
    against = [other.override for other in outcome.conflict if other.override.who != line.override.who]
    return "against " + ", ".join(f"{other.who or UNNAMED}: {other.what}" for other in against)


def _changes(override: Override) -> bool:
    """Whether the decision is more than that a label stays; an accepted prediction becomes one."""
    return override.action != "accept" or override.new is not None


def _signed(override: Override) -> str:
    """Who decided, when and why."""
    when = f", {override.when:%Y-%m-%d %H:%M} UTC" if override.when else ""
    return f"{override.who or UNNAMED}{when}" + (f": {override.why}" if override.why else "")


def _told(line: OverrideLine) -> dict[str, Any]:
    """A decision for report and card."""
    override = line.override
    return {
        "line": line.number,
        "id": override.id,
        "what": override.what,
        "old": override.old,
        "by": _signed(override),
    }


def _was(count: int) -> str:
    return "was" if count == 1 else "were"


def _first_only(count: int) -> list[blocks.Block]:
    """That a table of the card holds the first of more."""
    return (
        [blocks.Text(t("The first {shown:,} of {count:,}.", shown=_SHOWN, count=count))]
        if count > _SHOWN
        else []
    )


def _decided(row: Mapping[str, Any]) -> str:
    label = row["what"].removeprefix("relabel to ")
    return t(_DECIDED[label]) if label == row["what"] else t("relabel to {label}", label=label)


def _why_not(fault: Mapping[str, Any]) -> str:
    return f"{t(_FAULTS[fault['why']])}{t('. ')}{told(fault['hint'])}".strip()


_DECIDED = {"accept": later("accept"), "drop": later("drop")}
_COUNTED = ("file", "lines", "relabelled", "dropped", "accepted", "superseded")


def _card_blocks(notes: Mapping[str, Any]) -> list[blocks.Block]:
    if not notes["lines"]:
        return [blocks.Text(t("{file} holds no decision.", file=notes["file"]))]
    not_applied = sum(notes["not_applied"].values())
    told: list[blocks.Block] = [
        blocks.Text(
            t(
                "Decisions in {file}: {lines:,}. Relabelled: {relabelled:,}, dropped: {dropped:,}, accepted "
                "as they were: {accepted:,}; replaced by a later one of the same reviewer: {superseded:,}, "
                "not applied: {not_applied:,}.",
                not_applied=not_applied,
                **{name: notes[name] for name in _COUNTED},
            )
        )
    ]
    if count := notes.get("about_predictions"):
        told.append(blocks.Text(t("About predicted labels: {count:,}.", count=count)))
    if "elsewhere" in notes:
        told.append(blocks.Text(t("About no record of this task: {count:,}.", count=len(notes["elsewhere"]))))
    if "met_before" in notes:
        told.append(blocks.Text(t("Met by an earlier step: {count:,}.", count=notes["met_before"])))
    if notes["decisions"]:
        rows = [[row["id"], row["old"], _decided(row), row["by"]] for row in notes["decisions"][:_SHOWN]]
        told.append(blocks.Table([t("record"), t("label"), t("decision"), t("by, when, why")], rows))
        told += _first_only(notes.get("changes", len(notes["decisions"])))
    if notes["faults"]:
        told.append(blocks.Text(t("Not applied:")))
        rows = [
            [row["line"], row["id"], _decided(row), row["by"], _why_not(row)]
            for row in notes["faults"][:_SHOWN]
        ]
        told.append(
            blocks.Table([t("line"), t("record"), t("decision"), t("by, when, why"), t("why not")], rows)
        )
        told += _first_only(not_applied)
    return told
