"""`datakit cache`: what the store holds; what goes and what stays."""

from __future__ import annotations

import json
import os
import sqlite3
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from datakit.core import registry
from datakit.core.transform import Annotator
from datakit.run.cache import FREE_STEPS, FREE_WRITERS

Run = Callable[..., Any]
TIMES_3 = ("--set", "toy.work.times=3", "--out", "build/other")


def results(recipe: Path) -> int:
    with sqlite3.connect(recipe.parent.parent / ".datakit" / "results.sqlite") as db:
        return int(db.execute("SELECT count(*) FROM results").fetchone()[0])


def make_free(recipe: Path) -> None:
    """Makes every stored result one that cost nothing."""
    with sqlite3.connect(recipe.parent.parent / ".datakit" / "results.sqlite") as db:
        db.execute("UPDATE results SET meta='{\"cost_usd\": 0.0}'")


def swept(datakit: Run, *options: str) -> dict[str, Any]:
    done = datakit("cache", "gc", "--json", *options)
    assert (done.code, done.err) == (0, "")
    report: dict[str, Any] = json.loads(done.out)
    return report


def test_ls_counts_results_bytes_and_cost_per_step(datakit: Run, recipe: Path) -> None:
    datakit("build", recipe, "--no-card")
    report = json.loads(datakit("cache", "ls", "--json", "--unused").out)
    steps = {step["step"]: step for step in report["steps"]}
    assert {name: step["results"] for name, step in steps.items()} == {"toy.work": 3, "toy.process_work": 3}
    assert steps["toy.work"]["cost_usd"] == 1.5
    assert steps["toy.work"]["bytes"] > 0
    assert steps["toy.work"]["unused"] == 0
    assert "toy.process_work" in datakit("cache", "ls").out


def test_gc_takes_what_no_recipe_and_no_build_uses(datakit: Run, recipe: Path) -> None:
    datakit("build", recipe, "--no-card")
    datakit("build", recipe, "--no-card", *TIMES_3)
    make_free(recipe)
    assert swept(datakit)["results"] == 0, "the second build still refers to its results"
    (recipe.parent.parent / "build" / "other" / "records.parquet").unlink()
    dry = swept(datakit)
    assert (dry["results"], dry["removed"], results(recipe)) == (3, False, 9)
    assert "Would remove 3 results" in datakit("cache", "gc").out
    assert swept(datakit, "--yes")["removed"]
    assert results(recipe) == 6
    assert json.loads(datakit("plan", recipe, "--json").out)["calls"] == 0


def test_gc_keeps_results_of_records_that_a_later_step_rejected(datakit: Run, recipe: Path) -> None:
    datakit("build", recipe, "--no-card", "--set", "toy.work.times=1")
    recipe.write_text(recipe.read_text().replace("{min_chars: 1, by: worked}", "{min_chars: 2, by: worked}"))
    recipe.write_text(recipe.read_text().replace("count: 6", "count: 14"))
    datakit("build", recipe, "--no-card")
    make_free(recipe)
    # Texts 1, 3, 5, 7 and 9 are too short for the second paid step; their first results are still asked for.
    assert [(step["step"], step["results"]) for step in swept(datakit)["steps"]] == [("toy.process_work", 3)]


def test_gc_never_takes_what_cost_money_unasked(datakit: Run, recipe: Path) -> None:
    datakit("build", recipe, "--no-card", *TIMES_3)
    (recipe.parent.parent / "build" / "other" / "records.parquet").unlink()
    report = swept(datakit, "--yes")
    assert (report["results"], report["kept_paid"], report["kept_paid_usd"]) == (0, 3, 1.5)
    assert "Kept 3 results that had cost $1.5000; --paid removes them too" in datakit("cache", "gc").out
    report = swept(datakit, "--yes", "--paid")
    assert (report["results"], report["cost_usd"]) == (3, 1.5)
    assert results(recipe) == 3


UNPRICED = {
    "price not known": {"model": "qwen-vl", "cost_usd": None, "tokens_in": 900, "tokens_out": 80},
    "gateway's name": {"model": "openai/gpt-4o-mini", "cost_usd": None, "tokens_in": 900, "tokens_out": 8},
    "half a price, taken for 0": {"model": "gpt-4o-mini", "cost_usd": 0.0, "tokens_in": 900},
    "the same of a gateway's and a dated name": {
        "model": "openai/gpt-4o-mini-2024-07-18",
        "cost_usd": 0.0,
        "tokens_in": 900,
    },
    "answer found under another key": {"model": "m", "cost_usd": 0.0, "paid_earlier": {"cost_usd": None}},
    "cost not noted": {"model": "qwen-vl", "tokens_in": 900},
    "tokens not counted": {"model": "gpt-4o-mini", "cost_usd": 0.0, "tokens_in": 0, "tokens_out": 0},
    "step of somebody else's that notes nothing": {},
}


