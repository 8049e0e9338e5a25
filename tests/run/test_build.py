"""A build is complete or absent, reused when nothing changed, and made again when something did."""

from __future__ import annotations

import fcntl
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from datakit.core.errors import Exit, RecipeErrors, UserError
from datakit.core.settings import LlmSettings, RunSettings
from datakit.core.transform import Transform
from datakit.recipe.recipe import Recipe, Step
from datakit.run.build import BuildFailed, Options, build
from datakit.run.engine import NothingLeft
from tests.support.toys import DropShort, Lines, Numbers, Work

Make = Callable[..., Recipe]


@pytest.fixture
def recipe(project: Path) -> Make:
    """Makes a recipe of toy transforms."""

    def make(*transforms: Transform, emitter: Transform | None = None, **run: Any) -> Recipe:
        steps = tuple(Step(n, item, f"r.yaml:{n}:1") for n, item in enumerate(transforms, 1))
        return Recipe(
            path=project / "recipes" / "toy.yaml",
            name="toy",
            seed=1,
            steps=steps,
            emitters=(Step(1, emitter or Lines(), "r.yaml:9:1"),),
            llm=LlmSettings(),
            run=RunSettings(**{"max_reject_rate": 1.0, **run}),
            labels=None,
            data={"steps": [{step.name: step.transform.model_dump()} for step in steps]},
        )

    return make


def log_lines(project: Path) -> int:
    return len((project / "log").read_text().split())


def test_build_holds_data_rejects_report_and_manifest(recipe: Make, project: Path) -> None:
    made = build(recipe(Numbers(count=6, broken=3)))
    assert made.folder == project / "build" / "toy"
    names = {path.name for path in made.folder.iterdir()}
    assert {
        "ids.txt",
        "rejects.jsonl",
        "report.json",
        "manifest.json",
        "records.parquet",
        "recipe.yaml",
    } <= names
    rejects = [json.loads(line) for line in (made.folder / "rejects.jsonl").read_text().splitlines()]
    assert [(row["id"], row["reason"], row["source_line"]) for row in rejects] == [
        ("n0", "broken", 0),
        ("n3", "broken", 3),
    ]
    assert list((project / "build").glob(".toy.work*")) == []


def test_unchanged_build_is_kept_and_does_no_work(recipe: Make, project: Path) -> None:
    it = recipe(Numbers(count=5), Work(log=str(project / "log")))
    first = build(it)
    before = (first.folder / "manifest.json").stat().st_mtime_ns
    again = build(it)
    assert again.report.reused
    assert again.report.steps[1].cached == 5
    assert again.report.steps[1].new == 0
    assert (first.folder / "manifest.json").stat().st_mtime_ns == before
    assert log_lines(project) == 5


@pytest.mark.parametrize("change", ["output edited", "output removed"])
def test_damaged_build_is_made_again_without_paying(recipe: Make, project: Path, change: str) -> None:
    it = recipe(Numbers(count=5), Work(log=str(project / "log")))
    folder = build(it).folder
    if change == "output edited":
        (folder / "ids.txt").write_text("x")
    else:
        (folder / "ids.txt").unlink()
    again = build(it)
    assert not again.report.reused
    assert (folder / "ids.txt").read_text().split() == [f"n{n}" for n in range(5)]
    assert log_lines(project) == 5


def test_build_without_its_manifest_is_not_replaced(recipe: Make, project: Path) -> None:
    it = recipe(Numbers(count=5))
    folder = build(it).folder
    (folder / "manifest.json").unlink()  # from here on nothing says that datakit wrote the folder
    with pytest.raises(UserError, match="it has no manifest"):
        build(it)
    assert (folder / "ids.txt").is_file()


def test_changed_parameter_makes_a_new_build(recipe: Make, project: Path) -> None:
    build(recipe(Numbers(count=5)))
    made = build(recipe(Numbers(count=6)))
    assert not made.report.reused
    assert (made.folder / "ids.txt").read_text().count("n") == 6


