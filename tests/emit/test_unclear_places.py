"""Numbers of kept chats that may be places are told; those of other chats are let alone."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from datakit.core.box_forms import SeenPictures
from datakit.core.chat_places import places_in
from datakit.core.pixels import FAMILIES, TRAINER
from datakit.verdict import records_of
from tests.support.kept_chats import (
    SIDES,
    SIZE,
    built,
    built_of,
    built_with,
    chat,
    recipe_of,
    reject_of,
    rows_of,
)

DOUBTFUL = "它在 [108, 234, 540, 468]。"


@pytest.mark.parametrize(
    ("changes", "count"),
    [
        ({}, 1),
        ({"kept": "pixels"}, 1),
        ({"emit": "llamafactory: {images: link}"}, 1),
        ({"emit": "ms_swift: {images: resize, image_max_pixels: 589824}", "model": ""}, 1),
        ({"model": "Qwen/Qwen3-VL-8B-Instruct"}, 0),
        ({"model": "Qwen/Qwen3-VL-8B-Instruct", "answer": "它在 [108, 234, 540, 1468]。"}, 1),
        ({"answer": "它在 [108, 234, 5400, 468]。"}, 0),
        ({"answer": "排序：[1, 2, 3, 4]。"}, 0),
        ({"answer": "原价 1,299 元。"}, 0),
    ],
)
def test_numbers_that_may_be_places_are_told_at_the_end(
    changes: dict[str, Any], count: int, tmp_path: Path
) -> None:
    folder = built(tmp_path, **{"answer": DOUBTFUL, **changes})
    if "ms_swift" not in changes.get("emit", ""):  # whose rows have no ids
        assert rows_of(folder)["large"] == changes.get("answer", DOUBTFUL)
    found = {finding.kind: finding for finding in folder.report.verdict}.get("places_unclear")
    assert (found is not None, found.count if found else 0) == (count > 0, count)
    if found is not None:
        assert found.state == "warned"
        assert "large with [108, 234, 540," in found.words
        records = records_of(folder, "places_unclear")[1]
        assert records is not None
        assert records.collect()["id"].to_list() == ["large"]
        card = (tmp_path / "data_cards" / "kept.md").read_text("utf-8")
        assert "places in pixels of a picture that is scaled or turned" in card


LOOSE = [
    "左上角(108,234)，右下角(540,468)",
    "108,234,540,468",
    "[[108,234],[540,468]]",
    "The button is at 540, 1234.",
    "［108，234，540，468］",
    "x=540 y=1234",
    "点击 540 1234",
    "购物车 108,234,540,468",
]
EVERYDAY = ["到手价 1,299 元", "2024-05-01 14:30", "共 12,340,560 元", "销量 540, 234, 108", "无"]


@pytest.mark.parametrize("kept", ["", "pixels"])
def test_positions_in_words_are_told_and_everyday_numbers_are_not(kept: str, tmp_path: Path) -> None:
    folder = built_with(tmp_path, [*LOOSE, *EVERYDAY], kept=kept)
    assert [rows_of(folder)[str(at)] for at in range(len(LOOSE))] == LOOSE
    records = records_of(folder, "places_unclear")[1]
    assert records is not None
    assert sorted(records.collect()["id"].to_list(), key=int) == [str(at) for at in range(len(LOOSE))]


@pytest.mark.parametrize(
    ("orientation", "answer", "told"),
    [
        (3, '{"bbox_2d": [10, 20, 30, 40]}', True),
        (6, "它在 (30, 40)", True),
        (2, "<box>(0.1,0.2),(0.3,0.4)</box>", True),
        (1, '{"bbox_2d": [10, 20, 30, 40]}', False),
        (3, "一共 2 个", False),
    ],
)
@pytest.mark.parametrize("model", ["", "Qwen/Qwen3-VL-8B-Instruct"])
def test_places_on_a_picture_that_exif_turns_are_told_at_any_size(
    orientation: int, answer: str, told: bool, model: str, tmp_path: Path
) -> None:
    image = Image.new("RGB", (60, 60), "white")
    image.getexif()[0x0112] = orientation
    image.save(tmp_path / "turned.jpg", exif=image.getexif())
    row = {"id": "turned", "image": "turned.jpg", "messages": chat(SIDES, answer)}
    recipe = recipe_of(model=model, emit="llamafactory: {images: link}")
    folder = built_of(tmp_path, recipe, data=[row])
    assert rows_of(folder) == {"turned": answer}
    kinds = {finding.kind for finding in folder.report.verdict if finding.state != "passed"}
    assert ("places_unclear" in kinds) is told


def test_a_chat_about_no_picture_may_hold_any_numbers(tmp_path: Path) -> None:
    answers = ['{"bbox_2d": [100, 2000, 3000, 4000]}', "click(1500, 200)", '{"coordinates": [1, 2000]}']
    rows = [
        {
            "id": str(at),
            "image": None,
            "messages": [{"role": "user", "content": "问"}, {"role": "assistant", "content": answer}],
        }
        for at, answer in enumerate(answers)
    ]
    own = {"id": "own", "image": "small.png", "messages": chat([1, 2, 30, 40])}
    recipe = recipe_of(kept="pixels", model="Qwen/Qwen3-VL-8B-Instruct")
    folder = built_of(tmp_path, recipe, data=[*rows, own])
    assert {id_: text for id_, text in rows_of(folder).items() if id_ != "own"} == dict(
        zip("012", answers, strict=True)
    )


def test_boxes_on_one_of_several_pictures_are_refused_with_words(tmp_path: Path) -> None:
    asked = [{"role": "user", "content": "<image><image>第二张里在哪里？"}]
    row = {"id": "two", "image": ["small.png", "large.png"], "messages": [*asked, chat(SIDES)[1]]}
    recipe = recipe_of(kept="pixels")
    own = {"id": "own", "image": ["small.png"], "messages": chat([1, 2, 30, 40])}
    reject = reject_of(built_of(tmp_path, recipe, data=[row, own]))
    assert (reject["id"], reject["reason"]) == ("two", "images_too_many")
    assert '"bbox_2d": [108, 234, 540, 468]' in reject["detail"]


@pytest.mark.parametrize("orientation", [1, 3, 6, 8])
def test_boxes_of_kept_chats_are_those_of_the_upright_picture(orientation: int, tmp_path: Path) -> None:
    row = {"id": "turned", "image": "turned.jpg", "messages": chat([100, 100, 500, 200])}
    upright = SIZE if orientation in (1, 3) else SIZE[::-1]
    image = Image.new("RGB", SIZE, "white")
    image.getexif()[0x0112] = orientation
    image.save(tmp_path / "turned.jpg", exif=image.getexif())
    recipe = recipe_of(kept="pixels")
    folder = built_of(tmp_path, recipe, data=[row])
    seen = SeenPictures("qwen2_5_vl", FAMILIES["qwen2_5_vl"], TRAINER, 589_824).size(upright)
    [found] = json.loads(rows_of(folder)["turned"])
    wanted = [round(side / upright[at % 2] * seen[at % 2]) for at, side in enumerate([100, 100, 500, 200])]
    assert found["bbox_2d"] == wanted


def test_a_text_of_two_hundred_boxes_is_written_anew_as_a_whole(tmp_path: Path) -> None:
    sides = [[4 * at, 10 * at, 4 * at + 50, 10 * at + 100] for at in range(200)]
    answer = json.dumps([{"bbox_2d": four, "label": f"第 {at} 个"} for at, four in enumerate(sides)])
    found = json.loads(rows_of(built(tmp_path, answer=answer, kept="pixels"))["large"])
    assert [entry["label"] for entry in found] == [f"第 {at} 个" for at in range(200)]
    for entry, four in zip(found, sides, strict=True):
        back = [
            side / seen * size
            for side, seen, size in zip(entry["bbox_2d"], (532, 1120) * 2, SIZE * 2, strict=True)
        ]
        assert back == pytest.approx(four, abs=1.1)


QWEN25 = "Qwen/Qwen2.5-VL-7B-Instruct"
QWEN3 = "Qwen/Qwen3-VL-8B-Instruct"


@pytest.mark.parametrize(
    ("model", "kept", "answer", "count"),
    [
        (QWEN3, "", "", 2),
        ("Qwen/Qwen2-VL-7B-Instruct", "", "", 2),
        (QWEN3, "thousandths", "", 0),
        (QWEN3, "", '{"bbox_2d": [108, 234, 540, 468], "unit": "norm1000"}', 1),
        (QWEN3, "", "<|box_start|>(108,234),(540,468)<|box_end|>", 1),
        (f"{QWEN25}, image_max_pixels: 3000000", "", "", 2),
        (f"{QWEN25}, image_max_pixels: 3000000", "pixels", "", 0),
    ],
)
def test_kept_numbers_of_which_nobody_said_what_they_count_are_told_once(
    model: str, kept: str, answer: str, count: int, tmp_path: Path
) -> None:
    sides = [108, 234, 540, 468]
    linked = "llamafactory: {images: link}"
    folder = built(tmp_path, sides=sides, answer=answer, kept=kept, emit=linked, model=model)
    found = {finding.kind: finding for finding in folder.report.verdict}.get("boxes_unclear")
    assert (found is not None, found.count if found else 0) == (count > 0, count)
    card = (tmp_path / "data_cards" / "kept.md").read_text("utf-8")
    words = "the model sees it" if QWEN25 in model else "thousandths of the sides, as the model counts"
    assert (words in " ".join(card.split())) == (count > 0)


@pytest.mark.parametrize(
    ("text", "count"),
    [
        ('{"target": [1200, 340]}', 1),
        ("{'done': [540, 1234]}", 1),
        ('{"size": [1080, 340]}', 0),
        ('{"price_range": [100, 540]}', 0),
        ('{"steps": [1, 2]}', 0),
        ('{"years": [2019, 2024]}', 0),
    ],
)
def test_two_numbers_under_a_key_that_nobody_knows_may_be_a_point(text: str, count: int) -> None:
    assert len(places_in(text)) == count
