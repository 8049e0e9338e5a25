"""Records as reviewers decided: relabelled, dropped or left, by the file that `datakit review` writes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

import polars as pl

from datakit.artifacts.overrides import Override, OverrideLine, read_overrides
from datakit.core import blocks
from datakit.core.errors import UserError, did_you_mean
from datakit.core.judged import canonical, judged
from datakit.core.outcome import Table
from datakit.core.step_account import StepAccount
from datakit.core.step_context import StepContext
from datakit.core.transform import Columns, Renderer, TableTransform
from datakit.curate._decisions import Outcome, decided

DROPPED = "dropped_by_review"
_NAMED = 1000
"""Decisions that the report names; all are counted."""
_SHOWN = 200
"""Decisions that the card lists."""
_FAULTS = {
    "changed": "the record has changed since it was reviewed: review it again",
    "disagree": "reviewers decided differently: one of them must decide again",
    "no_record": "no record of this id comes to the step: it was removed or rejected, or this is the review "
    "of another build",
    "unknown_label": "the new label is not in the label file",
}


class Overrides(TableTransform):
    """Labels as reviewers decided, columns `label_by` and `label_change`, and without what they dropped.

    `path` holds a decision a line, as `datakit review` writes them. One is applied to the record of its id
    when the record is still what the reviewer saw: its label (in the label file's spelling), its pictures
    by content and its `text`. Of one reviewer's decisions about the same thing the last holds; a record that
    was relabelled and reviewed again in a later build has its decisions applied one after the other.

    Decisions that are not applied are counted and named in the report, on the card and in the verdict
    (`override_not_applied`): about a record that has changed since, or that does not come to this step; of
    reviewers who disagree, of whom none is followed; with a label that the label file does not have.

    `label_by` is who changed the label, null where nobody did; `label_change` says from what to what, when
    and why. Put the step behind guard.label and before whatever uses labels. Reason of rejection:
    dropped_by_review, which does not count against `run.max_reject_rate`.
    """

    of_one_task: ClassVar[bool] = True
    example: ClassVar[dict[str, Any] | None] = {"path": "../examples/ecom/overrides.jsonl"}

    path: str
    """File of decisions (overrides.jsonl), from the recipe's folder."""

    def inputs(self, context: StepContext) -> tuple[str, ...]:
        return ("id", "images", "label", "text")

    def outputs(self, context: StepContext) -> Columns:
        return {"label": pl.String(), "label_by": pl.String(), "label_change": pl.String()}

    def files(self, context: StepContext) -> list[Path]:
        return [context.path(self.path)]

    def apply(self, frame: pl.LazyFrame, context: StepContext) -> Table:
        _check_place(self, context)
        place = context.path(self.path)
        lines = read_overrides(context.read_text(self.path), str(place))
        work = _Work(context)
        work.take(frame, work.known_labels(lines))
        changes = pl.DataFrame(work.changes, schema=_CHANGES, orient="row")
        joined = frame.drop("label_by", "label_change", strict=False).join(
            changes.lazy(), on="id", how="left", maintain_order="left"
        )
        labelled = joined.with_columns(
            label=pl.when(pl.col("label_change").is_null()).then("label").otherwise("@new")
        ).drop("@new")
        dropped = pl.DataFrame(work.dropped, schema=_DROPPED, orient="row")
        kept = labelled.join(dropped.lazy(), on="id", how="anti", maintain_order="left")
        return Table(kept, dropped.lazy(), notes=work.notes(self.path, lines))

    def card_sections(self, account: StepAccount) -> Sequence[blocks.Section]:
        notes = account.notes
        return [blocks.Section("Decisions of reviewers", _card_blocks(notes))] if notes.get("lines") else []


_CHANGES = {"id": pl.String(), "@new": pl.String(), "label_by": pl.String(), "label_change": pl.String()}
_DROPPED = {"id": pl.String(), "reason": pl.String(), "detail": pl.String()}


@dataclass
class _Work:
    """The decisions of a file met with the records of a step."""

    context: StepContext
    changes: list[tuple[str, str | None, str, str]] = field(default_factory=list)
    dropped: list[tuple[str, str, str]] = field(default_factory=list)
    applied: list[OverrideLine] = field(default_factory=list)
    superseded: int = 0
    faults: list[tuple[str, OverrideLine, str]] = field(default_factory=list)
    """Word, decision, and what else there is to say."""

    def known_labels(self, lines: Sequence[OverrideLine]) -> dict[str, list[OverrideLine]]:
        """The decisions by record, new labels in the label file's spelling; others are faults."""
        by_id: dict[str, list[OverrideLine]] = {}
        for line in lines:
            override, labels = line.override, self.context.labels
            new = override.new if override.action == "relabel" else None
            if new is not None and labels is not None:
                known = labels.find(new)
                if known is None:
                    self.faults.append(("unknown_label", line, labels.suggest(new)))
                    continue
                new = known.name
            same = line.model_copy(update={"override": override.model_copy(update={"new": new})})
            by_id.setdefault(override.id, []).append(same)
        return by_id

    def take(self, frame: pl.LazyFrame, by_id: dict[str, list[OverrideLine]]) -> None:
        """Meets the decisions with the records that they name."""
        wanted = pl.col("id").is_in(list(by_id))
        rows = frame.filter(wanted).select("id", "images", "label", "text").collect().rows(named=True)
        for row in rows:
            self._record(row, by_id[row["id"]])
        missing = by_id.keys() - {row["id"] for row in rows}
        ids = frame.select("id").collect()["id"].to_list() if len(missing) < 100 and missing else []
        for id_ in sorted(missing):
            self.faults += [("no_record", line, did_you_mean(id_, ids)) for line in by_id[id_]]

    def _record(self, row: Mapping[str, Any], lines: Sequence[OverrideLine]) -> None:
        pictures = [self.context.files.sha256(path) for path in row["images"] or ()]
        label = canonical(row["label"], self.context.labels)
        outcome = decided(lines, label, lambda name: judged(name, pictures, [row["text"]]))
        self.faults += [("changed", line, "") for line in outcome.stale]
        self.faults += [("disagree", line, _others(line, outcome)) for line in outcome.conflict]
        self.superseded += len(outcome.superseded)
        self.applied += outcome.applied
        if outcome.is_dropped:
            drops = [line.override for line in outcome.applied if line.override.action == "drop"]
            self.dropped.append((row["id"], DROPPED, "; ".join(_signed(drop) for drop in drops)))
        elif outcome.label != label:
            last = [line.override for line in outcome.applied if line.override.new == outcome.label][-1]
            words = f"{label or 'no label'} → {outcome.label}; {_signed(last)}"
            self.changes.append((row["id"], outcome.label, last.who or "unnamed", words))

    def notes(self, path: str, lines: Sequence[OverrideLine]) -> dict[str, Any]:
        """Facts for report and card."""
        actions = Counter(line.override.action for line in self.applied)
        self.applied.sort(key=lambda line: line.number)
        self.faults.sort(key=lambda fault: fault[1].number)
        notes: dict[str, Any] = {
            "file": path,
            "lines": len(lines),
            "relabelled": len(self.changes),
            "dropped": len(self.dropped),
            "accepted": actions["accept"],
            "superseded": self.superseded,
            "not_applied": dict(Counter(word for word, _, _ in self.faults)),
            "decisions": [_told(line) for line in self.applied if line.override.action != "accept"][:_NAMED],
            "faults": [
                {"why": word, "hint": hint, **_told(line)} for word, line, hint in self.faults[:_NAMED]
            ],
        }
        if lines and len([word for word, _, _ in self.faults if word == "no_record"]) == len(lines):
            builds = sorted({line.override.build for line in lines if line.override.build})
            of = f" ({', '.join(builds)})" if builds else ""
            notes["warnings"] = [f"no decision of {path} names a record here: is it of another build{of}?"]
        return notes


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


def _others(line: OverrideLine, outcome: Outcome) -> str:
    """The decisions that one stands against."""
    against = [other.override for other in outcome.conflict if other.override.who != line.override.who]
    return "against " + ", ".join(f"{other.who or 'unnamed'}: {_what(other)}" for other in against)


def _what(override: Override) -> str:
    return f"relabel to {override.new}" if override.action == "relabel" else override.action


def _signed(override: Override) -> str:
    """Who decided, when and why."""
    when = f", {override.when:%Y-%m-%d %H:%M} UTC" if override.when else ""
    return f"{override.who or 'unnamed'}{when}" + (f": {override.why}" if override.why else "")


def _told(line: OverrideLine) -> dict[str, Any]:
    """A decision for report and card."""
    override = line.override
    return {
        "line": line.number,
        "id": override.id,
        "what": _what(override),
        "old": override.old,
        "by": _signed(override),
    }


def _card_blocks(notes: Mapping[str, Any]) -> list[blocks.Block]:
    not_applied = sum(notes["not_applied"].values())
    told: list[blocks.Block] = [
        blocks.Text(
            f"{notes['file']} holds {notes['lines']:,} decisions: {notes['relabelled']:,} records were "
            f"relabelled, {notes['dropped']:,} dropped, {notes['accepted']:,} accepted as they were; "
            f"{notes['superseded']:,} were replaced by a later one of the same reviewer and "
            f"{not_applied:,} were not applied."
        )
    ]
    if notes["decisions"]:
        rows = [[row["id"], row["old"], row["what"], row["by"]] for row in notes["decisions"][:_SHOWN]]
        told.append(blocks.Table(["record", "label", "decision", "by, when, why"], rows))
    if notes["faults"]:
        told.append(blocks.Text("Not applied:"))
        rows = [
            [row["line"], row["id"], row["what"], row["by"], f"{_FAULTS[row['why']]}. {row['hint']}".strip()]
            for row in notes["faults"][:_SHOWN]
        ]
        told.append(blocks.Table(["line", "record", "decision", "by, when, why", "why not"], rows))
    return told
