"""A review in Label Studio and Argilla: their own packages read it, and their answers become decisions."""

from __future__ import annotations

import base64
import json
import os
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import pytest

from datakit.artifacts.build_folder import BuildFolder
from datakit.artifacts.overrides import read_overrides
from datakit.cli import run
from datakit.core.errors import UserError
from datakit.library import build
from datakit.reviewing import argilla
from datakit.reviewing.answers import Answer
from datakit.reviewing.chosen import Choice, chosen
from datakit.reviewing.exchange import export, read_answers
from datakit.reviewing.records import PageRecords
from datakit.reviewing.server import Server
from tests.support.review_builds import HOSTILE, review_build, review_project

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
    judged = next(iter(records.judged_by_id.values()))
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


def test_two_people_of_one_name_are_two_reviewers(records: PageRecords, tmp_path: Path) -> None:
    person = {"first_name": "Li", "last_name": "Wei", "email": ""}
    first = task(records, result=[choice("退货页面")], completed_by={"id": 1, **person})
    first["annotations"].append({"result": [choice("退款页面")], "completed_by": {"id": 2, **person}})
    found = imported(records, tmp_path, [first])
    assert [one.who for one in found.decisions] == ["Li Wei (Label Studio 1)", "Li Wei (Label Studio 2)"]


@pytest.mark.parametrize(
    ("note", "words"),
    [
        ({"was_cancelled": True}, "r00: it was skipped"),
        ({"result": []}, "r00: neither a label nor drop was chosen"),
        ({"result": "x"}, "r00: the annotation has no result"),
        ({"result": [choice("退款页面"), choice("退货页面")]}, "r00: 2 labels were chosen"),
        ({"result": [choice("退款页面"), choice("drop", "drop")]}, "r00: a label and drop were chosen"),
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


def decision(records: PageRecords, place: int = 0, **values: Any) -> dict[str, Any]:
    id_, judged = list(records.judged_by_id.items())[place]
    new = {} if values.get("action", "relabel") != "relabel" else {"new": "退货页面"}
    when = "2026-11-27T10:00:00Z"
    return {"id": id_, "judged": judged, "action": "relabel", "who": "王", "when": when, **new, **values}


def lines_of(*rows: dict[str, Any]) -> str:
    return "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)


def came(records: PageRecords, tmp_path: Path, capsys: Any, text: str | bytes, **times: float) -> Any:
    """What an import of a file says, as a program reads it."""
    path = tmp_path / "in.jsonl"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    if times:
        os.utime(path, (times["at"], times["at"]))
    into = str(tmp_path / "o.jsonl")
    assert run(["review", str(records.build.path), "--import", str(path), "--into", into, "--json"]) == 0
    return json.loads(capsys.readouterr().out)


@pytest.mark.fault(
    "a file of decisions is of another build, in part, or holds times, names, labels or lines that mislead",
    "each kind is counted and named at the import, and every decision is kept",
    kind="inputs changed",
)
@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"id": "gone"}, "1 of 1 decision in {path} is about no record of this build: gone"),
        ({"judged": "0" * 32}, "1 of 1 decision in {path} is about a record that has changed since: r00"),
        (
            {"judged": "0" * 32, "build": "other"},
            "1 of 1 decision in {path} is about a record of the build other and what screens has under its "
            "id is another: r00",
        ),
        (
            {"new": "退货页"},
            "1 decision gives `退货页`, which is no label here: r00. Did you mean `退货页面`?",
        ),
        ({"when": "2026-11-27T10:00:00"}, "1 decision has a time without its zone, read as UTC: r00"),
        ({"when": "2999-01-01T00:00:00Z"}, "1 decision is dated in the future"),
        ({"who": " "}, "1 decision names no reviewer (`who`)"),
    ],
)
def test_what_may_mislead_in_a_file_of_decisions_is_named_and_kept(
    records: PageRecords,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    values: dict[str, Any],
    words: str,
) -> None:
    account = came(records, tmp_path, capsys, lines_of(decision(records, **values)))
    (note,) = account["notes"]
    assert words.format(path=tmp_path / "in.jsonl") in note
    assert account["new"] == 1


