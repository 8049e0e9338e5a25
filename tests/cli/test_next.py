"""`datakit next`: what it says and writes, and that its decisions come back."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

import datakit as dk
from datakit.artifacts.build_folder import BuildFolder
from datakit.cli import run
from datakit.library import build
from datakit.next_records import next_records
from tests.support.edited_builds import edit_records
from tests.support.next_builds import RECIPE, decide, project, truth_of, unknown_rows, write_rows


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return build(project(tmp_path / "p"), card=False).folder


def test_page_lies_beside_the_build_and_the_terminal_counts_the_reasons(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["next", str(folder), "--n", "5"]) == 0
    said = capsys.readouterr()
    assert "5 of 18 records without a label: " in said.out
    assert (folder.parent / "loop-next.html").is_file()
    assert "of uncertain label" in said.out or "unlike anything labelled" in said.out


def test_json_names_each_record_with_why(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["next", str(folder), "--n", "4", "--json"]) == 0
    said = capsys.readouterr()
    account = json.loads(said.out)
    assert (account["labelled"], account["unlabelled"], len(account["records"])) == (12, 18, 4)
    assert all(row["why"] and row["id"].startswith("u") for row in account["records"])
    table = dk.open_build(folder).next_records(4)
    assert table["id"].to_list() == [row["id"] for row in account["records"]]
    assert table["judged"].str.len_chars().to_list() == [32] * 4


def test_hostile_words_are_no_markup_of_the_page(tmp_path: Path) -> None:
    hostile = "</script><img src=x onerror=alert(1)>"
    unknown = [
        {**row, "id": f"{row['id']}{hostile}", "text": row["text"] + hostile} for row in unknown_rows(3)
    ]
    made = build(project(tmp_path / "p", unknown=unknown), card=False).folder
    assert run(["next", str(made), "-o", str(tmp_path / "page.html")]) == 0
    assert hostile not in (tmp_path / "page.html").read_text("utf-8")


def test_imported_decisions_about_records_that_the_build_left_out_are_told_as_such(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    found = next_records(BuildFolder.open(folder), 3)
    labels = {one.id: truth_of(one.id) for one in found.proposals}
    decide(found.page(), labels, tmp_path / "mine.jsonl")
    capsys.readouterr()
    assert run(["review", str(folder), "--import", str(tmp_path / "mine.jsonl")]) == 0
    said = capsys.readouterr()
    assert "3 decisions added" in said.out
    assert "are about records without a label, which this build left out" in said.err
    assert "about no record of this build" not in said.err


def test_recipe_that_reads_no_decisions_is_told_the_step(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    step = "  - curate.overrides: {path: overrides.jsonl}\n"
    made = build(project(tmp_path / "p", recipe=RECIPE.replace(step, "")), card=False).folder
    assert run(["next", str(made)]) == 0
    assert "- curate.overrides: {path: overrides/loop.jsonl}" in capsys.readouterr().err


def test_edited_build_is_told_at_the_end_and_on_the_page(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    edit_records(folder)
    assert run(["next", str(folder), "--json"]) == 0
    assert any("is not as it was built" in note for note in json.loads(capsys.readouterr().out)["notes"])
    assert "editedBuild" in (folder.parent / "loop-next.html").read_text("utf-8")


def test_records_go_to_another_tool(folder: Path, tmp_path: Path) -> None:
    assert run(["next", str(folder), "--n", "4", "--export", "label-studio", str(tmp_path / "out")]) == 0
    tasks = json.loads((tmp_path / "out" / "tasks.json").read_text("utf-8"))
    assert len(tasks) == 4


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--n", "0"], "--n"),
        (["--n", "x"], "--n"),
        (["--predictions", "nowhere.jsonl"], "cannot read nowhere.jsonl"),
        (["--task", "a"], "has one task, without a name"),
        (["--out", "."], "is a folder"),
    ],
)
def test_mistakes_are_words_with_a_remedy(
    folder: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], words: str
) -> None:
    assert run(["next", str(folder), *arguments]) == 2
    said = capsys.readouterr().err
    assert words in said
    assert "Traceback" not in said


def test_two_different_predictions_of_a_record_are_named_and_neither_is_heard(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    said = [("u00", "退款页面"), ("u01", "退款页面"), ("u00", "购物车页面")]
    rows = [{"id": id_, "predicted": label} for id_, label in said]
    file = write_rows(tmp_path / "p.jsonl", rows)
    assert run(["next", str(folder), "--predictions", str(file), "--json"]) == 0
    notes = json.loads(capsys.readouterr().out)["notes"]
    assert any("two different things: none of them is heard (u00)" in note for note in notes), notes


def test_predictions_that_are_broken_are_named_by_line(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = write_rows(tmp_path / "p.jsonl", [{"id": "u00", "predicted": "退款页面"}])
    file.write_bytes(file.read_bytes() + b'{"id": "u01"\xff\n')
    assert run(["next", str(folder), "--predictions", str(file)]) == 2
    assert f"{file}:2" in capsys.readouterr().err
