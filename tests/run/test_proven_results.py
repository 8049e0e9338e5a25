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


def test_results_that_cost_nothing_share_a_transaction_and_bought_ones_have_their_own(tmp_path: Path) -> None:
    store = Store(tmp_path)
    statements: list[str] = []
    store._db.set_trace_callback(statements.append)
    free = [(bytes([n]) * 16, "toy.work", Done(n, {"seconds": 0.1})) for n in range(50)]
    bought = [(bytes([n]) * 16, "toy.work", Done(n, {"model": "m"})) for n in range(50, 60)]
    ProvenResults(store).put_many([*free[:25], *bought, *free[25:]])
    begun = [statement.split()[0] for statement in statements]
    assert begun == ["INSERT"] * 10 + ["BEGIN"] + ["INSERT"] * 50 + ["COMMIT"]
    assert len(store.known([key for key, _, _ in [*free, *bought]])) == 60
    store.close()
