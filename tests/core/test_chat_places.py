"""Places in chats, told from prose that is about boxes and points."""

from __future__ import annotations

import re
from itertools import pairwise

import polars as pl
import pytest

from datakit.core.chat_places import MAYBE, places_in


@pytest.mark.parametrize(
    "text",
    [
        "Point: 3 reasons, box: 5 pieces",
        '{"point": 3, "box": "12 x 30 cm"}',
        '[{"bbox_2d": [x1, y1, x2, y2]}]',
        "a bounding box has 4 numbers [1, 2, 3, 4]",
    ],
)
def test_prose_and_keys_without_numbers_are_no_places(text: str) -> None:
    assert places_in(text) == []


BOX = (100, 200, 300, 400)
SURE = [
    ('{"bbox_2d": [100, 200, 300, 400]}', BOX, 1),
    ('{"bbox_2d": [1e2, 200.0, 300, 400]}', BOX, 1),
    ('{\\"bbox_2d\\": [100, 200, 300, 400]}', BOX, 1),
    ('{"BBOX_2D": [100, 200, 300, 400]}', BOX, 1),
    ("{bbox_2d: [100, 200, 300, 400]}", BOX, 1),
    ('{"bbox2d": [100, 200, 300, 400]}', BOX, 1),
    ('{"bbox_2d": "100, 200, 300, 400"}', BOX, 1),
    ('{"bbox_2d": "[100, 200, 300, 400]"}', BOX, 1),
    ('{"bboxes_2d": [[100, 200, 300, 400], [1, 2, 3, 4]]}', (*BOX, 1, 2, 3, 4), 2),
    ('{"bbox": [100, 200, 300, 400]}', BOX, 0),
    ('{"bboxes": [[100, 200, 300, 400]]}', BOX, 0),
    ('{"box": [100, 200, 300, 400]}', BOX, 0),
    ('{"box_2d": [100, 200, 300, 400]}', BOX, 0),
    ('{"bounding_box": [100, 200, 300, 400]}', BOX, 0),
    ('{"boundingBox": [100, 200, 300, 400]}', BOX, 0),
    ('{"bbox_2d": [100, 200, 300', BOX[:3], 0),
    ('{"bbox_2d": [100, 200, 300]}', BOX[:3], 0),
    ('{"point_2d": [100, 200]}', BOX[:2], 1),
    ('{"points_2d": [[100, 200], [300, 400]]}', BOX, 2),
    ('{"point": [100, 200]}', BOX[:2], 0),
    ('{"coordinate": [100, 200]}', BOX[:2], 1),
    ('{"coordinates": [100, 200, 300, 400]}', BOX, 2),
    ('{"start_coordinate": [100, 200]}', BOX[:2], 1),
    ('{"coordinate2": [100, 200]}', BOX[:2], 1),
    ('{"polygon": [[100, 200], [300, 200], [300, 400]]}', (100, 200, 300, 200, 300, 400), 3),
    ('{"quad": [100, 200, 300, 200, 300, 400, 100, 400]}', (100, 200, 300, 200, 300, 400, 100, 400), 4),
    ("click(start_box='(100,200)')", BOX[:2], 1),
    ("drag(start_box='(100,200)', end_box='(300,400)')", BOX[:2], 1),
    ("click(start_box='[100, 200, 300, 400]')", BOX, 1),
    ("click(start_box='<|box_start|>(100,200)<|box_end|>')", BOX[:2], 1),
    ("click(point='<point>100 200</point>')", BOX[:2], 1),
    ("<|point_start|>(100,200)<|point_end|>", BOX[:2], 1),
    ('<point x="540" y="234" alt="a">a</point>', (540, 234), 1),
    ('<point x="54" y="23">a</point>', (54, 23), 0),
    ("<|box_start|>(100,200),(300,400)<|box_end|>", BOX, 1),
    ("<box>[[100, 200, 300, 400], [1, 2, 3, 4]]</box>", (*BOX, 1, 2, 3, 4), 2),
    ("<|det|>[[100, 200, 300, 400]]<|/det|>", BOX, 1),
    ("<quad>(100,200),(300,200),(300,400),(100,400)</quad>", (100, 200, 300, 200, 300, 400, 100, 400), 4),
    ('<p data-bbox="100 200 300 400">', BOX, 1),
    ('<area data-coords="100,200,300,400">', BOX, 2),
    ('<span title="bbox 100 200 300 400; x_wconf 90">', BOX, 1),
    ('{"x1": 100, "y1": 200, "x2": 300, "y2": 400}', BOX, 1),
    ('{"x1": "100", "y1": "200", "x2": "300", "y2": "400"}', BOX, 1),
    ('{"x0": 100, "y0": 200, "x1": 300, "y1": 400}', BOX, 1),
    ('{"action":"tap","coordinate_x":100,"coordinate_y":200}', BOX[:2], 1),
    ('{"y_coord": 200, "x_coord": 100}', (200, 100), 1),
    ('{"keypoints": [100, 200, 2, 300, 400, 2]}', (100, 200, 2, 300, 400, 2), 0),
    ("{'xmin': 100, 'ymin': 200, 'xmax': 300, 'ymax': 400}", BOX, 1),
    ('{"x_min": 100, "x_max": 300, "y_min": 200, "y_max": 400}', (100, 300, 200, 400), 1),
    ('{"left": 100, "top": 200, "right": 300, "bottom": 400}', BOX, 1),
    ('{"left": 100, "top": 200, "width": 300, "height": 400}', BOX, 1),
    ('{"x": 100, "y": 200, "width": 300, "height": 400}', BOX, 1),
    ('{"cx": 100, "cy": 200, "w": 300, "h": 400}', BOX, 0),
    ("click(100, 200)", BOX[:2], 1),
    ("pyautogui.doubleClick(x=100, y=200)", BOX[:2], 1),
    ("long_press(100, 200)", BOX[:2], 1),
    ("swipe(100, 200, 300, 400)", BOX, 2),
]


