"""Answers that are less than a record's whole result: one of several samples, a verdict, a rewriting."""

from __future__ import annotations

from dataclasses import dataclass

from datakit.artifacts.report import StepReport
from datakit.core.outcome import Done, Outcome, Rejected
from datakit.run.leases import Leases
from datakit.run.proven_results import ProvenResults
from datakit.run.result_store import ResultStore

PART = "/part"
"""Behind the step's name in the store, of parts."""
UNREAD = "/unread"
"""The same of answers that could not be read."""


@dataclass(frozen=True)
class StoredParts:
    """Parts in the result store that cost nobody anything, such as what a table step reckoned once."""

    store: ResultStore
    step: str

    @property
    def turns(self) -> Leases:
        return self.store.leases

    def get(self, key: bytes) -> Done | Rejected | None:
        stored = self.store.get_many([key]).get(key)
        return stored.outcome if stored is not None else None

    def put(self, key: bytes, outcome: Done | Rejected) -> None:
        self.store.put(key, self.step + PART, outcome)

    def answers_to(self, question: bytes) -> list[Done | Rejected]:
        return self.store.answers_to(question)

    def keep_unread(self, key: bytes, answer: Done) -> None:
        self.store.put(key, self.step + UNREAD, answer)


@dataclass(frozen=True)
class PaidParts(StoredParts):
    """Parts that were paid for: each is in the step's report the moment it arrives."""

    report: StepReport
    results: ProvenResults
    """What the step writes to the store."""

    def put(self, key: bytes, outcome: Done | Rejected) -> None:
        self.results.put(key, self.step + PART, outcome)
        account(self.report, outcome)


def account(report: StepReport, outcome: Outcome) -> None:
    """Counts one piece of work and what it used up."""
    report.calls += 1
    if not outcome.meta:  # work on this machine, of which there are millions
        return
    report.tokens_in += int(outcome.meta.get("tokens_in") or 0)
    report.tokens_out += int(outcome.meta.get("tokens_out") or 0)
    report.tokens_cached += int(outcome.meta.get("tokens_cached") or 0)
    report.cost_usd += float(outcome.meta.get("cost_usd") or 0.0)
