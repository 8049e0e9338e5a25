"""Boxes of records: four finite numbers around an area, on a picture that is there, and within it."""

from __future__ import annotations

from typing import Any

import pytest

from datakit.core.boxes import Box, BoxFault, checked, of_column
from datakit.core.reasons import REJECTED

SIZES = [(400, 300), (100, 900)]


def test_a_column_of_ocr_is_a_column_of_boxes() -> None:
    entries = [{"text": " 结 算 ", "score": 0.9, "box": [1, 2.5, 30, 40], "image": 1}]
    assert of_column(entries) == [Box(1, (1.0, 2.5, 30.0, 40.0), None, "结 算")]
    assert of_column(None) == []
    assert of_column(entries)[0].entry() == {
        "image": 1,
        "box": [1.0, 2.5, 30.0, 40.0],
        "label": None,
        "text": "结 算",
    }


def test_a_label_goes_before_the_text_as_a_name() -> None:
    assert Box(0, (0, 0, 1, 1), "按钮", "结算").name == "按钮"
    assert Box(0, (0, 0, 1, 1), None, "结算").name == "结算"
    assert Box(0, (0, 0, 1, 1)).name == ""


def test_boxes_within_their_pictures_stay_as_they_are() -> None:
    boxes = [Box(0, (0.0, 0.0, 400.0, 300.0)), Box(1, (99.5, 0.0, 100.0, 900.0))]
    assert checked(boxes, SIZES) == (boxes, 0)


def test_a_box_that_hangs_over_the_edge_is_clipped_and_counted() -> None:
    boxes = [
        Box(0, (-10.0, -1.0, 100.0, 50.0)),
        Box(0, (1.0, 1.0, 2.0, 2.0)),
        Box(0, (390.0, 0.0, 410.0, 9.0)),
    ]
    within, clipped = checked(boxes, SIZES)
    assert [box.sides for box in within] == [(0, 0, 100, 50), (1, 1, 2, 2), (390, 0, 400, 9)]
    assert clipped == 2


@pytest.mark.parametrize(
    ("sides", "image", "reason"),
    [
        ((10, 10, 10, 20), 0, "box_empty"),
        ((30, 10, 20, 20), 0, "box_empty"),
        ((10, 20, 20, 10), 0, "box_empty"),
        ((10, 10, 20, 20), 2, "box_picture"),
        ((10, 10, 20, 20), -1, "box_picture"),
        ((390, 10, 411, 20), 0, "box_outside"),
        ((500, 500, 600, 600), 0, "box_outside"),
        ((-9e9, 0, 9e9, 9), 0, "box_outside"),
        ((float("nan"), 0, 1, 1), 0, "boxes_unreadable"),
        ((0, 0, float("inf"), 1), 0, "boxes_unreadable"),
    ],
)
def test_a_box_that_cannot_be_meant_is_a_fault_with_a_word_of_the_list(
    sides: Any, image: int, reason: str
) -> None:
    with pytest.raises(BoxFault) as caught:
        checked([Box(0, (0, 0, 1, 1)), Box(image, sides)], SIZES)
    assert caught.value.reason == reason
    assert reason in REJECTED
    assert "box 2" in str(caught.value)


@pytest.mark.parametrize(
    ("sides", "words"),
    [
        (
            (550, 10, 750, 50),
            "[550, 10, 750, 50] lies outside its picture of 600 x 400 pixels but for 25% of",
        ),
        ((550, 10, 650.1, 50), "but for 49% of its area; from 50% on it is clipped"),
        ((599, 10, 900, 50), "but for less than 1% of its area"),
        ((700, 10, 750, 50), "lies outside its picture of 600 x 400 pixels"),
    ],
)
def test_a_box_outside_says_how_much_of_it_is_within_and_the_rule(sides: Any, words: str) -> None:
    with pytest.raises(BoxFault) as caught:
        checked([Box(0, sides)], [(600, 400)])
    assert words in caught.value.detail
    assert ("clipped" in caught.value.detail) == (sides[0] < 600)


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        ("[]", "boxes_unreadable"),
        ({"box": [0, 0, 1, 1]}, "boxes_unreadable"),
        ([[0, 0, 1, 1]], "boxes_unreadable"),
        ([{"bbox": [0, 0, 1, 1]}], "boxes_unreadable"),
        ([{"box": [0, 0, 1]}], "boxes_unreadable"),
        ([{"box": [0, 0, 1, "2"]}], "boxes_unreadable"),
        ([{"box": [0, 0, 1, True]}], "boxes_unreadable"),
        ([{"box": [0, 0, 1, 2], "image": "first"}], "box_picture"),
    ],
)
def test_what_is_no_list_of_boxes_is_a_fault(value: Any, reason: str) -> None:
    with pytest.raises(BoxFault) as caught:
        of_column(value)
    assert caught.value.reason == reason
