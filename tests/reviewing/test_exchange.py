"""A review in Label Studio and Argilla: their own packages read it, and their answers become decisions."""

from __future__ import annotations

import base64
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import pytest

from datakit.artifacts.overrides import read_overrides
from datakit.cli import run
from datakit.core.errors import UserError
from datakit.reviewing import argilla
from datakit.reviewing.answers import Answer
from datakit.reviewing.chosen import Choice, chosen
from datakit.reviewing.exchange import export, read_answers
from datakit.reviewing.records import PageRecords
from tests.support.review_builds import HOSTILE, review_build

CHECK = Path(__file__).resolve().parents[1] / "support" / "exchange_check.py"


@pytest.fixture(scope="module")
def records(tmp_path_factory: pytest.TempPathFactory) -> PageRecords:
    folder = review_build(tmp_path_factory.mktemp("project"))
    return PageRecords(folder, chosen(folder, Choice())[0])


@pytest.mark.exchange
@pytest.mark.parametrize(
    ("tool", "who"),
    [("label-studio", "wang@example.org"), ("argilla", "Argilla 00000000-0000-0000-0000-000000000001")],
)
def test_their_own_packages_read_it_and_the_answers_come_back(
    records: PageRecords, tmp_path: Path, tool: str, who: str
) -> None:
    export(records, tool, tmp_path / "out")
    python = os.environ.get("DATAKIT_EXCHANGE_PYTHON", sys.executable)
    words = [python, str(CHECK), tool, str(tmp_path / "out"), str(tmp_path / "answers.json")]
    done = subprocess.run(words, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    found = read_answers(tmp_path / "answers.json", records)
    assert found.left_out == []
    is_dated = tool == "label-studio"  # Argilla writes no times
    assert ["without a time" in note for note in found.notes] == ([] if is_dated else [True])
    assert {f"{one.when:%H:%M}" for one in found.decisions if is_dated} <= {"11:00"}
    assert len(found.decisions) == records.count
    first, second, third = found.decisions[:3]
    assert (first.action, second.action) == ("drop", "accept")
    assert (third.action, third.new) in (("accept", None), ("relabel", "退款页面"))
    assert {one.who for one in found.decisions} == {who}
    assert {one.why for one in found.decisions} == {"看图"}


@pytest.mark.fault(
    "a record of a review that goes to Label Studio or Argilla has several pictures, or one that is damaged",
    "every picture is there, in its order; those that cannot be read are counted and named",
    kind="pages",
)
@pytest.mark.parametrize("tool", ["label-studio", "argilla"])
def test_every_picture_of_a_record_goes_along_and_a_damaged_one_is_named(
    tmp_path: Path, tool: str, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = review_build(tmp_path)
    words = ["review", str(folder.path), "--export", tool]
    assert run([*words, str(tmp_path / "a")]) == 0
    assert "Note" not in capsys.readouterr().err
    assert [len(pictures_of(tmp_path / "a", tool)[at]) for at in (7, 8, 10)] == [0, 1, 3]
    first, second, third = pictures_of(tmp_path / "a", tool)[10]
    assert len({first, second, third}) == 3
    (tmp_path / "10b.png").write_bytes(b"no picture")
    assert run([*words, str(tmp_path / "b"), "--json"]) == 0
    said = capsys.readouterr()
    assert "1 picture that cannot be read left out: r10 (10b.png)" in said.err
    assert json.loads(said.out)["notes"][-1] == "1 picture that cannot be read left out: r10 (10b.png)"
    assert pictures_of(tmp_path / "b", tool)[10] == [first, third]


def pictures_of(folder: Path, tool: str) -> list[list[bytes]]:
    """The pictures of each record, as the tool is given them."""
    if tool == "argilla":
        rows = json.loads((folder / "records.json").read_text("utf-8"))
        names = [
            field["name"]
            for field in json.loads((folder / ".argilla" / "settings.json").read_text())["fields"]
        ]
        assert not [row for row in rows if not row["fields"].keys() <= set(names)]
        shown = [
            [row["fields"][name] for name in names if name in row["fields"] and name != "told"]
            for row in rows
        ]
        return [[base64.b64decode(uri.partition(",")[2]) for uri in uris] for uris in shown]
    places = [task["data"]["images"] for task in json.loads((folder / "tasks.json").read_text("utf-8"))]
    files = [[unquote(place).partition("?d=")[2] for place in row] for row in places]
    return [[(folder.parent / name).read_bytes() for name in row] for row in files]


def task(records: PageRecords, **note: Any) -> dict[str, Any]:
    judged = records.judged()[0]
    data = {"record": "r00", "judged": judged, "old": "购物车页面", "build": "screens"}
    return {"id": 1, "data": data, "annotations": [{"result": [], "completed_by": 3, **note}]}


def choice(label: str, name: str = "new_label") -> dict[str, Any]:
    return {"from_name": name, "to_name": "told", "type": "choices", "value": {"choices": [label]}}


def imported(records: PageRecords, tmp_path: Path, document: Any) -> Any:
    (tmp_path / "a.json").write_text(json.dumps(document), "utf-8")
    return read_answers(tmp_path / "a.json", records)


def test_two_annotators_of_a_task_are_two_decisions(records: PageRecords, tmp_path: Path) -> None:
    document = [task(records, result=[choice("退货页面")])]
    document[0]["annotations"].append({"result": [choice("退款页面")], "completed_by": 4})
    found = imported(records, tmp_path, document)
    assert [(one.who, one.new) for one in found.decisions] == [
        ("Label Studio 3", "退货页面"),
        ("Label Studio 4", "退款页面"),
    ]


@pytest.mark.parametrize(
    ("note", "words"),
    [
        ({"was_cancelled": True}, "r00: it was skipped"),
        ({"result": []}, "r00: neither a label nor drop was chosen"),
        ({"result": "x"}, "r00: the annotation has no result"),
    ],
)
def test_what_decides_nothing_is_left_out_and_told(
    records: PageRecords, tmp_path: Path, note: dict[str, Any], words: str
) -> None:
    assert imported(records, tmp_path, [task(records, **note)]).left_out == [words]


@pytest.mark.fault(
    "answers of another tool are about records of another build",
    "they are counted and named, and kept for the build that they are about",
    kind="inputs changed",
)
def test_answers_about_other_records_are_named(records: PageRecords, tmp_path: Path) -> None:
    stranger, changed = task(records, result=[choice("退货页面")]), task(records, result=[choice("退货页面")])
    stranger["data"]["record"] = "gone"
    changed["data"]["judged"] = "0" * 32
    found = imported(records, tmp_path, [stranger, changed])
    assert len(found.decisions) == 2
    assert "1 of 2 decisions" in found.notes[0]
    assert "no record of this build: gone" in found.notes[0]
    assert "changed since: r00" in found.notes[1]


@pytest.mark.parametrize("document", [[{"a": 1}], [3], {"label": "x"}, [], "x"])
def test_other_files_are_refused_with_what_to_export(
    records: PageRecords, tmp_path: Path, document: Any
) -> None:
    with pytest.raises(UserError):
        imported(records, tmp_path, document)


def test_folder_that_is_there_is_not_written_into(records: PageRecords, tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("x")
    with pytest.raises(UserError, match="is there already"):
        export(records, "argilla", tmp_path)


@pytest.mark.parametrize("tool", ["label-studio", "argilla"])
def test_export_is_json_and_xml_whatever_the_words(records: PageRecords, tmp_path: Path, tool: str) -> None:
    export(records, tool, tmp_path / "out")
    files = {path.relative_to(tmp_path / "out").as_posix() for path in (tmp_path / "out").rglob("*.*")}
    assert not [name for name in files if HOSTILE in name or ".." in name]
    document = json.loads(
        (tmp_path / "out" / ("tasks.json" if tool == "label-studio" else "records.json")).read_text("utf-8")
    )
    assert len(document) == records.count


def test_command_adds_what_is_new_to_the_project_and_says_what_was_there(
    records: PageRecords, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "a.json").write_text(json.dumps([task(records, result=[choice("退货页面")])]), "utf-8")
    into = tmp_path / "o.jsonl"
    words = ["review", str(records.build.path), "--import", str(tmp_path / "a.json"), "--into", str(into)]
    assert run(words) == 0
    assert "1 decision added" in capsys.readouterr().out
    assert run([*words, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["there_before"] == 1
    (line,) = read_overrides(into.read_text("utf-8"), "o")
    assert (line.override.id, line.override.new) == ("r00", "退货页面")


@pytest.mark.parametrize(("status", "counts"), [("submitted", True), ("discarded", False), ("draft", False)])
def test_only_a_submitted_response_of_argilla_is_a_decision(status: str, counts: bool) -> None:
    response = {"value": "退货页面", "user_id": "u", "status": status}
    row = {"id": "a", "metadata": {"judged": "0" * 64, "old": "退款页面"}, "responses": {"label": [response]}}
    (found,) = argilla.answers([row])
    assert isinstance(found, Answer) is counts
    assert counts or status in found.why
