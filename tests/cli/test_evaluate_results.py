"""`datakit evaluate results.tar`: scored here as if it had been asked here, and compared with what was."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from datakit.artifacts.build_folder import BuildFolder
from datakit.artifacts.results import write_results
from tests.support.evaluated_builds import (
    Change,
    every_fifth_wrong,
    make_build,
    make_project,
    right,
    write_answers,
)

Run = Callable[..., Any]


@pytest.fixture
def build(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> BuildFolder:
    """A build in a project, which is the working folder."""
    folder = make_build(make_project(tmp_path / "project"))
    monkeypatch.chdir(tmp_path / "project")
    return BuildFolder.open(folder)


def bring(build: BuildFolder, change: Change, run: str) -> Path:
    """results.tar, as it was carried into the working folder."""
    far = build.path.parents[2] / "far" / run
    write_answers(build.path, far / f"predictions_val_{run}.jsonl", change)
    archive = Path(f"results-{run}.tar")
    write_results(archive, far, name="small", content=build.manifest.content, weights=run * 8)
    return archive


def contents(build: BuildFolder) -> dict[Path, bytes]:
    """Every file of the runs; of pages, which say when they were made, the name alone."""
    dated = {".json", ".md", ".html"}
    files = (path for path in build.runs.rglob("*") if path.is_file())
    return {path: b"" if path.suffix in dated else path.read_bytes() for path in files}


def test_results_are_scored_entered_and_compared(datakit: Run, build: BuildFolder) -> None:
    first = datakit("evaluate", bring(build, every_fifth_wrong, "lora-1a"))
    assert (first.code, first.err) == (0, "")
    assert "Taken over from results-lora-1a.tar: run lora-1a, into build/small-runs/lora-1a" in first.out
    assert "1 added" in first.out
    assert (build.runs / "lora-1a" / "evaluation-val_lora-1a.html").is_file()
    assert datakit("evaluate", bring(build, right, "lora-2b")).code == 0
    entries = json.loads(datakit("scores", "--json").out)["scores"]
    assert [entry["run"] for entry in entries] == ["lora-1a", "lora-2b"]
    assert entries[1]["compared"] == entries[1]["score"]["records"]
    assert entries[1]["difference"]["interval"]["low"] > 0
    assert entries[1]["changes"] == ["run lora-1a → lora-2b"]
    table = datakit("scores").out
    assert "run" in table.splitlines()[0]
    assert "told from chance" in table
    pair = datakit(
        "evaluate",
        *("build/small", "--json", "--no-ledger"),
        *("--predictions", "build/small-runs/lora-1a/predictions_val_lora-1a.jsonl"),
        *("--predictions", "build/small-runs/lora-2b/predictions_val_lora-2b.jsonl"),
    )
    (compared,) = json.loads(pair.out)["evaluations"][1]["compared_with"]
    assert compared["only_first"] == 0
    assert compared["only_second"] > 0


def test_results_brought_twice_add_nothing(datakit: Run, build: BuildFolder) -> None:
    archive = bring(build, every_fifth_wrong, "lora-1a")
    assert datakit("evaluate", archive).code == 0
    before = contents(build)
    again = datakit("evaluate", archive, build.path)
    assert (again.code, "in it already" in again.out) == (0, True)
    assert contents(build) == before


def test_results_are_compared_with_a_file_of_answers_here(datakit: Run, build: BuildFolder) -> None:
    here = write_answers(build.path, build.predictions_file("val", "base"), every_fifth_wrong)
    done = datakit("evaluate", bring(build, right, "lora-1a"), "--predictions", here, "--json")
    document = json.loads(done.out)
    assert (document["run"], document["folder"]) == ("lora-1a", str(build.runs / "lora-1a"))
    assert document["evaluations"][1]["compared_with"][0]["only_second"] > 0


def test_answers_asked_anew_in_a_run_leave_the_earlier_outcomes_comparable(
    datakit: Run, build: BuildFolder
) -> None:
    path = build.predictions_file("val", "lora-1a")
    for change in (every_fifth_wrong, right):
        write_answers(build.path, path, change)
        assert datakit("evaluate", build.path).code == 0
    (_, last) = json.loads(datakit("scores", "--json").out)["scores"]
    assert last["difference"]["interval"]["low"] > 0
    assert len(list(path.parent.glob("evaluation-val_lora-1a.kept-*.parquet"))) == 1


def test_what_cannot_be_taken_over_ends_with_2_and_words(
    datakit: Run, build: BuildFolder, tmp_path: Path
) -> None:
    archive = bring(build, right, "lora-1a")
    other = make_build(tmp_path / "project", "other", answer="answer/label_only.j2")
    for call, words in (
        ((archive, other), "results of another build: `small`"),
        (("nowhere.tar",), "cannot read nowhere.tar"),
        ((build.path, other), "has no meaning"),
        ((archive, "--split", "train"), "no answers to the split `train`"),
    ):
        done = datakit("evaluate", *call)
        assert (done.code, words in done.err) == (2, True), done.err
    Path("notes.tar").write_text("my notes", "utf-8")
    done = datakit("evaluate", "notes.tar")
    assert (done.code, "no archive" in done.err) == (2, True)
    assert Path("notes.tar").read_text("utf-8") == "my notes"
