"""Leaks between training and validation on real builds, whatever is emitted and whatever the prompt uses."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.toy_builds import Toy, finding

COLUMNS = ("question", "title", "text", "question_text", "key")
EMITTERS = ("llamafactory: {}", "parquet: {}", "messages: {form: trl}", "ms_swift: {}")
GIVEN = ("curate.split: {val: 0.4, group: side, stratify: null, same_text: null}",)
LONG = "红色真丝连衣裙女装夏季新款收腰显瘦气质长裙送腰带包邮"


def by_sides(toy: Toy, rows: list[dict[str, object]]) -> dict[str, str]:
    """Each id's part, and proof that both parts are there."""
    frame = toy.build(rows).records.collect()
    parts = dict(frame.select("id", "part").iter_rows())
    assert set(parts.values()) == {"train", "val"}
    return parts


@pytest.mark.parametrize("emit", EMITTERS)
@pytest.mark.parametrize("steps", [(), ("annotate.image_facts: {}",)])
def test_a_picture_under_two_names_leaks_whatever_is_emitted(
    tmp_path: Path, emit: str, steps: tuple[str, ...]
) -> None:
    toy = Toy(tmp_path, prompt="类别？", emit=emit, steps=(*steps, *GIVEN))
    for seed in range(5):
        toy.picture(f"p{seed}.png", seed)
    (tmp_path / "copy.png").write_bytes((tmp_path / "p0.png").read_bytes())
    # One of several pictures is enough.
    rows: list[dict[str, object]] = [
        {"image": ["p0.png", "p1.png"], "label": "一", "side": "left"},
        {"image": ["p2.png"], "label": "二", "side": "left"},
        {"image": ["p3.png"], "label": "一", "side": "left"},
        {"image": ["p4.png", "copy.png"], "label": "二", "side": "right"},
    ]
    by_sides(toy, rows)
    line, ids = finding(toy.build(rows), "image_leak")
    assert (line.state, line.count) == ("failed", 1)
    assert set(ids) & {"r000", "r003"}
    rows[3]["image"] = ["p4.png"]
    assert finding(toy.build(rows), "image_leak")[0].state == "passed"


@pytest.mark.parametrize("column", COLUMNS)
def test_text_leaks_are_those_of_the_column_that_the_prompt_uses(tmp_path: Path, column: str) -> None:
    toy = Toy(tmp_path, prompt=f"{{{{ {column} }}}}", steps=GIVEN)
    other = next(name for name in COLUMNS if name != column)
    rows: list[dict[str, object]] = [
        {column: f"{number} {LONG[::-1] if number == 1 else LONG[number:] * 2}", "side": "left"}
        for number in range(4)
    ]
    rows.append({column: rows[1][column], "side": "right"})
    rows.append({column: "完全不同的一句话，与训练里的哪一句也不相像，谁也没有读过", "side": "right"})
    rows = [
        {**row, other: "到处都一样的一段话，没有进入提示词，所以不算泄漏，也不相像", "label": "一"}
        for row in rows
    ]
    by_sides(toy, rows)
    build = toy.build(rows)
    line, _ = finding(build, "text_leak")
    assert (line.state, line.count) == ("failed", 1)
    line, _ = finding(build, "near_text_leak")
    assert (line.state, line.count) == ("warned", 1)


def test_constant_words_of_the_prompt_are_no_leak(tmp_path: Path) -> None:
    constant = "请仔细阅读下面的商品标题，并且只回答它所属的类别名称，不要写任何解释或者其他的内容。"
    toy = Toy(tmp_path, prompt=constant + "{{ title }}", steps=GIVEN)
    titles = ("红裙", "蓝裤", "白鞋", "黑帽", "绿伞")
    rows: list[dict[str, object]] = [
        {"title": title, "label": "一", "side": "left" if at < 3 else "right"}
        for at, title in enumerate(titles)
    ]
    by_sides(toy, rows)
    build = toy.build(rows)
    for kind in ("text_leak", "near_text_leak"):
        assert finding(build, kind)[0].state == "passed"


def test_users_of_kept_messages_are_compared_and_not_the_rendered_words(tmp_path: Path) -> None:
    constant = "请仔细阅读下面的商品标题，并且只回答它所属的类别名称，不要写任何解释或者其他的内容。"
    toy = Toy(tmp_path, prompt=constant + "{{ title }}", steps=GIVEN, render={"keep_messages": True})
    chat = [{"role": "user", "content": LONG}, {"role": "assistant", "content": "裙"}]
    rows: list[dict[str, object]] = [
        {"messages": chat, "side": "left"},
        {"title": "红裙", "label": "一", "side": "left"},
        {"title": "蓝裤", "label": "一", "side": "left"},
        {"messages": chat, "side": "right"},
        {"title": "白鞋", "label": "一", "side": "right"},
    ]
    by_sides(toy, rows)
    build = toy.build(rows)
    assert finding(build, "text_leak")[0].count == 1
    assert finding(build, "near_text_leak")[0].count == 1


@pytest.mark.parametrize("column", ["title", "text"])
def test_a_split_by_texts_alone_leaves_no_near_leak(tmp_path: Path, column: str) -> None:
    rows: list[dict[str, object]] = []
    for number in range(20):
        own = "".join(chr(0x4E00 + (number * 997 + at * 131) % 3000) for at in range(40))
        rows += [{column: own, "label": "一"}, {column: f"促销 {own[2:]}", "label": "一"}]
    for same_text, state in (("null", "warned"), ("0.6", "passed")):
        folder = tmp_path / state
        folder.mkdir()
        toy = Toy(
            folder,
            prompt=f"{{{{ {column} }}}}",
            steps=(f"curate.split: {{val: 0.3, same_text: {same_text}}}",),
        )
        assert finding(toy.build(rows), "near_text_leak")[0].state == state
