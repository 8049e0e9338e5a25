"""`datakit why`: the life of one record."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

Run = Callable[..., Any]


def story_of(datakit: Run, place: object, id_: str, *options: str) -> dict[str, Any]:
    done = datakit("why", place, id_, "--json", *options)
    assert (done.code, done.err) == (0, "")
    story: dict[str, Any] = json.loads(done.out)
    story["by_name"] = {step["name"]: step for step in story["steps"]}
    return story


def test_every_step_tells_what_it_changed_and_what_was_paid(datakit: Run, recipe: Path) -> None:
    datakit("build", recipe, "--no-card")
    story = story_of(datakit, recipe, "n3")
    assert [step["name"] for step in story["steps"]] == [
        "toy.numbers",
        "toy.only_odd",
        "toy.work",
        "toy.drop_short",
        "toy.process_work",
    ]
    work = story["by_name"]["toy.work"]
    assert work["changes"] == [{"column": "worked", "before": None, "after": "3"}]
    assert (work["answer"]["stored"], work["answer"]["raw"]) == (True, "3")
    assert work["answer"]["meta"] == {"cost_usd": 0.5}
    assert len(work["answer"]["key"]) == 32
    assert story["by_name"]["toy.process_work"]["changes"][0]["after"] == "33"
    assert (story["source_file"], story["source_line"]) == ("numbers", 3)


def test_replaced_column_shows_before_and_after(datakit: Run, recipe: Path) -> None:
    recipe.write_text(recipe.read_text().replace("into: again", "into: worked"))
    datakit("build", recipe, "--no-card")
    change = story_of(datakit, recipe, "n3")["by_name"]["toy.process_work"]["changes"]
    assert change == [{"column": "worked", "before": "3", "after": "33"}]
    assert "worked: 3 -> 33" in datakit("why", recipe, "n3").out


def test_rejected_record_ends_at_its_step_with_the_reason(datakit: Run, recipe: Path) -> None:
    datakit("build", recipe, "--no-card")
    for place in (recipe, "build/toy"):
        last = story_of(datakit, place, "n2")["steps"][-1]
        assert (last["name"], last["state"], last["reason"]) == ("toy.only_odd", "rejected", "even")
    recorded = story_of(datakit, "build/toy", "n2", "--no-replay")
    assert [step["name"] for step in recorded["steps"]] == ["toy.numbers", "toy.only_odd"]
    assert recorded["steps"][-1]["reason"] == "even"


def test_rejection_by_a_paid_step_names_its_stored_answer(datakit: Run, recipe: Path) -> None:
    options = ("--set", "toy.work.refuse=['3']")
    datakit("build", recipe, "--no-card", *options)
    last = story_of(datakit, recipe, "n3", *options)["steps"][-1]
    assert (last["name"], last["state"], last["reason"]) == ("toy.work", "rejected", "refused")
    assert last["answer"]["stored"]


def test_record_without_a_paid_result_is_open(datakit: Run, recipe: Path) -> None:
    story = story_of(datakit, recipe, "n1")
    assert story["by_name"]["toy.work"]["state"] == "open"
    assert not (recipe.parent.parent / "log").exists()


def test_build_without_its_recipe_tells_what_it_recorded(datakit: Run, recipe: Path) -> None:
    datakit("build", recipe, "--no-card")
    recipe.unlink()
    story = story_of(datakit, "build/toy", "n5")
    assert not story["replayed"]
    assert story["by_name"]["toy.work"]["answer"]["raw"] == "5"
    assert story["record"]["worked"] == "5"
    assert "Columns at the end:" in datakit("why", "build/toy", "n5").out


def test_rows_in_the_emitted_files_are_found(datakit: Run, recipe: Path) -> None:
    datakit("build", recipe, "--no-card")
    folder = recipe.parent.parent / "build" / "toy"
    rows = [{"id": "n1", "messages": [{"role": "user", "content": "问"}]}, {"id": "n11", "note": "n1"}]
    rows.append(rows[0])
    (folder / "toy_train.json").write_text("[\n" + ",\n".join(json.dumps(row) for row in rows) + "\n]\n")
    manifest = json.loads((folder / "manifest.json").read_text())
    manifest["records"]["toy_train.json"] = 3
    (folder / "manifest.json").write_text(json.dumps(manifest))
    places = story_of(datakit, "build/toy", "n1")["places"]
    assert [(place["file"], place["line"]) for place in places] == [
        ("toy_train.json", 2),
        ("toy_train.json", 4),
    ]
    assert "build/toy/toy_train.json:4" in datakit("why", "build/toy", "n1").out


def test_failed_build_is_looked_into(datakit: Run, recipe: Path) -> None:
    done = datakit("build", recipe, "--no-card", "--set", "run.max_reject_rate=0.1")
    assert done.code == 1
    recipe.unlink()
    (recipe.parent.parent / "build" / "toy").mkdir()
    last = story_of(datakit, "build/toy", "n2")["steps"][-1]
    assert (last["state"], last["reason"]) == ("rejected", "even")


def test_unknown_id_gets_a_near_one(datakit: Run, recipe: Path) -> None:
    for place in (recipe, recipe, "build/toy"):
        done = datakit("why", place, "n33")
        assert done.code == 2
        assert "Did you mean `n3`" in done.err
        datakit("build", recipe, "--no-card")


def test_unknown_build_lists_those_that_are_there(datakit: Run, recipe: Path) -> None:
    datakit("build", recipe, "--no-card")
    done = datakit("why", "build/toi", "n1")
    assert done.code == 2
    assert "Did you mean `build/toy`?" in done.err


SHRINKING = """
name: long
steps:
  - read.jsonl: {path: d.jsonl}
  - render.chat: {prompt: p.j2, answer: label_only, max_chars: 60, shrink: [hint, text]}
