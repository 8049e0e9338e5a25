"""Results on their way to the store."""

from __future__ import annotations

from pathlib import Path

from datakit.core.outcome import Done
from datakit.run.proven_results import ProvenResults
from datakit.run.store import Store

KEY = b"k" * 16


def test_result_that_another_build_paid_for_keeps_its_cost(tmp_path: Path) -> None:
    store = Store(tmp_path)
    paid, free = {"requests": 1, "cost_usd": 0.5}, {"requests": 0, "cost_usd": 0.0}
    ProvenResults(store).put(KEY, "toy.work", Done("text", paid))
    ProvenResults(store).put(KEY, "toy.work", Done("text", free))
    assert store.get_many([KEY])[KEY].outcome == Done("text", paid)
    ProvenResults(store).put(KEY, "toy.work", Done("other", paid))
    assert store.get_many([KEY])[KEY].outcome == Done("other", paid)
    ProvenResults(store).put(b"l" * 16, "toy.work", Done("text", free))
    assert store.known([KEY, b"l" * 16]) == {KEY, b"l" * 16}
    store.close()
