"""What a model answered about the records of a build, on the review page: which file counts, what fits."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from datakit.artifacts.build_folder import BuildFolder
from datakit.artifacts.image_contents import ImageContents
from datakit.artifacts.kfold import KfoldFolder, content_of
from datakit.cli import run
from datakit.core.errors import UserError
from datakit.reviewing.answered import answers
from datakit.reviewing.chosen import MISTAKE, Choice, chosen
from datakit.reviewing.records import PageRecords
from datakit.reviewing.writing import write_folder
from tests.support.edited_builds import edit_answers, join_folds
from tests.support.review_builds import HOSTILE, review_build, write_answers


@pytest.fixture
def build(tmp_path: Path) -> BuildFolder:
    return review_build(tmp_path)


def said(id_: str, label: str, **others: Any) -> dict[str, Any]:
    return {"id": id_, "predicted": label, "answer": label, "model": "lora", **others}


def in_run(build: BuildFolder, split: str, rows: list[dict[str, Any]], run_id: str = "lora-1") -> Path:
    return write_answers(build.predictions_file(split, run_id), rows)


def page_of(build: BuildFolder, choice: Choice | None = None) -> PageRecords:
    found = answers(build)
    return PageRecords(build, chosen(build, choice or Choice(), found.labels(build))[0], found)


def test_answers_of_the_builds_runs_stand_as_prediction_with_their_probability(build: BuildFolder) -> None:
    in_run(build, "train", [said("r01", "退款页面", confidence=0.75, probabilities={"退款页面": 0.75})])
    page = page_of(build)
    columns = page.columns()
    place = columns["id"].index("r01")
    assert page.labels[columns["predicted"][place]] == "退款页面"
    assert columns["probability"][place] == 0.75
    assert page.labels[columns["proposal"][place]] == "退款页面"
    assert list(page.details())[place]["probabilities"] == [["退款页面", 0.75]]
    other = columns["id"].index("r02")  # nobody answered about it: the column speaks
    assert columns["probability"][other] == 0.875


def test_answer_is_spelt_as_the_label_file_does(build: BuildFolder) -> None:
    in_run(build, "train", [said("r01", "退货申请")])  # an alias of its own label
    assert answers(build).labels(build) == {"r01": "退货页面"}
    assert MISTAKE not in page_of(build).frame.filter(id="r01")["@tags"].to_list()[0]


def test_mistakes_are_the_records_whose_label_the_answer_contradicts(build: BuildFolder) -> None:
    in_run(build, "train", [said("r00", "购物车页面"), said("r01", "退款页面")])
    assert page_of(build, Choice(mistakes=True)).frame["id"].to_list() == ["r01"]


def test_mistakes_without_answers_say_how_to_make_them(build: BuildFolder) -> None:
    with pytest.raises(UserError, match="nobody has answered"):
        page_of(build, Choice(mistakes=True))


def test_answers_out_of_fold_count_more_than_those_about_what_was_trained_on(build: BuildFolder) -> None:
    in_run(build, "train", [said("r00", "退货页面"), said("r01", "退款页面")])
    folds = KfoldFolder(build.path.with_name(f"{build.path.name}.kfold"))
    write_answers(folds.predictions_file, [said("r00", "退款页面")])
    found = answers(build)
    assert found.labels(build) == {"r00": "退款页面", "r01": "退款页面"}
    assert "predictions of 1 record are shown from kfold.jsonl" in found.notes[0]
    assert "of 1 more another file was taken" in found.notes[1]


@pytest.mark.fault(
    "predictions out of fold were edited since the folds were joined, and a review shows them",
    "it says so, on the page and in --json, whether the file was found or named; so does an evaluation",
    kind="inputs changed",
)
@pytest.mark.parametrize("named", [False, True])
def test_edit_of_the_answers_out_of_fold_is_told(
    build: BuildFolder, named: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    folds = KfoldFolder(build.path.with_name(f"{build.path.name}.kfold"))
    path = join_folds(write_answers(folds.predictions_file, [said("r00", "退款页面")]))
    words = ["review", str(build.path), "--json", *(["--predictions", str(path)] if named else [])]
    assert run(words) == 0
    assert len(json.loads(capsys.readouterr().out)["notes"]) == 1
    edit_answers(path)
    assert run(words) == 0
    account = json.loads(capsys.readouterr().out)
    assert account["notes"][1].startswith("kfold.jsonl was edited since the folds were joined")
    page = Path(account["page"]).read_text("utf-8")
    assert '"notices":[["editedAnswers",{"file":"kfold.jsonl"}]]' in page


@pytest.mark.fault(
    "a file of answers that a review shows says two things of a record",
    "neither is shown; counted and named",
    kind="answers",
)
def test_answers_that_contradict_each_other_are_not_shown_and_are_named(
    build: BuildFolder, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = [
        said("r01", "退款页面"),
        said("r02", "退款页面", confidence=0.5),
        said("r01", "购物车页面"),
        said("r02", "退款页面", confidence=0.75),
        {"id": "r02", "problem": "not_answered"},
        said("r03", "退货申请"),
        said("r03", "退货页面"),  # the same by another spelling
    ]
    path = write_answers(tmp_path / "p.jsonl", rows)
    found = answers(build, [path])
    assert found.labels(build) == {"r02": "退款页面", "r03": "退货页面"}
    assert found.by_id["r02"].confidence == 0.75
    assert found.notes == (
        "predictions of 2 records are shown from p.jsonl",
        "p.jsonl: 1 record predicted to be different things, none of which is shown (r01)",
        "p.jsonl: 2 records predicted more than once: the last prediction is shown (r02, r03)",
    )
    assert run(["review", str(build.path), "--predictions", str(path), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["notes"] == list(found.notes)
    none = write_answers(tmp_path / "q.jsonl", [said("r01", "退款页面"), said("r01", "购物车页面")])
    assert answers(build, [none]).by_id == {}


def test_answer_that_is_no_label_is_named(build: BuildFolder, tmp_path: Path) -> None:
    path = write_answers(tmp_path / "p.jsonl", [said("r00", "退款页面"), said("r01", "没有")])
    found = answers(build, [path])
    assert found.labels(build) == {"r00": "退款页面"}
    assert found.by_id["r01"].problem == "label_unknown"
    assert found.notes[1] == "p.jsonl: 1 record predicted to be what is no label of the label file (r01)"


@pytest.mark.fault(
    "a picture was changed after the model out of fold was asked, and a review shows its answers",
    "the old prediction is not shown; counted and named",
    kind="inputs changed",
)
def test_answer_out_of_fold_about_another_picture_is_not_shown(build: BuildFolder) -> None:
    folds = KfoldFolder(build.path.with_name(f"{build.path.name}.kfold"))
    path = write_answers(folds.predictions_file, [said("r00", "退款页面"), said("r01", "退款页面")])
    paths, text = build.records.filter(id="r01").select("images", "text").collect().row(0)
    now = content_of(ImageContents(build).of(paths), text)
    join_folds(path, asked={"r00": content_of(["0" * 64], "第0条"), "r01": now})
    found = answers(build)
    assert found.labels(build) == {"r01": "退款页面"}
    assert "1 record with other pictures or another text than the model was asked about" in found.notes[1]
    assert found.notes[1].endswith("(r00)")


def test_newest_of_several_runs_counts(build: BuildFolder) -> None:
    old = in_run(build, "train", [said("r00", "退货页面")], "lora-1")
    in_run(build, "train", [said("r00", "退款页面")], "lora-2")
    os.utime(old, (1, 1))
    assert answers(build).labels(build) == {"r00": "退款页面"}


def test_answers_about_nothing_in_the_build_are_counted_and_a_whole_file_of_them_is_an_error(
    build: BuildFolder, tmp_path: Path
) -> None:
    in_run(build, "train", [said("r01", "退款页面"), said("r99", "退款页面")])
    assert "1 of no record of the build is left out, such as r99" in answers(build).notes[0]
    strange = write_answers(tmp_path / "other.jsonl", [said("r011", "退款页面")])
    with pytest.raises(UserError) as raised:
        answers(build, [strange])
    assert "Is it of another build? Did you mean `r11`?" in str(raised.value)


def test_answer_without_a_label_shows_what_it_said_and_why_it_counts_as_none(build: BuildFolder) -> None:
    row = {"id": "r01", "problem": "label_unknown", "detail": "no such label", "answer": HOSTILE}
    in_run(build, "train", [row, said("r02", "退款页面", reason="标题是退款")])
    page = page_of(build)
    details = dict(zip(page.frame["id"], page.details(), strict=True))
    facts = dict(details["r01"]["facts"])
    assert facts["answer_problem"] == "label_unknown: no such label"
    assert "onerror" in facts["answer"]
    assert dict(details["r02"]["facts"])["answer_reason"] == "标题是退款"
    assert "标题是退款" in details["r02"]["searched"]


def test_not_answered_is_no_answer(build: BuildFolder) -> None:
    in_run(build, "train", [{"id": "r01", "problem": "not_answered"}])
    assert answers(build).by_id == {}


def test_command_shows_a_given_file_and_tells_a_damaged_line_by_its_number(
    build: BuildFolder, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = write_answers(tmp_path / "p.jsonl", [said("r01", "退款页面")])
    words = ["review", str(build.path), "--mistakes", "--predictions", str(path), "--json"]
    assert run(words) == 0
    account = json.loads(capsys.readouterr().out)
    assert account["records"] == 1
    assert account["notes"] == ["predictions of 1 record are shown from p.jsonl"]
    path.write_text('{"id": "r01"\n')
    assert run(words) == 2
    assert f"{path}:1" in capsys.readouterr().err


def test_folder_of_other_answers_is_written_anew(build: BuildFolder, tmp_path: Path) -> None:
    folder = tmp_path / "review"
    for reason in ("标题是退款", "底部是退款"):
        in_run(build, "train", [said("r01", "退款页面", reason=reason)])
        write_folder(page_of(build), folder)
        assert reason in (folder / "data" / "00000.js").read_text("utf-8")
