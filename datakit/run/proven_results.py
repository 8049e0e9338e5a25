"""Results on their way to the store: a model's refusals wait there until it has answered another record."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from datakit.core.errors import StopProvider
from datakit.core.outcome import REFUSAL, Done, Rejected, is_bought
from datakit.llm.second_tries import FIRST
from datakit.run.result_store import ResultStore
from datakit.run.store_entry import Key


@dataclass
class ProvenResults:
    """The store as one step of a run writes it.

    A model that refuses whatever it is asked (a filter that dislikes the template) says nothing about a
    record: such a run ends, and its refusals are not stored.
    """

    store: ResultStore
    _held: list[tuple[Key, str, Done | Rejected]] = field(default_factory=list)
    _is_proven: bool = False

    def put(self, key: Key, step: str, outcome: Done | Rejected) -> None:
        """Stores a result, at once where an answer has come. One that another build has paid for meanwhile
        stays, with what it had cost."""
        self.put_many([(key, step, outcome)])

    def put_many(self, results: Sequence[tuple[Key, str, Done | Rejected]]) -> None:
        """The same of several: what was bought one by one, the rest together."""
        free = []
        for key, step, outcome in results:
            if REFUSAL in outcome.meta and not self._is_proven:
                self._held.append((key, step, outcome))
                continue
            if isinstance(outcome, Done) and not self._is_proven:
                self._is_proven = True
                self.settle()
            if not is_bought(outcome):
                free.append((key, step, outcome))
            elif outcome.meta.get("requests") != 0 or not self.store.known([key]):
                self.store.put(key, step, outcome)
        if free:
            self.store.put_many(free)

    def settle(self) -> None:
        """Stores what waits: the step has ended, and too few were refused to show anything else.

        Raises StopProvider where they were as many as end a run that has more to ask.
        """
        refusals = [outcome for _, _, outcome in self._held if isinstance(outcome, Rejected)]
        if not self._is_proven and len(refusals) >= FIRST and len({one.reason for one in refusals}) == 1:
            raise StopProvider(
                f"none of {len(refusals)} answers can be used. {refusals[0].detail}",
                "Mend what these words name, then run the same command again.",
            )
        for key, step, outcome in self._held:
            self.store.put(key, step, outcome)
        self._held = []

    def drop(self) -> list[tuple[Key, Rejected]]:
        """The refusals that wait, which are not stored: the endpoint has taken no question at all."""
        held, self._held = self._held, []
        return [(key, outcome) for key, _, outcome in held if isinstance(outcome, Rejected)]
