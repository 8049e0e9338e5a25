"""Numbers in prose that read like positions are found; prices, dates, lists and tables are let alone."""

from __future__ import annotations

import polars as pl
import pytest

from datakit.core.chat_places import MAYBE, places_in
from datakit.core.loose_places import asks_where, loose_places


@pytest.mark.parametrize(
    "text",
    [
        "左上角(1200,340)，右下角(2560,780)",
        "［1200，340，2560，780］",
        "１２００，３４０，２５６０，７８０",
        "1200,340,2560,780",
        "120,340,560,780",
        "1200 340 2560 780",
        "100,200,300,400\n120,340,560,780",
        "[[1200,340],[2560,780]]",
        "(120,340)-(560,780)",
        "(1200, 340)",
        "**(1200, 340)**",
        "它在(1200,340)。",
        "The button is at 1200, 340.",
        "the top-left corner is (120, 340)",
        "The bounding box is 1200, 340, 2560, 780.",
        "position: 1200,340",
        "drag from 100,200 to 300,400",
        "click(1200, 340)",
        "点击 1200 340",
        "在 1200, 340 处",
        "坐标：1200,340",
        "中心点为（1200，340）",
        "x=1200 y=340",
        "X坐标1200，Y坐标340",
        "横坐标为1200，纵坐标为340",
        "x∈[120,560], y∈[340,780]",
        "x 坐标从 120 到 560，y 坐标从 340 到 780",
        '<node bounds="[1200,340][2560,780]"/>',
        "<bbox>1200,340,2560,780</bbox>",
        '{"bbox_2d": ["1200", "340", "2560", "780"]}',
        "[1200.0, 800.0, 2400.0, 1600.0]",
        "(1200.5, 800), (2400, 1600.25)",
        "Action: tap\nAction Input: 1800 1200",
        "按钮的左边缘在1200像素处，右边缘在2400像素处，上边缘800，下边缘1600。",
        "Its left edge is at 1200, right edge at 2400, top edge at 800 and the bottom edge at 1600.",
        "从横向1200到2400、纵向800到1600的矩形。",
        "水平方向从 1200 到 2400，垂直方向从 800 到 1600",
    ],
)
def test_positions_are_found_however_they_are_said(text: str) -> None:
    assert [place for place in places_in(text) if place.is_likely]
    assert pl.Series([text]).str.contains(MAYBE).all()


@pytest.mark.parametrize(
    "text",
    [
        "1,200元",
        "到手价 ¥1,200, 340 起",
        "at 1,200 yuan",
        "The total is 1,299. 340 items",
        "12,340,560",
        "售价 12,340,560 元",
        "销售额 12,340,560,780",
        "2024-05-01",
        "2024, 11, 27",
        "(2024, 11)",
        "14:30, 15:45",
        "at 10:30, 20 people",
        "in 2021, 340 people",
        "2020, 2021, 2022, 2023",
        "138 0000 1234",
        "电话 010 8888 1234",
        "6222 0210 0100 1234 567",
        "v1.2.3, v1.2.4",
        "192.168.1.1, 10.0.0.1",
        "1, 2, 3, 4",
        "10, 20, 30, 40",
        "ages 18, 25, 40, 60",
        "第 3, 4 题",
        "销量分别为 1200, 340, 2560, 780",
        "1200, 340, 560",
        "100 200 300 400 500",
        "甲,乙\n100,20\n300,400",
        "甲 12 300 40 5\n乙 120 340 560 780",
        "| 甲 | 100 | 200 |",
        "Smith (2019, 2020)",
        "血压 120/80",
        "f(100, 200) = 300, max(100, 200), range(10, 200)",
        '{"scores": [98, 120], "price_range": [100, 500]}',
        "size 1080x2340, 1080 × 2340",
        "共有 120, 340 人",
        "从 1200 降到 340",
        "page 120, 340",
        "0.5, 0.6",
        "1080×1920—1440×2560",
        "| 甲 | 120 | 340 | 560 | 780 |",
        "横向 1080，纵向 2340",
        "横向 3 个，纵向 5 个",
        "水平 1080 像素，垂直 2340 像素",
        "左边距 12px，右边距 12px，上边距 30px，下边距 40px",
        "左边 20 元，右边 30 元，上边 40 元，下边 50 元",
        "[0.1, 0.2, 0.3, 0.4], [98.5, 87.2, 92.1, 100.0], [116.2, 39.8, 116.5, 40.1]",
        '{"keypoints": ["3 points", "20 more"], "key_points": [1, 2, 3]}',
        '{"x0": 1.5, "y0": 2.5}',
    ],
)
def test_numbers_of_everyday_are_none(text: str) -> None:
    assert [place for place in places_in(text) if place.is_likely] == []


def test_after_the_question_where_bare_numbers_are_a_position() -> None:
    text = "购物车 1200,340,2560,780"
    assert (len(places_in(text)), len(places_in(text, asked=True))) == (0, 1)
    assert all(
        map(asks_where, ["购物车在哪里？", "请框出按钮", "Where is the cart?", "give its bounding box"])
    )
    assert not any(map(asks_where, ["一共多少钱？", "Describe the picture.", "这是什么页面？"]))


@pytest.mark.parametrize("text", ["按钮 1200×800—2400×1600", "|按钮|1200|800|2400|1600|"])
def test_after_the_question_where_sizes_and_cells_are_the_corners_of_a_box(text: str) -> None:
    assert [place.numbers for place in places_in(text, asked=True)] == [(1200, 800, 2400, 1600)]
    assert pl.Series([text]).str.contains(MAYBE).all()


def test_edges_by_name_are_across_and_down_in_turn() -> None:
    [place] = places_in("左边缘在1200像素处，右边缘在2400像素处，上边缘800，下边缘1600。")
    assert place.numbers == (1200, 800, 2400, 1600)


def test_a_place_shows_the_text_as_it_was_given() -> None:
    [place] = places_in("它在［1200，340，2560，780］")
    assert (place.text, place.numbers) == ("［1200，340，2560，780］", (1200, 340, 2560, 780))


@pytest.mark.parametrize(
    "piece",
    [
        "[1,",
        "(1,2),",
        "1 2 3 ",
        "坐标",
        "x y ",
        "x=1 ",
        "1,2\n",
        "1x2-",
        "左边1,",
        " " * 50 + "1",
        " ",
        "at 1",
    ],
)
def test_long_texts_of_numbers_are_read_to_their_end(piece: str) -> None:
    assert len(list(loose_places(piece * 5_000))) <= 5_000
