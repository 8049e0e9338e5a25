"""`datakit scores`: the ledger as a table, as JSON, and what is said when there is none."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.support.evaluated_builds import every_fifth_wrong, make_build, make_project, right, write_answers

Run = Callable[..., Any]


@pytest.fixture
def scored(datakit: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project with two evaluated builds, which is the working folder."""
    project = make_project(tmp_path)
    monkeypatch.chdir(project)
    for name, change in (("shop_v1", every_fifth_wrong), ("shop_v2", right)):
        folder = make_build(
            project, name, answer="label_only" if name == "shop_v1" else "answer/label_only.j2"
        )
        place = folder.with_name(f"{name}-runs") / f"lora-{name}" / "predictions.jsonl"
        path = write_answers(folder, place, change)
        assert datakit("evaluate", folder, "--predictions", path, "--model", "tiny").code == 0
    return project


def test_table_shows_every_score_and_what_changed(datakit: Run, scored: Path) -> None:
    done = datakit("scores")
    assert (done.code, done.err) == (0, "")
    for words in (
        "shop_v1",
        "100.0%",
        "shop_v2 of ",
        "render.chat.answer label_only → answer/label_only.j2",
        "told from chance",
        "lora-shop_v1",
        "run lora-shop_v1 → lora-shop_v2",
    ):
        assert words in done.out


def test_json_has_changes_and_difference(datakit: Run, scored: Path) -> None:
    done = datakit("scores", "recipes/shop_v2.yaml", "--json")
    assert (done.code, done.err) == (0, "")
    (entry,) = json.loads(done.out)["scores"]
    assert (entry["run"], entry["before"]["name"]) == ("lora-shop_v2", "shop_v1")
    assert entry["changes"] == [
        "render.chat.answer label_only → answer/label_only.j2",
        "run lora-shop_v1 → lora-shop_v2",
    ]
    assert entry["difference"]["interval"]["low"] > 0


def test_evaluating_again_adds_no_line(datakit: Run, scored: Path) -> None:
    ledger = scored / "data_cards" / "scores.jsonl"
    before = ledger.read_bytes()
    done = datakit("evaluate", "build/shop_v1", "--model", "tiny")
    assert (done.code, "in it already" in done.out) == (0, True)
    assert ledger.read_bytes() == before


def test_scores_reach_the_card_that_is_there(datakit: Run, scored: Path) -> None:
    assert datakit("build", "recipes/shop_v1.yaml", "--force", "-q").code == 0
    card = scored / "data_cards" / "shop_v1.md"
    path = write_answers(scored / "build" / "shop_v1", scored / "new.jsonl", right)
    assert card.read_text("utf-8").count("| tiny | 验证集 |") == 1
    assert datakit("evaluate", "build/shop_v1", "--predictions", path).code == 0
    assert card.read_text("utf-8").count("| tiny | 验证集 |") == 2


def test_no_ledger_is_written_when_not_wanted(datakit: Run, scored: Path) -> None:
    ledger = scored / "data_cards" / "scores.jsonl"
    before = ledger.read_bytes()
    path = write_answers(scored / "build" / "shop_v1", scored / "new.jsonl", right)
    assert datakit("evaluate", "build/shop_v1", "--predictions", path, "--no-ledger").code == 0
    assert ledger.read_bytes() == before


def test_unknown_name_gets_a_near_one(datakit: Run, scored: Path) -> None:
    done = datakit("scores", "shop_v3")
    assert (done.code, "Did you mean `shop_v" in done.err) == (2, True)


def test_project_without_scores_says_how_to_make_one(
    datakit: Run, project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(project)
    done = datakit("scores")
    assert (done.code, "datakit evaluate BUILD" in done.err) == (2, True)


def test_broken_ledger_is_named_with_its_line(datakit: Run, scored: Path) -> None:
    ledger = scored / "data_cards" / "scores.jsonl"
    ledger.write_text(ledger.read_text("utf-8") + "<<<<<<<\n", "utf-8")
    done = datakit("scores")
    assert (done.code, "scores.jsonl:3" in done.err) == (2, True)