emit: [llamafactory]
"""


def test_shortened_prompt_is_told_in_words(
    datakit: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "templates").mkdir()
    (tmp_path / "templates" / "p.j2").write_text("{{ text }}\n{{ hint }}\n类别？", "utf-8")
    row = {"id": "r1", "label": "甲", "text": "短句。", "hint": "很长的提示。" * 20}
    (tmp_path / "d.jsonl").write_text(json.dumps(row) + "\n", "utf-8")
    (tmp_path / "long.yaml").write_text(SHRINKING, "utf-8")
    assert datakit("build", "long.yaml", "--no-card").code == 0
    assert story_of(datakit, "long.yaml", "r1")["steps"][-1]["note"] == "prompt shortened: hint cut"
    assert "     prompt shortened: hint cut" in datakit("why", "long.yaml", "r1").out
    assert (
        "Note: The prompt was shortened: hint cut." in datakit("why", "build/long", "r1", "--no-replay").out
    )


def test_column_without_a_value_is_told_by_no_empty_line(
    datakit: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    rows = [{"id": f"r{number}", "text": f"第{number}条", "label": "甲", "note": " "} for number in range(3)]
    Path("d.jsonl").write_text("\n".join(json.dumps(row, ensure_ascii=False) for row in rows), "utf-8")
    Path("g.json").write_text('[{"instruction": "你好吗？", "output": "我很好，谢谢你。"}]', "utf-8")
    Path("p.j2").write_text("这是什么？{{ text }}", "utf-8")
    Path("r.yaml").write_text(
        "name: mixed\nsteps:\n  - read.jsonl: {path: d.jsonl, label: label}\n"
        "  - render.chat: {prompt: p.j2, answer: label_only}\n"
        "  - mix.general: {read.alpaca: {path: g.json}, share: 0.3, licence: MIT}\n"
        "emit:\n  - parquet: {}\nrun: {store: .store}\n",
        "utf-8",
    )
    Path("templates").mkdir()
    Path("p.j2").rename("templates/p.j2")
    assert datakit("build", "r.yaml", "--no-card").code == 0
    for options in ([], ["--no-replay"]):
        out = datakit("why", "build/mixed", "r1", *options).out
        assert not [line for line in out.splitlines() if line.endswith(": ")]
        assert 'note: " "' in out
    told = story_of(datakit, "build/mixed", "r1")["by_name"]["mix.general"]["changes"]
    assert "set" not in [change["column"] for change in told]
