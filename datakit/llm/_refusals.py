"""Refusals of one record in words of no known meaning: its own, or a matter of the server."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from datakit.llm._evidence import CONFIRMED, Evidence, likeness
from datakit.llm._faults import Fault

UNKNOWN = "request_refused"


@dataclass
class Refusals:
    """The refusals of one record so far. One is never believed: the record is asked about again."""

    faults: list[Fault] = field(default_factory=list)
    _answers: int = 0
    """That the endpoint had given when it first refused this record."""

    def add(self, fault: Fault, evidence: Evidence) -> None:
        """One more, of the endpoint that shows this evidence."""
        if not self.faults:
            self._answers = evidence.answers
            evidence.refused_in_a_row += 1
        self.faults.append(fault)

    @property
    def is_open(self) -> bool:
        """Whether another try would show more."""
        return len(self.faults) < CONFIRMED and len(set(map(likeness, self.faults))) == 1

    def fate(self, evidence: Evidence) -> Fault:
        """A reject when the words were the same each time and others were answered meanwhile, else a retry.

        Without an answer since, few records refused in a row may be their own; an endpoint that refuses
        whatever comes, as after a change of its settings, shows nothing about a record.
        """
        newest = self.faults[-1]
        few = evidence.has_answered and evidence.refused_in_a_row <= CONFIRMED
        is_same = len(self.faults) >= CONFIRMED and len(set(map(likeness, self.faults))) == 1
        if not is_same or not (evidence.answers > self._answers or few):
            return newest
        words = f"{newest.detail} (so {len(self.faults)} times, while others were answered)"
        return replace(newest, fate="reject", detail=words)