@pytest.mark.parametrize("how", [[], ["--max-mb", "0"], ["--unused-days", "30"]])
def test_gc_takes_an_unknown_cost_for_a_paid_one(datakit: Run, recipe: Path, how: list[str]) -> None:
    datakit("build", recipe, "--no-card", *TIMES_3)
    (recipe.parent.parent / "build" / "other" / "records.parquet").unlink()
    store = recipe.parent.parent / ".datakit" / "results.sqlite"
    with sqlite3.connect(store) as db:
        rows = db.execute("SELECT * FROM results").fetchall()
    for kind, meta in UNPRICED.items():
        with sqlite3.connect(store) as db:
            db.execute("DELETE FROM results")
            db.executemany(f"INSERT INTO results VALUES ({','.join('?' * len(rows[0]))})", rows)
            db.execute("UPDATE results SET meta=?, used=0", (json.dumps(meta),))
        report = swept(datakit, "--yes", *how)
        assert (report["results"], report["kept_unpriced"]) == (0, report["kept_paid"]), kind
        assert report["kept_paid"] > 0, kind
        assert results(recipe) == len(rows), kind
        assert "an unknown price" in datakit("cache", "gc", *how).out, kind
        assert swept(datakit, "--yes", "--paid", *how)["unpriced"] == len(rows) - results(recipe) > 0, kind


def test_gc_takes_what_is_known_to_cost_nothing(datakit: Run, recipe: Path) -> None:
    datakit("build", recipe, "--no-card")
    known = [
        ("annotate.ocr", {}),
        ("guard.image", {}),
        ("annotate.describe", {"model": "offline-writer"}),
        ("annotate.ask", {"model": "own", "cost_usd": 0.0, "tokens_in": 900, "tokens_out": 8}),
        ("toy.work", {"cost_usd": 0.0}),
    ]
    with sqlite3.connect(recipe.parent.parent / ".datakit" / "results.sqlite") as db:
        keys = [key for (key,) in db.execute("SELECT key FROM results ORDER BY key")]
        for key, (step, meta) in zip(keys, known, strict=False):
            db.execute("UPDATE results SET step=?, meta=? WHERE key=?", (step, json.dumps(meta), key))
    report = swept(datakit, "--max-mb", "0", "--yes")
    assert (report["results"], report["unpriced"]) == (5, 0)
    assert report["kept_paid"] == 1


def test_result_of_parts_is_free_only_while_its_parts_are_stored(datakit: Run, recipe: Path) -> None:
    datakit("build", recipe, "--no-card")
    with sqlite3.connect(recipe.parent.parent / ".datakit" / "results.sqlite") as db:
        first, second, third, *_ = [key for (key,) in db.execute("SELECT key FROM results ORDER BY key")]
        for key, parts in ((first, [third.hex()]), (second, [third.hex(), "00" * 16])):
            meta = {"model": "m", "cost_usd": None, "parts": parts}
            db.execute("UPDATE results SET meta=? WHERE key=?", (json.dumps(meta), key))
    assert swept(datakit, "--max-mb", "0", "--yes")["results"] == 1


def test_steps_and_writers_that_count_as_free_are_datakits_own_and_ask_nobody() -> None:
    from datakit.llm import offline

    own = {name: registry.find(name) for name in registry.names() if not name.startswith("toy.")}
    local = {
        name for name, kind in own.items() if issubclass(kind, Annotator) and kind.executor != "event_loop"
    }
    assert local == FREE_STEPS
    assert {offline.NAME} == FREE_WRITERS


def test_gc_by_age_and_size(datakit: Run, recipe: Path) -> None:
    datakit("build", recipe, "--no-card")
    with sqlite3.connect(recipe.parent.parent / ".datakit" / "results.sqlite") as db:
        old = int(time.time()) - 40 * 86_400
        db.execute("UPDATE results SET used=? WHERE step='toy.work'", (old,))
    assert swept(datakit, "--unused-days", "30", "--paid")["results"] == 3
    assert swept(datakit, "--unused-days", "50", "--paid")["results"] == 0
    assert swept(datakit, "--max-mb", "0", "--paid")["results"] == 6


def test_gc_removes_nothing_when_a_recipe_cannot_be_read(datakit: Run, recipe: Path) -> None:
    datakit("build", recipe, "--no-card", *TIMES_3)
    (recipe.parent / "broken.yaml").write_text("steps:\n  - toy.nonsense\nemit: [lines]\n")
    done = datakit("cache", "gc", "--yes", "--paid")
    assert done.code == 2
    assert "broken.yaml:2" in done.err
    assert results(recipe) == 6
    assert datakit("cache", "ls").code == 0
    assert datakit("cache", "gc", "--unused-days", "9").code == 0


def test_project_without_a_store_says_so_and_makes_none(datakit: Run, recipe: Path) -> None:
    done = datakit("cache", "ls")
    assert done.code == 2
    assert "there is no result store" in done.err
    assert not os.path.exists(recipe.parent.parent / ".datakit")
