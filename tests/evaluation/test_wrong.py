"""All wrong records: none too many or too few in the file, a bounded number on the page."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest

from datakit.artifacts.build_folder import BuildFolder
from datakit.artifacts.predictions import Prediction, write
from datakit.core.spreadsheets import plain_text
from datakit.evaluation.evaluation import Evaluated, Options
from datakit.evaluation.from_build import evaluate
from datakit.evaluation.page import write_evaluation
from datakit.evaluation.tasks import Task
from datakit.evaluation.wrong import Wrong, write_wrong, wrong_records, wrong_section
from datakit.pages.blocks import Link, Table, Text
from tests.support.evaluated_builds import answers, every_fifth_wrong
from tests.support.value_builds import make_value_build, truths_in, write_values


def evaluated(build: BuildFolder, folder: Path, items: list[Prediction]) -> Evaluated:
    write(folder / "predictions.jsonl", items)
    return evaluate(build, [folder / "predictions.jsonl"], Options(resamples=50))[0]


def rows(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8-sig", newline="") as file:
        return list(csv.DictReader(file))


def test_file_has_every_wrong_record_and_no_right_one(small: BuildFolder, tmp_path: Path) -> None:
    items = list(answers(small.path, every_fifth_wrong))[1:]
    one = evaluated(small, tmp_path, items)
    write_evaluation(one, small, tmp_path, "evaluation")
    found = rows(tmp_path / "evaluation" / "wrong.csv")
    wanted = {item.id for item in answers(small.path, every_fifth_wrong) if item.predicted != item.label}
    first = next(answers(small.path, every_fifth_wrong))
    assert {row["id"] for row in found} == {*wanted, first.id}
    assert len(found) == one.evaluation.records - round(
        one.evaluation.metrics["accuracy"].value * one.evaluation.records
    )
    by_id = {row["id"]: row for row in found}
    assert by_id[first.id]["problem"] == "not_answered"
    assert by_id[first.id]["truth"] == first.label
    assert all((small.path / row["images"]).is_file() for row in found)
    for name in ("evaluation.md", "evaluation.html"):
        text = (tmp_path / name).read_text("utf-8")
        assert "evaluation/wrong.csv" in text
        assert f"答错 {len(found)} 条记录" in text


def test_page_shows_the_surest_hundred_and_says_how_many_there_are() -> None:
    wrong = [
        Wrong(f"r{number}", "a", "b", Prediction(id=f"r{number}", predicted="b", confidence=0.5))
        for number in range(1234)
    ]
    words, table, link = wrong_section(wrong, Task.LABEL).blocks
    assert isinstance(words, Text)
    assert isinstance(table, Table)
    assert isinstance(link, Link)
    assert "1,234 records that were answered wrongly; the first 100" in words.text
    assert (len(table.rows), "All 1,234" in link.text) == (100, True)
    assert wrong_section([], Task.LABEL).blocks == []


@pytest.mark.fault(
    "an id, a label or an answer of a wrong record begins like a formula",
    "wrong.csv holds it as a text that no spreadsheet computes",
    kind="pages",
)
def test_no_cell_is_a_formula(tmp_path: Path) -> None:
    evil = '=HYPERLINK("http://x","y")'
    prediction = Prediction(
        id=evil, problem="label_unknown", detail="+1+x", answer="@SUM(1)\x1b[31m", reason="-a"
    )
    path = write_wrong([Wrong(evil, "\tx", "", prediction)], tmp_path, lambda ids: {evil: ["=a.png"]})
    (row,) = rows(path)
    assert not any(cell.startswith(("=", "+", "@", "\t", "-")) for cell in row.values())
    assert plain_text(row["id"]) == evil
    assert "\x1b" not in path.read_text("utf-8-sig")


def test_rows_that_somebody_worked_on_are_kept(small: BuildFolder, tmp_path: Path) -> None:
    one = evaluated(small, tmp_path, list(answers(small.path, every_fifth_wrong)))
    for _ in range(2):
        write_evaluation(one, small, tmp_path, "evaluation")
    assert len(list((tmp_path / "evaluation").glob("wrong*"))) == 1
    file = tmp_path / "evaluation" / "wrong.csv"
    file.write_text("my notes", "utf-8")
    write_evaluation(one, small, tmp_path, "evaluation")
    (kept,) = (tmp_path / "evaluation").glob("wrong.kept-*.csv")
    assert kept.read_text("utf-8") == "my notes"
    assert rows(file)


@pytest.mark.parametrize(("kind", "field"), [("number", "price"), ("text", "caption"), ("labels", "found")])
def test_values_that_are_not_right_are_wrong(tmp_path: Path, kind: str, field: str) -> None:
    build = BuildFolder.open(make_value_build(tmp_path, kind))
    truth = truths_in(build, field)
    other = {"number": 1e6, "text": "完全不同", "labels": ["dog"]}[kind]
    changed = next(iter(truth))
    path = write_values(tmp_path / "p.jsonl", {**truth, changed: other}, field)
    one = evaluate(build, [path], Options(resamples=50))[0]
    (row,) = wrong_records(one.outcomes)
    assert row.id == changed
    write_evaluation(one, build, tmp_path / "out", "evaluation")
    assert [row["id"] for row in rows(tmp_path / "out" / "evaluation" / "wrong.csv")] == [changed]
