"""Boxes in kept chats: written anew for the model, or left out where an emitter would move them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from datakit.artifacts.build_folder import BuildFolder
from datakit.core.errors import RecipeErrors
from datakit.library import build

SIZE, SIDES = (1080, 2340), [108, 234, 540, 468]
RESIZE = "llamafactory: {images: resize, image_max_pixels: 589824}"
RECIPE = """\
name: kept
steps:
  - read.jsonl: {{path: ../data.jsonl, image: image}}
  - render.chat: {{prompt: ask.j2, answer: label_only, max_chars: null, keep_messages: true{kept}}}
emit: [{emit}]
run: {{max_reject_rate: 1.0}}
{train}
"""


def chat(sides: Any, answer: str = "", asked: str = "<image>在哪里？") -> list[dict[str, str]]:
    answer = answer or json.dumps([{"bbox_2d": sides, "label": "购物车"}], ensure_ascii=False)
    return [{"role": "user", "content": asked}, {"role": "assistant", "content": answer}]


def built(
    folder: Path,
    *,
    sides: Any = SIDES,
    answer: str = "",
    asked: str = "<image>在哪里？",
    kept: str = "",
    emit: str = RESIZE,
    model: str = "Qwen/Qwen2.5-VL-7B-Instruct",
) -> BuildFolder:
    for name in ("recipes", "templates", "data_cards"):
        (folder / name).mkdir()
    (folder / "templates" / "ask.j2").write_text("<image>{{ answer_format }}", "utf-8")
    Image.new("RGB", SIZE, "white").save(folder / "large.png")
    Image.new("RGB", (100, 100), "white").save(folder / "small.png")
    rows = [
        {"id": "large", "image": "large.png", "messages": chat(sides, answer, asked)},
        {"id": "small", "image": "small.png", "messages": chat([1, 2, 30, 40])},
        {
            "id": "plain",
            "image": "large.png",
            "messages": [*chat(sides)[:1], {"role": "assistant", "content": "无"}],
        },
    ]
    (folder / "data.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    recipe = folder / "recipes" / "kept.yaml"
    train = f"train: {{model: {model}}}" if model else ""
    kept = f", kept_boxes: {kept}" if kept else ""
    recipe.write_text(RECIPE.format(kept=kept, emit=emit, train=train), "utf-8")
    return BuildFolder(build(recipe, check=False).folder)


def rows_of(folder: BuildFolder) -> dict[str, str]:
    return {row["id"]: row["messages"][-1]["content"] for row in folder.rows("train")}


def test_boxes_in_pixels_of_a_picture_that_is_scaled_down_are_left_out(tmp_path: Path) -> None:
    folder = built(tmp_path)
    assert rows_of(folder).keys() == {"small", "plain"}
    [reject] = [json.loads(line) for line in folder.rejects_file.read_text("utf-8").splitlines()]
    assert (reject["id"], reject["reason"]) == ("large", "boxes_moved")
    assert "kept_boxes" in reject["detail"]


@pytest.mark.parametrize("emit", ["llamafactory: {images: link}"])
def test_nothing_is_left_out_where_no_picture_is_scaled(emit: str, tmp_path: Path) -> None:
    model = "Qwen/Qwen2.5-VL-7B-Instruct, image_max_pixels: 3000000"
    assert rows_of(built(tmp_path, emit=emit, model=model)).keys() == {"large", "small", "plain"}


def reject_of(folder: BuildFolder) -> dict[str, Any]:
    [reject] = [json.loads(line) for line in folder.rejects_file.read_text("utf-8").splitlines()]
    return dict(reject)


def test_boxes_in_pixels_of_a_picture_that_the_trainer_scales_down_are_left_out(tmp_path: Path) -> None:
    reject = reject_of(built(tmp_path, emit="llamafactory: {images: link}"))
    assert (reject["id"], reject["reason"]) == ("large", "boxes_moved")
    assert "589,824 pixels" in reject["detail"]
    assert "kept_boxes: pixels" in reject["detail"]
    assert "link" not in reject["detail"]


OTHER_NOTATIONS = [
    "购物车<|box_start|>(108,234),(1540,468)<|box_end|>",
    "<ref>购物车</ref><box>[[108, 234, 1540, 468]]</box>",
    '{"bbox": [108, 234, 1540, 468]}',
    '{"box": [108, 234, 1540, 468]}',
    '{"bbox_2D": [108, 234, 1540, 468]}',
    "{bbox_2d: [108, 234, 1540, 468]}",
    "bbox_2d=[108, 234, 1540, 468]",
]


@pytest.mark.parametrize("answer", OTHER_NOTATIONS)
@pytest.mark.parametrize(
    ("model", "kept", "reason"),
    [
        ("Qwen/Qwen2.5-VL-7B-Instruct", "", "boxes_moved"),
        ("Qwen/Qwen3-VL-8B-Instruct", "", "box_outside"),
        ("Qwen/Qwen2-VL-7B-Instruct", "", "box_outside"),
        ("Qwen/Qwen2.5-VL-7B-Instruct", "pixels", "boxes_unreadable"),
        ("Qwen/Qwen3-VL-8B-Instruct", "thousandths", "boxes_unreadable"),
    ],
)
def test_boxes_in_other_notations_do_not_pass_in_silence(
    answer: str, model: str, kept: str, reason: str, tmp_path: Path
) -> None:
    reject = reject_of(built(tmp_path, answer=answer, model=model, kept=kept))
    assert (reject["id"], reject["reason"]) == ("large", reason)


def test_numbers_over_a_thousand_are_no_parts_of_a_side(tmp_path: Path) -> None:
    linked = "llamafactory: {images: link}"
    reject = reject_of(
        built(tmp_path, sides=[100, 200, 1900, 2900], emit=linked, model="Qwen/Qwen3-VL-8B-Instruct")
    )
    assert (reject["id"], reject["reason"]) == ("large", "box_outside")
    assert "[100, 200, 1900, 2900]" in reject["detail"]


def test_marks_in_thousandths_stay_as_they_are_for_a_model_that_counts_so(tmp_path: Path) -> None:
    answer = "购物车<|box_start|>(100,100),(500,200)<|box_end|>"
    folder = built(tmp_path, answer=answer, kept="thousandths", model="Qwen/Qwen2-VL-7B-Instruct")
    assert rows_of(folder)["large"] == answer


def test_parts_of_the_sides_stay_right_whatever_is_scaled(tmp_path: Path) -> None:
    folder = built(tmp_path, sides=[100, 100, 500, 200], model="Qwen/Qwen3-VL-8B-Instruct")
    assert rows_of(folder)["large"] == chat([100, 100, 500, 200])[1]["content"]


@pytest.mark.parametrize(
    ("kept", "sides", "model", "written"),
    [
        ("pixels", SIDES, "Qwen/Qwen2.5-VL-7B-Instruct", [53, 112, 266, 224]),
        ("thousandths", [100, 100, 500, 200], "Qwen/Qwen2.5-VL-7B-Instruct", [53, 112, 266, 224]),
        ("pixels", SIDES, "Qwen/Qwen3-VL-8B-Instruct", [100, 100, 500, 200]),
    ],
)
def test_boxes_of_kept_chats_are_written_anew_for_the_model(
    kept: str, sides: Any, model: str, written: Any, tmp_path: Path
) -> None:
    folder = built(tmp_path, sides=sides, kept=kept, model=model)
    assert rows_of(folder)["large"] == chat(written)[1]["content"]


def test_kept_boxes_that_cannot_be_meant_reject_their_record(tmp_path: Path) -> None:
    folder = built(tmp_path, sides=[5000, 100, 6000, 200], kept="pixels")
    [reject] = [json.loads(line) for line in folder.rejects_file.read_text("utf-8").splitlines()]
    assert (reject["id"], reject["reason"]) == ("large", "box_outside")


def test_without_a_model_nothing_says_how_kept_boxes_are_written(tmp_path: Path) -> None:
    with pytest.raises(RecipeErrors, match="names no Qwen-VL"):
        built(tmp_path, kept="pixels", model="")


@pytest.mark.parametrize(
    ("answer", "written"),
    [
        ('{"point_2d": [540, 234]}', '{"point_2d": [266, 112]}'),
        ('{"point_2d": [[540, 234], [1080, 2340]]}', '{"point_2d": [[266, 112], [532, 1120]]}'),
        ("{'bbox_2d': [108, 234, 540, 468]}", "{'bbox_2d': [53, 112, 266, 224]}"),
        ('{"bbox_2d": [1.08e2, 234.0, 540, 468]}', '{"bbox_2d": [53, 112, 266, 224]}'),
        (
            '{"bbox_2d": [[108, 234, 540, 468], [0, 0, 108, 234]]}',
            '{"bbox_2d": [[53, 112, 266, 224], [0, 0, 53, 112]]}',
        ),
        ('<p data-bbox="108 234 540 468">购物车</p>', '<p data-bbox="53 112 266 224">购物车</p>'),
        ('{\\"bbox_2d\\": [108, 234, 540, 468]}', '{\\"bbox_2d\\": [53, 112, 266, 224]}'),
    ],
)
def test_every_way_to_write_a_place_is_written_anew_or_left_out(
    answer: str, written: str, tmp_path: Path
) -> None:
    for name in ("kept", "resized"):
        (tmp_path / name).mkdir()
    kept = built(tmp_path / "kept", answer=answer, kept="pixels")
    assert rows_of(kept)["large"] == written
    resized = built(tmp_path / "resized", answer=answer)
    assert rows_of(resized).keys() == {"small", "plain"}
    assert '"reason":"boxes_moved"' in resized.rejects_file.read_text("utf-8").replace(" ", "")


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        ('{"bbox_2d": null}', "boxes_unreadable"),
        ('{"bbox_2d": [1, 2, 3]}', "boxes_unreadable"),
        ('{"bbox_2d": ["108", "234", "540", "468"]}', "boxes_unreadable"),
        ('{"bbox_2d": [108, 234, 540, NaN]}', "boxes_unreadable"),
        ('[{"bbox_2d": [108, 234, 540, 468]}, {"bbox_2d": [10', "boxes_unreadable"),
        ('{"bbox_2d": []}', "boxes_unreadable"),
        ('{"bbox_2d": [540, 234, 108, 468]}', "box_empty"),
        ('{"point_2d": [5400, 234]}', "box_outside"),
    ],
)
def test_places_of_kept_answers_that_cannot_be_meant_reject_their_record(
    answer: str, reason: str, tmp_path: Path
) -> None:
    folder = built(tmp_path, answer=answer, kept="pixels")
    rows = [json.loads(line) for line in folder.rejects_file.read_text("utf-8").splitlines()]
    assert [(row["id"], row["reason"]) for row in rows] == [("large", reason)]


def test_a_prompt_may_name_the_keys_without_numbers(tmp_path: Path) -> None:
    asked = (
        '<image>按 [{"bbox_2d": [x1, y1, x2, y2], "label": "名称"}] 回答：{"bbox_2d": [108, 234, 540, 468]}'
    )
    folder = built(tmp_path, asked=asked, kept="pixels")
    [row] = [row for row in folder.rows("train") if row["id"] == "large"]
    texts = [turn["content"] for turn in row["messages"] if turn["role"] == "user"]
    assert texts == [asked.replace("[108, 234, 540, 468]", "[53, 112, 266, 224]")]


GENERAL = """\
name: mixed
steps:
  - read.jsonl: {{path: ../own.jsonl, image: image, boxes: boxes}}
{steps}
emit: [llamafactory: {{images: link}}]
run: {{max_reject_rate: 1.0}}
train: {{model: Qwen/Qwen2.5-VL-7B-Instruct}}
"""
OWN = "  - render.grounding: {boxes: boxes, tasks: [locate]}"
MIX = "  - mix.general: {read.jsonl: {path: ../data.jsonl, image: image}, share: 0.66, licence: MIT}"
KEPT = (
    "  - render.chat: {prompt: ask.j2, answer: label_only, max_chars: null, keep_messages: true, "
    "kept_boxes: pixels}"
)


@pytest.mark.parametrize(("steps", "left_out"), [((OWN, MIX), 1), ((KEPT, MIX), 1), ((MIX, KEPT), 0)])
def test_general_data_is_looked_at_though_a_step_writes_the_boxes_of_the_others(
    steps: tuple[str, str], left_out: int, tmp_path: Path
) -> None:
    for name in ("recipes", "templates", "data_cards"):
        (tmp_path / name).mkdir()
    (tmp_path / "templates" / "ask.j2").write_text("<image>{{ answer_format }}", "utf-8")
    Image.new("RGB", SIZE, "white").save(tmp_path / "large.png")
    Image.new("RGB", (100, 100), "white").save(tmp_path / "small.png")
    rows = [
        {"id": "large", "image": "large.png", "messages": chat(SIDES)},
        {"id": "small", "image": "small.png", "messages": chat([1, 2, 30, 40])},
    ]
    boxes = [{"picture": 0, "box": [1, 2, 30, 40], "text": "去结算", "label": None}]
    own = [{"id": "own", "image": "small.png", "boxes": boxes, "messages": chat([1, 2, 30, 40])}]
    own[0] |= {} if KEPT in steps else {"messages": None}
    for name, lines in (("data", rows), ("own", own)):
        text = "".join(json.dumps(row) + "\n" for row in lines)
        (tmp_path / f"{name}.jsonl").write_text(text, "utf-8")
    recipe = tmp_path / "recipes" / "mixed.yaml"
    recipe.write_text(GENERAL.format(steps="\n".join(steps)), "utf-8")
    folder = BuildFolder(build(recipe, check=False).folder)
    reasons = [json.loads(line)["reason"] for line in folder.rejects_file.read_text("utf-8").splitlines()]
    assert reasons == ["boxes_moved"] * left_out
