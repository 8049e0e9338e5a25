"""A review of records that bring chats of their own: what they say belongs to what was judged."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from datakit.artifacts.build_folder import BuildFolder
from datakit.library import build
from datakit.reviewing.chosen import Choice, chosen
from datakit.reviewing.records import PageRecords

RECIPE = """\
version: 1
name: chats
run: {max_reject_rate: 1.0}
steps:
  - read.jsonl: {path: chats.jsonl}
  - curate.overrides: {path: overrides.jsonl}
  - curate.split: {val: 0.2}
emit:
  - llamafactory
"""


def chat(number: int, answer: str = "五天。") -> dict[str, object]:
    turns = [{"role": "user", "content": f"订单{number}几天到？"}, {"role": "assistant", "content": answer}]
    return {"id": f"c{number}", "messages": turns}


def write_rows(path: Path, rows: list[dict[str, object]]) -> None:
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), "utf-8")


@pytest.fixture
def project(tmp_path: Path) -> Path:
    (tmp_path / "recipe.yaml").write_text(RECIPE, "utf-8")
    write_rows(tmp_path / "chats.jsonl", [chat(number) for number in range(8)])
    write_rows(tmp_path / "overrides.jsonl", [])
    return tmp_path


def made(project: Path) -> BuildFolder:
    return BuildFolder(build(project / "recipe.yaml", card=False).folder)


def page(project: Path) -> PageRecords:
    folder = made(project)
    return PageRecords(folder, chosen(folder, Choice())[0])


def drop(project: Path, *ids: str) -> None:
    judged = page(project).judged_by_id
    rows: list[dict[str, object]] = [
        {"id": id_, "judged": judged[id_], "action": "drop", "who": "王"} for id_ in ids
    ]
    write_rows(project / "overrides.jsonl", rows)


def test_decision_about_a_chat_is_applied_while_the_chat_is_the_same(project: Path) -> None:
    drop(project, "c1", "c2")
    folder = made(project)
    assert set(folder.rejects.collect()["id"]) == {"c1", "c2"}
    assert folder.main.collect().height == 6


@pytest.mark.fault(
    "a chat is changed after a reviewer judged it",
    "the decision is not applied, counted and named",
    kind="inputs changed",
)
def test_decision_about_a_chat_that_has_changed_since_is_not_applied(project: Path) -> None:
    drop(project, "c1", "c2")
    write_rows(project / "chats.jsonl", [chat(n, "六天。" if n == 1 else "五天。") for n in range(8)])
    folder = made(project)
    assert folder.rejects.collect()["id"].to_list() == ["c2"]
    notes = folder.report.steps[1].notes
    assert [(fault["id"], fault["why"]) for fault in notes["faults"]] == [("c1", "changed")]


def test_the_page_shows_what_the_chat_answers(project: Path) -> None:
    write_rows(project / "chats.jsonl", [chat(number, f"{number}天。") for number in range(8)])
    shown = [row["prompt"] for row in page(project).details()]
    assert all(f"assistant: {number}天。" in shown[number] for number in range(8)), shown