def test_ids_are_named_once_however_many_decisions_they_have(
    records: PageRecords, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    text = lines_of(*(decision(records, id=id_, who=who) for who in "王李" for id_ in ("x", "y")))
    (note,) = came(records, tmp_path, capsys, text)["notes"]
    assert note == f"4 of 4 decisions in {tmp_path / 'in.jsonl'} are about no record of this build: x, y"


def test_reviewers_who_disagree_are_named_when_the_second_file_comes(
    records: PageRecords, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert came(records, tmp_path, capsys, lines_of(decision(records)))["notes"] == []
    (note,) = came(records, tmp_path, capsys, lines_of(decision(records, action="drop", who="李")))["notes"]
    assert note.startswith("o.jsonl: reviewers disagree about 1 record, and no one is followed")
    assert note.endswith("r00 (r00: 王: relabel to 退货页面; 李: drop)")
    same = [
        decision(records, 1, action="accept", old="退货页面"),
        decision(records, 1, old="退货页面", who="李"),
    ]
    assert came(records, tmp_path, capsys, lines_of(*same))["notes"] == [note]  # both leave the label


def test_server_tells_what_of_its_file_the_build_will_not_follow_before_anybody_decides(
    records: PageRecords, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(server: Server, poll_interval: float) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(Server, "serve_forever", interrupted)
    rows = [
        decision(records),
        decision(records, action="drop", who="李"),
        decision(records, id="gone", who=""),
    ]
    (tmp_path / "o.jsonl").write_text("\ufeff" + lines_of(*rows, decision(records, 5, new="退货页")), "utf-8")
    words = ["--suspects", "--serve", "--into", str(tmp_path / "o.jsonl"), "--out", str(tmp_path / "page")]
    assert run(["review", str(records.build.path), *words]) == 0
    said = capsys.readouterr()
    assert "Review 4 records at http://127.0.0.1:" in said.out
    assert "4 decisions in" in said.out
    for note in (
        "o.jsonl: 1 decision names no reviewer (`who`)",
        f"1 of 4 decisions in {tmp_path / 'o.jsonl'} is about no record of this build: gone",
        "o.jsonl: 1 decision gives `退货页`, which is no label here",
        "o.jsonl: reviewers disagree about 1 record",
    ):
        assert f"Note: {note}" in said.err


def test_lines_that_are_there_twice_and_a_byte_order_mark_are_no_decisions_more(
    records: PageRecords, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    text = "\ufeff" + lines_of(decision(records), decision(records))
    account = came(records, tmp_path, capsys, text)
    assert (account["new"], account["there_before"], account["doubled"]) == (1, 0, 1)
    assert account["notes"] == ["in.jsonl: 1 decision stands there more than once: r00"]
    assert came(records, tmp_path, capsys, text)["there_before"] == 2


@pytest.mark.parametrize(
    ("text", "words"), [("[]", "an empty list"), ("", "is empty"), ("\ufeff\n \n", "is empty")]
)
def test_file_without_an_answer_is_refused_in_words_of_its_own(
    records: PageRecords, tmp_path: Path, text: str, words: str
) -> None:
    (tmp_path / "a.json").write_text(text, "utf-8")
    with pytest.raises(UserError, match=words):
        read_answers(tmp_path / "a.json", records)


@pytest.mark.fault(
    "a file of answers without times is copied or written anew, and imported again",
    "what the same reviewer said last is no new decision; what was changed and changed back is",
    kind="inputs changed",
)
def test_answers_of_a_file_that_is_only_newer_are_no_new_decisions(
    records: PageRecords, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def go(label: str, at: float) -> tuple[int, int]:
        text = json.dumps([task(records, result=[choice(label)])])
        account = came(records, tmp_path, capsys, text, at=at)
        assert "without a time: that of the file counts, 2001-" in account["notes"][0]
        return account["new"], account["there_before"]

    assert go("退货页面", 1e9) == (1, 0)
    assert go("退货页面", 1e9 + 60) == (0, 1)
    assert go("退款页面", 1e9 + 120) == (1, 0)
    assert go("退货页面", 1e9 + 180) == (1, 0)  # back again
    assert go("退货页面", 1e9 + 240) == (0, 1)
    lines = read_overrides((tmp_path / "o.jsonl").read_text("utf-8"), "o")
    assert [line.override.new for line in lines] == ["退货页面", "退款页面", "退货页面"]
    assert go("退款页面", 1e9 + 150) == (0, 1)  # what was said last then


def test_times_of_the_answers_themselves_count(records: PageRecords, tmp_path: Path) -> None:
    notes = {
        "result": [choice("退货页面")],
        "created_at": "2026-11-26T09:00:00Z",
        "updated_at": "2026-11-26T10:00:00Z",
    }
    (one,) = imported(records, tmp_path, [task(records, **notes)]).decisions
    row = {"id": "r00", "metadata": {"judged": "0" * 32}, "status": "completed"}
    said = {
        "value": "退货页面",
        "user_id": "u",
        "inserted_at": "2026-11-26T09:00:00",
        "updated_at": "2026-11-26T10:00:00",
    }
    found = imported(records, tmp_path, [row | {"responses": {"label": [said]}}])
    assert one.when == found.decisions[0].when == datetime(2026, 11, 26, 10, tzinfo=UTC)
    assert "1 decision has a time without its zone" in found.notes[-1]


def test_what_answers_do_not_say_is_counted_and_named(records: PageRecords, tmp_path: Path) -> None:
    long = {"from_name": "why", "type": "textarea", "value": {"text": ["长" * 2001]}}
    silent, plain = (
        task(records, annotations=None),
        task(records, result=[choice("退货页面"), long], completed_by=None),
    )
    silent["annotations"] = []
    found = imported(records, tmp_path, [silent, plain])
    told = [note.partition(": ")[2].partition(":")[0] for note in found.notes]
    assert told == [
        "1 record without an answer",
        "1 answer without a time",
        "1 answer without a person",
        "1 answer cut, with more than 200 characters of name or 2,000 of reason",
    ]
    assert [one.who for one in found.decisions] == ["Label Studio"]


def test_label_with_half_of_a_sign_is_left_out_with_that_word(records: PageRecords, tmp_path: Path) -> None:
    (words,) = imported(records, tmp_path, [task(records, result=[choice("\ud83d")])]).left_out
    assert "half of a surrogate pair" in words


def test_name_with_control_characters_is_left_out_with_that_word(
    records: PageRecords, tmp_path: Path
) -> None:
    person = {"id": 3, "email": "a\u001b[31m"}
    (words,) = imported(
        records, tmp_path, [task(records, result=[choice("退货页面")], completed_by=person)]
    ).left_out
    assert "control characters" in words


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


def test_decisions_that_the_build_followed_are_not_said_to_be_about_something_else(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    step = f"  - curate.overrides: {{path: ../{tmp_path.name}/data/o.jsonl}}\n"
    recipe = review_project(tmp_path, steps=step)
    (tmp_path / "data").mkdir()
    decisions = tmp_path / "data" / "o.jsonl"
    decisions.touch()
    before = BuildFolder.open(build(recipe).folder)
    records = PageRecords(before, chosen(before, Choice())[0])
    followed = [decision(records, old="购物车页面"), decision(records, 1, action="drop", old="退货页面")]
    changed = decision(records, 2, judged="0" * 32, old="退款页面")
    decisions.write_text(lines_of(*followed, changed), "utf-8")
    build(recipe)
    words = ["review", str(before.path), "--import", str(decisions)]
    assert run(words) == 0
    said = capsys.readouterr()
    assert said.out == "0 decisions added to data/o.jsonl; 3 stood there before.\n"
    assert (
        said.err == "Note: 1 of 3 decisions in data/o.jsonl is about a record that has changed since: r02\n"
    )
    against = [{**one, "who": "李", "action": "accept"} for one in followed]
    for one in against:
        one.pop("new", None)
    decisions.write_text(lines_of(*followed, *against), "utf-8")
    assert run(words) == 0
    told = (
        "o.jsonl: reviewers disagree about 2 records, and no one is followed until one of them decides again"
    )
    assert told in capsys.readouterr().err


@pytest.mark.parametrize(("status", "counts"), [("submitted", True), ("discarded", False), ("draft", False)])
def test_only_a_submitted_response_of_argilla_is_a_decision(status: str, counts: bool) -> None:
    response = {"value": "退货页面", "user_id": "u", "status": status}
    row = {"id": "a", "metadata": {"judged": "0" * 64, "old": "退款页面"}, "responses": {"label": [response]}}
    (found,) = argilla.answers([row])
    assert isinstance(found, Answer) is counts
    assert counts or status in found.why


def responded(*people: str, status: str = "completed", **note: Any) -> dict[str, Any]:
    """A record of Argilla to which these people responded, as its own package writes it."""
    said = [{"value": "退货页面", "user_id": person, **note} for person in people]
    return {
        "id": "r00",
        "metadata": {"judged": "0" * 32},
        "status": status,
        "responses": {"label": said} if said else {},
    }


@pytest.mark.fault(
    "Argilla's file does not say which of several responses to a record were submitted and which are drafts",
    "none is a decision unless --drafts; each is named with why",
    kind="inputs changed",
)
@pytest.mark.parametrize(
    ("row", "enough", "words"),
    [
        (responded("u"), 1, []),
        (responded("u", "v"), 1, ["2 people responded"] * 2),
        (responded("u", "v"), 2, []),
        (responded("u", "v", "w"), 2, ["3 people responded"] * 3),
        (responded("u", status="pending"), 1, ["not submitted (pending)"]),
    ],
)
def test_response_of_argilla_counts_where_it_was_surely_submitted(
    records: PageRecords, tmp_path: Path, row: dict[str, Any], enough: int, words: list[str]
) -> None:
    (tmp_path / ".argilla").mkdir()
    settings = {"distribution": {"strategy": "overlap", "min_submitted": enough}}
    (tmp_path / ".argilla" / "settings.json").write_text(json.dumps(settings))
    found = imported(records, tmp_path, [row])
    assert [word in said for word, said in zip(words, found.left_out, strict=True)] == [True] * len(words)
    assert all("--drafts" in said for said in found.left_out)
    assert len(found.decisions) == (0 if words else len(row["responses"]["label"]))
    every = read_answers(tmp_path / "a.json", records, drafts=True)
    assert (len(every.decisions), every.left_out) == (len(row["responses"]["label"]), [])


def test_who_only_began_a_reason_may_be_the_one_who_did_not_submit(
    records: PageRecords, tmp_path: Path
) -> None:
    row = responded("u")
    row["responses"]["why"] = [{"value": "看图", "user_id": "v"}]
    found = imported(records, tmp_path, [row])
    assert "2 people responded" in found.left_out[0]


@pytest.mark.parametrize(
    "text", ["", "[]", "{}", '{"distribution": {"min_submitted": "2"}}', '{"distribution": 3}', "\udcff"]
)
def test_settings_of_argilla_that_say_nothing_mean_one(
    records: PageRecords, tmp_path: Path, text: str
) -> None:
    (tmp_path / ".argilla").mkdir()
    (tmp_path / ".argilla" / "settings.json").write_bytes(text.encode("utf-8", "surrogateescape"))
    assert len(imported(records, tmp_path, [responded("u", "v")]).left_out) == 2
    assert len(imported(records, tmp_path, [responded("u")]).decisions) == 1


def test_discarded_response_is_none_whatever_is_asked(records: PageRecords, tmp_path: Path) -> None:
    row = responded("u", status="completed")
    row["responses"]["label"][0]["status"] = "discarded"
    (tmp_path / "a.json").write_text(json.dumps([row]))
    found = read_answers(tmp_path / "a.json", records, drafts=True)
    assert found.left_out == ["r00: the response is not submitted (discarded)"]


def test_draft_of_label_studio_is_told_and_taken_only_when_asked(
    records: PageRecords, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    drafted = task(records)
    drafted |= {"annotations": [], "drafts": [{"user": "wang@example.org", "result": [choice("退货页面")]}]}
    (tmp_path / "a.json").write_text(json.dumps([drafted]), "utf-8")
    into = ["--into", str(tmp_path / "o.jsonl")]
    words = ["review", str(records.build.path), "--import", str(tmp_path / "a.json"), *into]
    assert run(words) == 0
    assert "Left out: r00: a draft that nobody submitted; --drafts" in capsys.readouterr().err
    assert run([*words, "--drafts"]) == 0
    assert "1 decision added" in capsys.readouterr().out
    (line,) = read_overrides((tmp_path / "o.jsonl").read_text("utf-8"), "o")
    assert line.override.who == "wang@example.org"
    assert run([*words[:2], "--drafts"]) == 2
    assert "--import" in capsys.readouterr().err


def test_decisions_in_the_encodings_that_the_step_reads_are_imported(
    records: PageRecords, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "o.jsonl").write_text(lines_of(decision(records)), "utf-16")
    (tmp_path / "into.jsonl").write_text(lines_of(decision(records, who="李")), "utf-16")
    words = ["--import", str(tmp_path / "o.jsonl"), "--into", str(tmp_path / "into.jsonl")]
    assert run(["review", str(records.build.path), *words]) == 0
    assert "1 decision added" in capsys.readouterr().out
    assert len(read_overrides((tmp_path / "into.jsonl").read_text("utf-8"), "into")) == 2
