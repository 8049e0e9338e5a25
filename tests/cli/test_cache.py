"""`datakit cache`: what the store holds; what goes and what stays."""

from __future__ import annotations

import json
import os
import sqlite3
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

Run = Callable[..., Any]
TIMES_3 = ("--set", "toy.work.times=3", "--out", "build/other")


def results(recipe: Path) -> int:
    with sqlite3.connect(recipe.parent.parent / ".datakit" / "results.sqlite") as db:
        return int(db.execute("SELECT count(*) FROM results").fetchone()[0])


def make_free(recipe: Path) -> None:
    """Makes every stored result one that cost nothing."""
    with sqlite3.connect(recipe.parent.parent / ".datakit" / "results.sqlite") as db:
        db.execute("UPDATE results SET meta='{}'")


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
    assert "had cost $1.5000; --paid removes them too" in datakit("cache", "gc").out
    report = swept(datakit, "--yes", "--paid")
    assert (report["results"], report["cost_usd"]) == (3, 1.5)
    assert results(recipe) == 3


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
