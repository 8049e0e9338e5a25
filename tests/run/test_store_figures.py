"""What the store says of its results: means for estimates, entries for collection."""

from __future__ import annotations

from pathlib import Path

import pytest

from datakit.core.outcome import Done, Rejected
from datakit.run.store import Store


@pytest.fixture
def store(tmp_path: Path) -> Store:
    store = Store(tmp_path)
    for number, model in enumerate(["gpt-4o-2024-08-06", "gpt-4o", "gpt-4o-mini", "gpt-4o-mini-2024-07-18"]):
        meta = {"model": model, "tokens_in": 100 * (number + 1), "tokens_out": 10, "cost_usd": number / 10}
        store.put(bytes([number] * 16), "annotate.describe", Done("text", meta))
    store.put(b"o" * 16, "annotate.ocr", Done([], {"seconds": 0.5}))
    store.put(b"r" * 16, "annotate.ocr", Rejected("image_broken", "no", {"seconds": 1.5}))
    return store


def test_means_are_of_one_model_and_its_dated_versions(store: Store) -> None:
    large = store.means("annotate.describe", "gpt-4o")
    small = store.means("annotate.describe", "gpt-4o-mini")
    assert large is not None
    assert small is not None
    assert (large["results"], large["tokens_in"], large["cost_usd"]) == (2, 150.0, 0.05)
    assert (small["results"], small["tokens_in"], small["cost_usd"]) == (2, 350.0, 0.25)
    assert small["cost_usd_error"] == pytest.approx(0.05 / 2**0.5)  # of two: 0.2 and 0.3
    assert store.means("annotate.describe", "gpt-5") is None


def test_figures_that_nobody_noted_are_none(store: Store) -> None:
    means = store.means("annotate.ocr")
    figures = {"tokens_in": None, "tokens_out": None, "cost_usd": None, "seconds": 1.0}
    assert means == {"results": 2, **figures, "cost_usd_error": 0.0}
    assert store.means("annotate.nothing") is None


def test_entries_can_be_removed_one_by_one(store: Store) -> None:
    entries = list(store.entries())
    assert [entry.step for entry in entries] == ["annotate.describe"] * 4 + ["annotate.ocr"] * 2
    assert sum(entry.rejected for entry in entries) == 1
    assert sum(entry.cost_usd or 0 for entry in entries) == pytest.approx(0.6)
    assert all(entry.bytes > 0 and entry.created > 0 for entry in entries)
    store.remove(entry.key for entry in entries if entry.step == "annotate.ocr")
    assert {entry.step for entry in store.entries()} == {"annotate.describe"}
    assert store.sound() == "ok"
