"""The reasons of all records, label by label, and what is wrong with them; they may be replaced."""

from __future__ import annotations

from collections.abc import Container, Iterable
from typing import Any

import polars as pl

from datakit.core.outcome import Batch, reject_rows
from datakit.core.step_context import StepContext
from datakit.guard._conclusion import Conclusions
from datakit.guard._findings import Findings, ReasonSettings, counted


class Reasons:
    """The worker of guard.reason that marks or rejects records with a fault.

    Its findings follow the texts: a changed text has only its own label compared again.
    Of reasons that are alike the one that was written again less often stands, then the smaller id.
    """

    def __init__(self, guard: ReasonSettings, context: StepContext, frame: pl.LazyFrame) -> None:
        table = frame.select("id", "label", text=guard.column).collect()
        self.guard, self.bounds = guard, guard.bounds(context)
        self.texts: dict[str, str | None] = dict(table.select("id", "text").iter_rows())
        self.rewrites: dict[str, int] = {}
        """How often a reason was written again, where it was."""
        self.labels: dict[str, str | None] = dict(table.select("id", "label").iter_rows())
        self._members: dict[str | None, list[str]] = {}
        for id_, label in self.labels.items():
            self._members.setdefault(label, []).append(id_)
        consistent = guard.consistent and context.labels is not None
        self._conclusions = Conclusions(context.labels) if consistent and context.labels else None
        self._found = {label: self._look(label) for label in self._members}

    def replace(self, texts: dict[str, str]) -> None:
        """Puts new texts in place and compares their labels again."""
        for id_, text in texts.items():
            self.texts[id_] = text
            self.rewrites[id_] = self.rewrites.get(id_, 0) + 1
        for label in {self.labels[id_] for id_ in texts}:
            self._found[label] = self._look(label)

    def shared_fault(self, texts: dict[str, str]) -> str:
        """A fault that all of these texts would have in place of the present ones; "" for none."""
        before = {id_: self.texts[id_] for id_ in texts}
        rewrites, found = dict(self.rewrites), dict(self._found)
        self.replace(texts)
        flags = [set(self.of(id_).flags.get(id_, ())) for id_ in texts]
        self.texts |= before
        self.rewrites, self._found = rewrites, found
        return min(set.intersection(*flags), default="") if flags else ""

    def of(self, id_: str) -> Findings:
        """The findings among which those about a record are."""
        return self._found[self.labels[id_]]

    def flagged(self) -> list[str]:
        """Ids of the records with a fault, in order."""
        return sorted(id_ for findings in self._found.values() for id_ in findings.flags)

    @property
    def notes(self) -> dict[str, Any]:
        """For the report."""
        all_findings = list(self._found.values())
        flagged = sum(len(findings.flags) for findings in all_findings)
        return {"flagged": flagged, "of": len(self.texts), "flags": counted(all_findings)}

    def __call__(self, frame: pl.DataFrame, but: Container[str] = ()) -> Batch:
        """The batch with its faults marked, or without the records that have one; those in `but` stay."""
        return self._marked(frame) if self.guard.marks else self._sifted(frame, but)

    def _marked(self, frame: pl.DataFrame) -> Batch:
        ids, name = frame["id"].to_list(), self.guard.column
        flags = pl.Series([self.of(id_).flags.get(id_, []) for id_ in ids], dtype=pl.List(pl.String()))
        near = pl.Series([self.of(id_).similarity.get(id_) for id_ in ids], dtype=pl.Float64())
        return Batch(frame.with_columns(flags.alias(f"{name}_flags"), near.alias(f"{name}_similarity")))

    def _sifted(self, frame: pl.DataFrame, but: Container[str]) -> Batch:
        bad = pl.Series(
            [id_ in self.of(id_).flags and id_ not in but for id_ in frame["id"]], dtype=pl.Boolean()
        )
        rejects = []
        for row in frame.filter(bad).iter_slices(1):
            (id_,) = row["id"]
            findings = self.of(id_)
            flag = findings.flags[id_][0]
            rejects += reject_rows(row, flag, [findings.detail(id_, flag)])
        return Batch(frame.filter(~bad), rejects)

    def _look(self, label: str | None) -> Findings:
        findings = Findings(self.guard, self.bounds)
        ids = self._ordered(self._members[label])
        texts = [self.texts[id_] for id_ in ids]
        findings.shape(ids, texts)
        if self._conclusions is not None and label:
            findings.contradictions(label, ids, texts, self._conclusions)
        usable = [(id_, text) for id_, text in zip(ids, texts, strict=True) if text and text.strip()]
        findings.compare([id_ for id_, _ in usable], [text for _, text in usable])
        return findings

    def _ordered(self, ids: Iterable[str]) -> list[str]:
        return sorted(ids, key=lambda id_: (self.rewrites.get(id_, 0), id_))