@pytest.mark.parametrize(("text", "numbers", "shapes"), SURE)
def test_a_place_is_sure_in_every_notation_of_places(
    text: str, numbers: tuple[float, ...], shapes: int
) -> None:
    place, *_ = places_in(f"答：{text}。")
    assert place.is_sure
    assert (place.numbers, len(place.shapes)) == (numbers, shapes)
    assert re.search(MAYBE, text)
    assert pl.Series([text]).str.contains(MAYBE).all()


@pytest.mark.parametrize(
    "text",
    [
        "购物车在[100, 200, 300, 400]",
        "[[100, 200, 300, 400]]",
        "the cart (100, 200), (300, 400)",
        "按钮坐标为(540, 234)",
        "its coordinates are [540, 234]",
        '{"x": 100, "y": 200}',
        "x1=100, y1=200, x2=300, y2=400",
        '<rect x="100" y="200" width="300" height="400"/>',
        '{"position": [100, 200]}',
        '{"rect": [100, 200, 300, 400]}',
        '{"points": [[100, 200], [300, 400]]}',
        '{"coordinates": [116.4, 39.9]}',
    ],
)
def test_what_may_be_data_too_is_doubtful_and_never_written_anew(text: str) -> None:
    [place] = places_in(text)
    assert (place.is_sure, place.is_likely, place.shapes) == (False, True, ())
    assert pl.Series([text]).str.contains(MAYBE).all()


@pytest.mark.parametrize(
    "text",
    [
        "原价 1,299.00 元，券后 [999]，2024-11-27 14:30 送达，共 3 件 (2 + 1)。",
        "把 [3, 1, 4, 2] 排序，得 [1, 2, 3, 4]。",
        '{"name": "刘华", "age": 31, "scores": [98, 87, 92, 100], "size": "12 x 30 cm"}',
        "f(3, 4) = 7, max(100, 200) = 200, range(10, 200)",
        "Solve x = 3, y = 4; the line through (1, 2) and (3, 8) has slope 3.",
        '{"width": 1080, "height": 2340, "left": 12}',
        "margin-left: 10px; top: 20px; width: 30%; height: 40%",
        '{"margin": {"top": 20, "right": 30, "bottom": 30, "left": 20}, "pad": [20, 30]}',
        "const m = {top: 20, right: 30, bottom: 30, left: 40}",
        '{"years": [1999, 2005], "sales": [[1, 2], [3, 4]]}',
        "nums = [10, 20, 300, 400]\nprint(sum([10, 20, 300, 400]))",
        'box: 5 pieces of 12, 30 cm; "box": "12, 30 pieces"',
        '{"boxes": 12, "point": 3, "region": "EU", "position": 4, "coordinate": null}',
        "IP 10.0.0.1, version 1.2.3, ratio 3:4, phone 138-0000-1234",
        "| 列 | 2021 | 2022 |\n| --- | --- | --- |\n| 甲 | 100 | 200 |",
        "import os\ndef click(self, x, y): return self.tap(x, y)",
    ],
)
def test_ordinary_numbers_are_no_places(text: str) -> None:
    assert [place for place in places_in(text) if place.is_likely] == []


@pytest.mark.parametrize(
    "text",
    [
        '{"bbox_2d": [0.1, 0.2, 0.3, 0.4]}',
        "<box>[[0.1, 0.2, 0.3, 0.4]]</box>",
        '{"x1": 0.1, "y1": 0.2, "x2": 0.3, "y2": 1}',
    ],
)
def test_shares_of_the_sides_are_told_from_pixels(text: str) -> None:
    assert [place.is_shares for place in places_in(text)] == [True]
    assert [place.is_shares for place in places_in('{"bbox_2d": [0, 0, 1, 1]}')] == [False]


def test_percents_of_molmo_are_no_places() -> None:
    assert places_in('<point x="54.2" y="23.1" alt="a">a</point>') == []


def test_places_do_not_overlap_and_stand_in_order() -> None:
    one = "a <|box_start|>(1,2),(30,40)<|box_end|> [100, 200, 300, 400] click(5, 6) "
    places = places_in(one * 200)
    assert len(places) == 600
    assert all(before.end <= after.start for before, after in pairwise(places))


@pytest.mark.parametrize(
    "piece", ["[1,", "(1,2),", '"x1": 1, ', '"bbox": [', "<box>", "<point ", "1 2 3 ", "坐标", "click(1,"]
)
def test_long_texts_of_the_hardest_kind_are_read_to_their_end(piece: str) -> None:
    assert len(places_in(piece * 20_000)) <= 20_000
