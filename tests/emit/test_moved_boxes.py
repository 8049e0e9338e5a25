"""Boxes in kept chats: written anew for the model, or left out where an emitter would move them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from datakit.core.errors import RecipeErrors
from tests.support.kept_chats import (
    SIDES,
    built,
    built_of,
    built_with,
    chat,
    reasons_of,
    recipe_of,
    reject_of,
    rows_of,
)


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


def test_boxes_in_pixels_of_a_picture_that_the_trainer_scales_down_are_left_out(tmp_path: Path) -> None:
    reject = reject_of(built(tmp_path, emit="llamafactory: {images: link}"))
    assert (reject["id"], reject["reason"]) == ("large", "boxes_moved")
    assert "589,824 pixels" in reject["detail"]
    assert "kept_boxes: pixels" in reject["detail"]
    assert "link" not in reject["detail"]


OWN_ROW = {
    "id": "own",
    "image": "small.png",
    "messages": chat([1, 2, 30, 40], "无", '<image>[{"bbox_2d": [10, 20]}]'),
}
OTHER_NOTATIONS = [
    "购物车<|box_start|>(108,234),(1540,468)<|box_end|>",
    "<ref>购物车</ref><box>[[108, 234, 1540, 468]]</box>",
    '{"bbox": [108, 234, 1540, 468]}',
    '{"box": [108, 234, 1540, 468]}',
    '{"bboxes": [[108, 234, 1540, 468]]}',
    '{"bounding_box": [108, 234, 1540, 468]}',
    '{"box_2d": [108, 234, 1540, 468]}',
    '{"point": [234, 1540]}',
    '{"cx": 108, "cy": 234, "w": 1540, "h": 468}',
    '{"bbox_2d": [108, 234, 1540]}',
]


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
    model: str, kept: str, reason: str, tmp_path: Path
) -> None:
    folder = built_with(tmp_path, OTHER_NOTATIONS, model=model, kept=kept)
    assert reasons_of(folder) == {str(at): reason for at in range(len(OTHER_NOTATIONS))}


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


def test_boxes_that_all_questions_share_are_seen(tmp_path: Path) -> None:
    """What all chats of a batch share is folded away, and would cut a box in two."""
    asked = '<image>[{{"bbox_2d": [10{}, 234, 540, 468]}}] 是什么？'
    rows = [
        {"id": str(at), "image": "large.png", "messages": chat(SIDES, f"按钮 {at}", asked.format(at))}
        for at in range(1, 5)
    ]
    assert reasons_of(built_of(tmp_path, recipe_of(), data=[*rows, OWN_ROW])) == dict.fromkeys(
        "1234", "boxes_moved"
    )


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


NOTATIONS = [
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
    ('{"bbox_2d": ["108", "234", "540", "468"]}', '{"bbox_2d": ["53", "112", "266", "224"]}'),
    ('{"bbox_2d": [[\'108\',"234", 540, 468]]}', '{"bbox_2d": [[\'53\',"112", 266, 224]]}'),
    ('{"bbox_2d"：［108，234，540，468］}', '{"bbox_2d"：［53，112，266，224］}'),
    ('<node bounds="[108,234][540,468]"/>', '<node bounds="[53,112][266,224]"/>'),
    ('{"bounds": "[108,234][540,468]"}', '{"bounds": "[53,112][266,224]"}'),
    ("{bbox_2d: [108, 234, 540, 468]}", "{bbox_2d: [53, 112, 266, 224]}"),
    ('{"bbox_2d": "108, 234, 540, 468"}', '{"bbox_2d": "53, 112, 266, 224"}'),
    ('{"bbox2d": [108, 234, 540, 468]}', '{"bbox2d": [53, 112, 266, 224]}'),
    ('{"coordinate": [540, 234]}', '{"coordinate": [266, 112]}'),
    ('{"coordinates": [108, 234, 540, 468]}', '{"coordinates": [53, 112, 266, 224]}'),
    (
        '{"x1": 108, "y1": 234, "x2": 540, "y2": 468}',
        '{"x1": 53, "y1": 112, "x2": 266, "y2": 224}',
    ),
    (
        '{"xmin": "108", "xmax": "540", "ymin": "234", "ymax": "468"}',
        '{"xmin": "53", "xmax": "266", "ymin": "112", "ymax": "224"}',
    ),
    (
        '{"left": 108, "top": 234, "right": 540, "bottom": 468}',
        '{"left": 53, "top": 112, "right": 266, "bottom": 224}',
    ),
    (
        '{"x": 108, "y": 234, "width": 432, "height": 234}',
        '{"x": 53, "y": 112, "width": 213, "height": 112}',
    ),
    ("click(start_box='(540,234)')", "click(start_box='(266,112)')"),
    ("<point>540 234</point>", "<point>266 112</point>"),
    ('<point x="540" y="234">a</point>', '<point x="266" y="112">a</point>'),
    ("click(540, 234)", "click(266, 112)"),
    ("swipe(x=540, y=234, 1080, 2340)", "swipe(x=266, y=112, 532, 1120)"),
    ('{"polygon": [[540, 234], [1080, 2340]]}', '{"polygon": [[266, 112], [532, 1120]]}'),
    ('<span title="bbox 108 234 540 468">', '<span title="bbox 53 112 266 224">'),
]


def test_every_way_to_write_a_place_is_written_anew(tmp_path: Path) -> None:
    written = rows_of(built_with(tmp_path, [answer for answer, _ in NOTATIONS], kept="pixels"))
    assert [written[str(at)] for at in range(len(NOTATIONS))] == [anew for _, anew in NOTATIONS]


@pytest.mark.fault(
    "kept chats have boxes, points or clicks in pixels, and their picture is scaled down",
    "`kept_boxes` writes them anew; without it the records are left out, and doubtful numbers are told",
    kind="bounds",
)
def test_every_way_to_write_a_place_is_left_out_where_nothing_says_what_it_is(tmp_path: Path) -> None:
    folder = built_with(tmp_path, [answer for answer, _ in NOTATIONS])
    assert reasons_of(folder) == {str(at): "boxes_moved" for at in range(len(NOTATIONS))}


UNMEANT = [
    ('{"bbox_2d": null}', "boxes_unreadable"),
    ('{"bbox_2d": [1, 2, 3]}', "boxes_unreadable"),
    ('{"bbox_2d": ["108", "234", "540"]}', "boxes_unreadable"),
    ('{"bbox_2d": ["108", "234", "540", "x"]}', "boxes_unreadable"),
    ("<bbox>108, 234, 540, 468</bbox>", "boxes_unreadable"),
    ('{"bbox_2d": [108, 234, 540, NaN]}', "boxes_unreadable"),
    ('[{"bbox_2d": [108, 234, 540, 468]}, {"bbox_2d": [10', "boxes_unreadable"),
    ('{"bbox_2d": []}', "boxes_unreadable"),
    ('{"bbox_2d": [540, 234, 108, 468]}', "box_empty"),
    ('{"point_2d": [5400, 234]}', "box_outside"),
    ('{"bbox_2d": [0.1, 0.1, 0.5, 0.2]}', "boxes_unreadable"),
    ('{"bbox_2d": [1e400, 234, 540, 468]}', "boxes_unreadable"),
    ('{"x1": 540, "y1": 234, "x2": 108, "y2": 468}', "box_empty"),
    ("click(5400, 234)", "box_outside"),
]


def test_places_of_kept_answers_that_cannot_be_meant_reject_their_record(tmp_path: Path) -> None:
    folder = built_with(tmp_path, [answer for answer, _ in UNMEANT], kept="pixels")
    assert reasons_of(folder) == {str(at): reason for at, (_, reason) in enumerate(UNMEANT)}


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
    rows = [
        {"id": "large", "image": "large.png", "messages": chat(SIDES)},
        {"id": "small", "image": "small.png", "messages": chat([1, 2, 30, 40])},
    ]
    boxes = [{"picture": 0, "box": [1, 2, 30, 40], "text": "去结算", "label": None}]
    own = [{"id": "own", "image": "small.png", "boxes": boxes, "messages": chat([1, 2, 30, 40])}]
    own[0] |= {} if KEPT in steps else {"messages": None}
    folder = built_of(tmp_path, GENERAL.format(steps="\n".join(steps)), data=rows, own=own)
    reasons = [json.loads(line)["reason"] for line in folder.rejects_file.read_text("utf-8").splitlines()]
    assert reasons == ["boxes_moved"] * left_out


@pytest.mark.parametrize(
    ("model", "kept", "said", "reason"),
    [
        ("Qwen/Qwen2.5-VL-7B-Instruct", "pixels", '"unit": "normalized"', "boxes_unreadable"),
        ("Qwen/Qwen2.5-VL-7B-Instruct", "pixels", '"bbox_type": "norm_1000"', "boxes_unreadable"),
        ("Qwen/Qwen2.5-VL-7B-Instruct", "pixels", '"unit": "px"', None),
        ("Qwen/Qwen2.5-VL-7B-Instruct", "thousandths", '"unit": "px"', "boxes_unreadable"),
        ("Qwen/Qwen2.5-VL-7B-Instruct", "thousandths", '"normalized": true', None),
        ("Qwen/Qwen2.5-VL-7B-Instruct", "", '"unit": "normalized"', "boxes_moved"),
        ("Qwen/Qwen3-VL-8B-Instruct", "", '"unit": "pixels"', "box_outside"),
        ("Qwen/Qwen3-VL-8B-Instruct", "", '"unit": "normalized"', None),
    ],
)
def test_what_an_answer_says_of_its_numbers_is_heeded(
    model: str, kept: str, said: str, reason: str | None, tmp_path: Path
) -> None:
    answer = f'{{"items": [{{"bbox_2d": [108, 234, 540, 468]}}], {said}}}'
    folder = built(tmp_path, answer=answer, kept=kept, model=model, emit="llamafactory: {images: link}")
    lines = [json.loads(line) for line in folder.rejects_file.read_text("utf-8").splitlines()]
    assert [line["reason"] for line in lines if line["id"] == "large"] == [reason] * (reason is not None)


def test_what_is_unclear_of_boxes_in_general_data_is_told(tmp_path: Path) -> None:
    boxes = [{"box": [1, 2, 30, 40], "text": "去结算"}]
    rows = [{"id": "a", "image": "large.png", "boxes": boxes, "messages": chat(None, "看不到按钮")}]
    reader = "read.jsonl: {path: ../data.jsonl, image: image, boxes: boxes}"
    mix = f"  - mix.general: {{{reader}, share: 0.5}}"
    own = [{"id": "own", "image": "small.png", "boxes": boxes}]
    recipe = GENERAL.format(steps=f"{OWN}\n{mix}").replace(
        "boxes: boxes}", "boxes: boxes, box_units: pixels}", 1
    )
    folder = built_of(tmp_path, recipe, data=rows, own=own)
    found = {finding.kind: finding for finding in folder.report.verdict}
    assert "data.jsonl:1" in found["boxes_unclear"].words
