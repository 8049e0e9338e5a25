"""curate.duplicates in real recipes: only what asks and answers the same is dropped or in conflict."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from datakit.artifacts.build_folder import BuildFolder
from datakit.core.chat_columns import ChatColumns, chat_columns
from datakit.core.compared import compared
from datakit.library import load
from tests.support.toy_builds import Toy

DROP = ("annotate.image_facts: {}", "curate.duplicates: {drop: equal}")
REJECT = ("annotate.image_facts: {}", "curate.duplicates: {on_label_conflict: reject}")
NAMES = ("question", "title", "text", "conflict", "pictures", "key", "lost", "closed", "whole")


def rejected(build: BuildFolder) -> list[tuple[str, str, str]]:
    return [(line["id"], line["reason"], line["detail"]) for line in build.reject_lines()]


@pytest.mark.parametrize("column", NAMES)
def test_other_questions_in_any_column_are_not_dropped(tmp_path: Path, column: str) -> None:
    toy = Toy(tmp_path, prompt=f"{{{{ {column} }}}}", steps=DROP)
    toy.picture("a.png", 1)
    other = next(name for name in NAMES if name != column)
    rows = [
        {"image": "a.png", column: "有几件？", other: "x", "label": "是"},
        {"image": "a.png", column: "是红的吗？", other: "x", "label": "是"},
        {"image": "a.png", column: "有几 件？", other: "y", "label": "是"},
    ]
    assert rejected(toy.build(rows)) == [("r002", "duplicate", "same picture, label and text as r000")]


@pytest.mark.parametrize(
    ("answer", "column", "values"),
    [
        ("multi_label", "labels", (["猫"], ["狗"], ["猫"])),
        ("number", "number", (3, 4, 3)),
        ("free_text", "answer", ("一只猫", "一只狗", "一只猫")),
        ("label_first", "reason", ("因为毛", "因为尾巴", "因为毛")),
        (
            {"fields": ["boxes"]},
            "boxes",
            ([{"box": [0, 0, 9, 9]}], [{"box": [1, 1, 9, 9]}], [{"box": [0, 0, 9, 9]}]),
        ),
    ],
)
def test_other_answers_of_any_kind_are_not_dropped(
    tmp_path: Path, answer: Any, column: str, values: tuple[Any, ...]
) -> None:
    toy = Toy(tmp_path, prompt="{{ question }}", answer=answer, steps=DROP)
    toy.picture("a.png", 1)
    rows = [
        {"image": "a.png" if at < 3 else "b.png", "question": "？", "label": "同", column: value}
        for at, value in enumerate(values)
    ]
    build = toy.build(rows)
    # Of labels, numbers and boxes one alone can be right, so records in a conflict stay to be looked at.
    closed = answer in ("multi_label", "number") or isinstance(answer, dict)
    assert [id_ for id_, *_ in rejected(build)] == ([] if closed else ["r002"])
    reviews = build.records.collect()["review"].to_list()
    assert all(reviews) is (closed or answer == "free_text")


def test_other_answers_of_kept_messages_are_not_dropped(tmp_path: Path) -> None:
    toy = Toy(tmp_path, prompt="{{ text }}", render={"keep_messages": True}, steps=DROP)
    toy.picture("a.png", 1)

    def row(question: str, answer: str) -> dict[str, Any]:
        turns = [
            {"role": "user", "content": f"<image>{question}"},
            {"role": "assistant", "content": answer},
        ]
        return {"image": "a.png", "label": "同", "messages": turns}

    rows = [row("这是什么？", "猫"), row("这是什么？", "狗"), row("多少只？", "猫"), row("这是什么？", "狗")]
    build = toy.build(rows)
    assert rejected(build) == [("r003", "duplicate", "same picture, label and text as r001")]
    assert build.records.collect()["duplicate_of"].to_list() == ["r000", "r000", "r002"]


def test_conflicts_are_those_of_the_answer_and_not_of_an_unused_label(tmp_path: Path) -> None:
    toy = Toy(tmp_path, prompt="{{ q }}", answer="number", steps=REJECT)
    toy.picture("a.png", 1)
    toy.picture("b.png", 2)
    rows = [
        {"image": "a.png", "q": "？", "label": "甲", "number": 1},
        {"image": "a.png", "q": "？", "label": "乙", "number": 1},
        {"image": "b.png", "q": "？", "label": "丙", "number": 1},
        {"image": "b.png", "q": "？", "label": "丙", "number": 2},
    ]
    build = toy.build(rows)
    assert rejected(build) == [
        ("r002", "label_conflict", "another number on the same picture: 2 (r003)"),
        ("r003", "label_conflict", "another number on the same picture: 1 (r002)"),
    ]


RECIPE = """
name: x
steps:
  - read.jsonl: {path: d.jsonl}
  - annotate.image_facts: {}
  - curate.duplicates: {}
  - annotate.ocr: {engine: rapidocr, into: ocr}
  - annotate.describe: {template: d.j2, into: description}
  - render.chat: {prompt: p.j2, answer: reason_first}
emit:
  - llamafactory: {}
"""


def test_what_steps_made_of_a_picture_is_no_question_but_what_they_read_is(tmp_path: Path) -> None:
    (tmp_path / "templates").mkdir()
    (tmp_path / "templates/d.j2").write_text("描述 {{ brand }}", "utf-8")
    text = "<image>{{ description }}{{ ocr_text }}{{ title }}{{ id }}\n{{ answer_format }}"
    (tmp_path / "templates/p.j2").write_text(text, "utf-8")
    (tmp_path / "d.jsonl").write_text('{"image": "a.png", "title": "t", "brand": "b", "label": "l"}\n')
    (tmp_path / "r.yaml").write_text(RECIPE, "utf-8")
    columns = chat_columns(load(tmp_path / "r.yaml").context())
    assert columns.question == ("brand", "title")
    assert set(columns.fields) == {"reason", "label"}
    assert columns.messages == "never"


QUESTIONS = st.lists(st.sampled_from(["有几件？", "什么颜色？", "多少钱？", None]), min_size=1, max_size=8)


@settings(max_examples=60, deadline=None)
@given(questions=QUESTIONS, names=st.permutations(["question", "title", "text", "any column"]))
def test_the_name_of_the_column_changes_nothing(questions: list[str | None], names: list[str]) -> None:
    import polars as pl

    def asked(column: str) -> list[str]:
        others = {name: [f"{name} {at}" for at in range(len(questions))] for name in names if name != column}
        frame = pl.DataFrame({**others, column: questions}, schema_overrides={column: pl.String})
        return compared(frame, ChatColumns((column,), messages="never"), None)["question"].to_list()

    assert asked(names[0]) == asked(names[-1])
    assert len(set(asked(names[0]))) == len({question or "" for question in questions})
