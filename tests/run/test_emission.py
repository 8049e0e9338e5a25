"""What one emitter has no place for stays in the build, is accounted for, and is written by the others."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from datakit.artifacts.build_folder import BuildFolder, failed_build
from datakit.cli import run
from datakit.core.errors import UserError
from datakit.library import build
from datakit.run.build import BuildFailed
from datakit.verdict import records_of, verdict

TWO_CALLS = '[{"name": "a", "arguments": {}}, {"name": "b", "arguments": {}}]'


def chat(*texts: str) -> list[dict[str, str]]:
    roles = (
        ("user", "assistant") if len(texts) == 2 else ("user", "function_call", "observation", "assistant")
    )
    return [{"role": role, "content": text} for role, text in zip(roles, texts, strict=True)]


def rows() -> list[dict[str, Any]]:
    return [
        {"id": "plain", "images": ["a.jpg"], "messages": chat("<image>这是？", "猫")},
        {"id": "many", "images": ["a.jpg"] * 11, "messages": chat("<image>" * 11, "猫")},
        {"id": "calls", "images": ["a.jpg"], "messages": chat("<image>查", TWO_CALLS, "晴", "晴天")},
        {"id": "shown", "images": ["a.jpg"], "messages": chat("这是？", "猫<image>")},
    ]


def recipe(folder: Path, *emitters: str, rate: float = 1, fail_on: str = "") -> Path:
    Image.new("RGB", (60, 90), (200, 30, 40)).save(folder / "a.jpg")
    (folder / "d.jsonl").write_text("\n".join(json.dumps(row) for row in rows()[:3]), "utf-8")
    (folder / "templates").mkdir()
    (folder / "templates/p.j2").write_text("{% for _ in images %}<image>{% endfor %}")
    (folder / "r.yaml").write_text(
        "name: toy\ncard: {language: en}\nsteps:\n  - read.jsonl: {path: d.jsonl}\n"
        "  - render.chat: {prompt: p.j2, answer: label_only, keep_messages: true}\n"
        f"emit: [{', '.join(emitters)}]\n"
        f"run: {{store: .store, max_reject_rate: {rate}, workers: 1, fail_on: [{fail_on}]}}\n"
    )
    return folder / "r.yaml"


BOTH = ("llamafactory: {}", "messages: {}")


def ids(path: Path) -> list[str]:
    return [row["id"] for row in json.loads(path.read_text("utf-8"))]


def test_record_that_one_emitter_cannot_carry_is_in_the_files_of_the_other(tmp_path: Path) -> None:
    made = build(recipe(tmp_path, *BOTH), card=False)
    assert sorted(ids(made.folder / "toy_train.json")) == ["calls", "many", "plain"]
    assert len((made.folder / "toy_openai_train.jsonl").read_text().splitlines()) == 1
    factory, openai = made.report.steps[-2:]
    assert (factory.records_in, factory.records_out, factory.rejected) == (3, 3, {})
    assert (openai.records_in, openai.records_out) == (3, 1)
    assert openai.rejected == {"images_too_many": 1, "tool_call_form": 1}
    assert all(step.balanced for step in made.report.steps)
    assert (made.report.rejected, made.report.not_emitted) == (0, 2)
    assert sorted(BuildFolder(made.folder).records.collect()["id"]) == ["calls", "many", "plain"]


def test_what_is_left_out_stands_in_the_rejects_with_its_place(tmp_path: Path) -> None:
    made = build(recipe(tmp_path, *BOTH), card=False)
    lines = [json.loads(line) for line in (made.folder / "rejects.jsonl").read_text("utf-8").splitlines()]
    assert [(line["id"], line["step"], line["name"], line["state"]) for line in lines] == [
        ("many", 4, "emit.messages", "rejected"),
        ("calls", 4, "emit.messages", "rejected"),
    ]
    assert [(Path(line["source_file"]).name, line["source_line"]) for line in lines] == [
        ("d.jsonl", 2),
        ("d.jsonl", 3),
    ]
    assert "11 pictures" in lines[0]["detail"]


def test_verdict_and_card_say_which_emitter_lacks_how_many(tmp_path: Path) -> None:
    made = build(recipe(tmp_path, *BOTH))
    folder = BuildFolder(made.folder)
    finding, records = records_of(folder, "not_emitted")
    words = "emit.messages lacks 2 of 3 (images_too_many 1, tool_call_form 1)"
    assert (finding.state, finding.count, finding.words) == ("warned", 2, words)
    assert records is not None
    assert sorted(records.collect()["id"]) == ["calls", "many"]
    assert next(line for line in verdict(folder) if line.kind == "rejected").state == "passed"
    card = next(path for path in made.cards if path.suffix == ".md").read_text("utf-8")
    assert "lacks 2 of 3" in card
    assert "lacking in its own files alone" in card


def test_files_that_lack_nothing_are_said_to_be_whole(tmp_path: Path) -> None:
    made = build(recipe(tmp_path, "llamafactory: {}"), card=False)
    finding, _ = records_of(BuildFolder(made.folder), "not_emitted")
    assert (finding.state, finding.count) == ("passed", 0)


def test_more_than_the_allowed_rate_left_out_fails_the_build(tmp_path: Path) -> None:
    path = recipe(tmp_path, *BOTH, rate=0.5)
    with pytest.raises(BuildFailed, match=r"2 of 3 records were rejected.*images_too_many 1 \(step 4"):
        build(path, card=False)
    assert not (tmp_path / "build" / "toy").exists()
    kept = failed_build(tmp_path / "build" / "toy").rejects_file.read_text("utf-8").splitlines()
    assert [json.loads(line)["id"] for line in kept] == ["many", "calls"]


def test_emitters_are_held_against_the_rate_one_by_one(tmp_path: Path) -> None:
    made = build(recipe(tmp_path, "messages: {}", "llamafactory: {}", "hub: {}", rate=0.7), card=False)
    assert [sum(step.rejected.values()) for step in made.report.steps[-3:]] == [2, 0, 0]


def test_emitter_left_with_nothing_says_what_it_lacks_and_keeps_the_account(tmp_path: Path) -> None:
    path = recipe(tmp_path, "messages: {}")
    (tmp_path / "d.jsonl").write_text("\n".join(json.dumps(row) for row in rows()[1:]), "utf-8")
    with pytest.raises(UserError, match=r"no record is left for training.*many \(images_too_many\)"):
        build(path, card=False)
    kept = failed_build(tmp_path / "build" / "toy").rejects_file.read_text("utf-8").splitlines()
    assert [json.loads(line)["id"] for line in kept] == ["many", "calls", "shown"]


def test_recipe_may_have_such_a_build_fail(tmp_path: Path) -> None:
    with pytest.raises(BuildFailed, match=r"not_emitted: .* emit\.messages lacks 2 of 3"):
        build(recipe(tmp_path, *BOTH, fail_on="not_emitted"), card=False)


@pytest.mark.parametrize("replay", [True, False])
def test_why_tells_which_files_lack_a_record_and_where_it_is(
    tmp_path: Path, replay: bool, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    made = build(recipe(tmp_path, *BOTH), card=False)
    place = str(tmp_path / "r.yaml") if replay else str(made.folder)
    assert run(["why", place, "many", "--json"]) == 0
    story = json.loads(capsys.readouterr().out)
    left = [step for step in story["steps"] if step["state"] == "rejected"]
    assert [(step["name"], step["reason"]) for step in left] == [("emit.messages", "images_too_many")]
    assert [place["file"] for place in story["places"]] == ["toy_train.json"]
