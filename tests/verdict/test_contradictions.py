"""label_conflict on real builds: what a record asks and answers decides, whatever column holds it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from tests.support.toy_builds import Toy, finding

FACTS = ("annotate.image_facts: {}", "curate.duplicates: {}")
COLUMNS = ("question", "title", "text", "query", "group", "row", "answer", "label_text")
EMITTERS = ("llamafactory: {}", "parquet: {}", "messages: {form: trl}", "ms_swift: {}")


@pytest.mark.parametrize("steps", [(), FACTS])
@pytest.mark.parametrize("column", COLUMNS)
def test_the_column_that_the_prompt_uses_is_the_question(
    tmp_path: Path, column: str, steps: tuple[str, ...]
) -> None:
    toy = Toy(tmp_path, prompt=f"{{{{ {column} }}}}", steps=steps)
    toy.picture("a.png", 1)
    (tmp_path / "b.png").write_bytes((tmp_path / "a.png").read_bytes())
    other = next(name for name in COLUMNS if name != column)
    rows = [
        {"image": "a.png", column: "有几件？", other: "甲", "label": "二"},
        {"image": "b.png", column: "有几件？", other: "乙", "label": "三"},
        {"image": "a.png", column: "什么颜色？", other: "甲", "label": "红"},
    ]
    line, ids = finding(toy.build(rows), "label_conflict")
    assert (line.state, ids) == ("failed", ["r000", "r001"])


@pytest.mark.parametrize(
    ("answer", "column", "values", "conflict"),
    [
        ("multi_label", "labels", (["猫", "狗"], ["狗", "猫"]), False),
        ("multi_label", "labels", (["猫"], ["狗"]), True),
        ("multi_label", "labels", (["猫"], []), True),
        ("number", "number", (1000, 1000), False),
        ("number", "number", (3, 4), True),
        ("free_text", "answer", ("一只猫。", "一只猫"), False),
        ("free_text", "answer", ("一只猫", "一只狗"), True),
        ({"fields": [{"name": "n", "kind": "number", "column": "anzahl"}]}, "anzahl", ("3", "3.0"), False),
        ({"fields": [{"name": "n", "kind": "number", "column": "anzahl"}]}, "anzahl", ("3", "5"), True),
        (
            {"fields": ["boxes"]},
            "boxes",
            ([{"box": [0, 0, 9, 9], "label": "x"}], [{"box": [5, 5, 9, 9], "label": "x"}]),
            True,
        ),
    ],
)
@pytest.mark.parametrize("emit", EMITTERS[:2])
def test_what_the_contract_answers_decides_and_no_other_column(
    tmp_path: Path, answer: Any, column: str, values: tuple[Any, Any], conflict: bool, emit: str
) -> None:
    toy = Toy(tmp_path, prompt="{{ question }}", answer=answer, emit=emit)
    toy.picture("a.png", 1)
    rows = [
        {"image": "a.png", "question": "什么？", "label": f"另一个{at}", column: value}
        for at, value in enumerate(values)
    ]
    line, ids = finding(toy.build(rows), "label_conflict")
    assert (line.state, ids) == (("failed", ["r000", "r001"]) if conflict else ("passed", []))


def test_boxes_on_pictures_that_are_merely_alike_may_differ(tmp_path: Path) -> None:
    toy = Toy(tmp_path, prompt="{{ question }}", answer={"fields": ["boxes"]}, steps=FACTS)
    toy.picture("a.png", 1)
    with Image.open(tmp_path / "a.png") as picture:
        picture.convert("RGB").save(tmp_path / "b.jpg", quality=92)
    rows = [
        {"image": name, "question": "在哪里？", "boxes": [{"box": [at, 0, 9, 9], "label": "x"}]}
        for at, name in enumerate(("a.png", "b.jpg"))
    ]
    assert finding(toy.build(rows), "label_conflict")[0].state == "passed"
    rows[1]["image"] = "a.png"
    assert finding(toy.build(rows), "label_conflict")[0].state == "failed"


def chat(question: str, answer: str) -> dict[str, Any]:
    return {
        "messages": [
            {"role": "user", "content": f"<image>{question}"},
            {"role": "assistant", "content": answer},
        ]
    }


@pytest.mark.parametrize("emit", EMITTERS)
def test_kept_messages_are_question_and_answer(tmp_path: Path, emit: str) -> None:
    toy = Toy(tmp_path, prompt="{{ text }}", render={"keep_messages": True}, emit=emit)
    toy.picture("a.png", 1)
    rows = [
        {"image": "a.png", "label": "甲", **chat("这是什么？", "猫")},
        {"image": "a.png", "label": "乙", **chat("多少只？", "两只")},
        {"image": "a.png", "label": "丙", **chat("这是什么？", "狗")},
        {"image": "a.png", "label": "丁", **chat("多少只？", "两只。")},
    ]
    line, ids = finding(toy.build(rows), "label_conflict")
    assert (line.state, ids) == ("failed", ["r000", "r002"])


def test_messages_that_are_rendered_anew_do_not_count(tmp_path: Path) -> None:
    toy = Toy(tmp_path, prompt="类别？")
    toy.picture("a.png", 1)
    rows = [
        {"image": "a.png", "label": "甲", **chat("这是什么？", "猫")},
        {"image": "a.png", "label": "乙", **chat("多少只？", "两只")},
    ]
    assert finding(toy.build(rows), "label_conflict")[1] == ["r000", "r001"]


def test_several_pictures_are_compared_in_their_order(tmp_path: Path) -> None:
    toy = Toy(tmp_path, prompt="哪一张更好？", emit="parquet: {}")
    for name, seed in (("a.png", 1), ("b.png", 2)):
        toy.picture(name, seed)
    (tmp_path / "c.png").write_bytes((tmp_path / "a.png").read_bytes())
    rows = [
        {"image": ["a.png", "b.png"], "label": "一"},
        {"image": ["b.png", "a.png"], "label": "二"},
        {"image": ["c.png", "b.png"], "label": "三"},
    ]
    assert finding(toy.build(rows), "label_conflict")[1] == ["r000", "r002"]


def test_a_look_alike_is_one_where_curate_duplicates_compared(tmp_path: Path) -> None:
    rows = [{"image": "a.jpg", "q": "？", "label": "一"}, {"image": "b.jpg", "q": "？", "label": "二"}]
    for steps, ids in ((FACTS, ["r000", "r001"]), ((), [])):
        folder = tmp_path / str(len(steps))
        folder.mkdir()
        toy = Toy(folder, prompt="{{ q }}", steps=steps)
        toy.picture("a.jpg", 1, quality=95)
        toy.picture("b.jpg", 1, quality=85)
        assert finding(toy.build(rows), "label_conflict")[1] == ids


def test_records_of_the_same_text_alone_are_told_by_the_column_of_the_prompt(tmp_path: Path) -> None:
    toy = Toy(tmp_path, prompt="{{ title }}")
    rows = [
        {"title": "红色连衣裙", "text": "一", "label": "甲"},
        {"title": "红色连衣裙", "text": "二", "label": "乙"},
        {"title": "蓝色长裤", "text": "一", "label": "丙"},
    ]
    assert finding(toy.build(rows), "label_conflict")[1] == ["r000", "r001"]