def test_changed_reading_of_stored_results_makes_a_new_build_and_pays_nothing(
    recipe: Make, project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    it = recipe(Numbers(count=5), Work(log=str(project / "log")))
    build(it)
    monkeypatch.setattr(Work, "reading", 2)
    again = build(it)
    assert not again.report.reused
    assert (again.report.steps[1].cached, again.report.steps[1].new) == (5, 0)
    assert log_lines(project) == 5


def test_failing_emitter_leaves_the_old_build_whole(recipe: Make, project: Path) -> None:
    folder = build(recipe(Numbers(count=5))).folder
    with pytest.raises(OSError, match="no space"):
        build(recipe(Numbers(count=6), emitter=Lines(fail=True)))
    assert (folder / "ids.txt").read_text().count("n") == 5
    assert [path.name for path in (project / "build").iterdir() if path.name.endswith(".work")] == []


def test_too_many_rejects_fail_and_can_be_read(recipe: Make, project: Path) -> None:
    with pytest.raises(BuildFailed, match=r"(?s)5 of 10 records were rejected.*broken 5.*For example \S+ \("):
        build(recipe(Numbers(count=10, broken=2), max_reject_rate=0.1))
    assert not (project / "build" / "toy").exists()
    assert len((project / "build" / ".toy.failed" / "rejects.jsonl").read_text().splitlines()) == 5


def test_retries_stop_the_build_with_exit_3_unless_allowed(recipe: Make, project: Path) -> None:
    it = recipe(Numbers(count=4), Work(log=str(project / "log"), fail=("2",)))
    with pytest.raises(BuildFailed, match="1 record could not be answered") as caught:
        build(it)
    assert caught.value.exit_code == Exit.PARTIAL
    made = build(it, Options(allow_partial=True))
    assert made.exit_code == Exit.PARTIAL
    assert (made.folder / "ids.txt").read_text().split() == ["n0", "n1", "n3"]


def test_run_after_a_partial_build_tries_the_records_that_were_left(recipe: Make, project: Path) -> None:
    log = str(project / "log")
    it = recipe(Numbers(count=4), Work(log=log, fail=("2",)))
    build(it, Options(allow_partial=True))
    before = log_lines(project)
    again = build(it, Options(allow_partial=True))
    assert not again.report.reused
    assert (again.report.steps[1].cached, again.report.retry) == (3, 1)
    assert log_lines(project) == before + 1
    with pytest.raises(BuildFailed, match="1 record could not be answered"):
        build(it)
    assert log_lines(project) == before + 2


def test_missing_column_is_found_before_anything_is_paid(recipe: Make, project: Path) -> None:
    with pytest.raises(RecipeErrors, match="column `txt`") as caught:
        build(recipe(Numbers(count=4), Work(log=str(project / "log")), DropShort(min_chars=1, by="txt")))
    assert "r.yaml:3:1" in str(caught.value)
    assert "Did you mean `text`?" in str(caught.value)
    assert not (project / "log").exists()


def test_all_rejected_names_step_and_reason(recipe: Make) -> None:
    with pytest.raises(NothingLeft, match=r"step 2 \(toy.drop_short\) left no record: short 4"):
        build(recipe(Numbers(count=4), DropShort(min_chars=9)))


def test_second_build_of_one_folder_at_a_time_is_refused(recipe: Make, project: Path) -> None:
    (project / "build").mkdir()
    with open(project / "build" / ".toy.lock", "wb") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with pytest.raises(UserError, match="another build is writing"):
            build(recipe(Numbers(count=4)))


def test_folder_that_cannot_be_made_is_named(recipe: Make, project: Path) -> None:
    (project / "build").write_text("a file")
    with pytest.raises(UserError, match="cannot write to"):
        build(recipe(Numbers(count=4)))


def test_run_settings_do_not_make_a_build_stale(recipe: Make, project: Path) -> None:
    build(recipe(Numbers(count=5)))
    other = recipe(Numbers(count=5), concurrency=3, batch_rows=2)
    assert build(replace(other, run=other.run)).report.reused
