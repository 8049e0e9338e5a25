"""The drawn screens: every class has several, they are of its class, and their truth is what can be seen."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections import Counter
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from datakit.core.labels import load_labels, normal_form

ROOT = Path(__file__).resolve().parents[1]
SCRIPT = ROOT / "scripts" / "draw_screens.py"
sys.path.insert(0, str(ROOT / "scripts"))

import draw_screens  # noqa: E402
from screens import pages  # noqa: E402
from screens.browser import BrowserFault, browser_path, camera  # noqa: E402
from screens.layouts import LAYOUTS, Page  # noqa: E402
from screens.pages import buying  # noqa: E402
from screens.world import World  # noqa: E402

ECOM = load_labels(ROOT / "templates" / "ecom" / "labels.yaml")
FONTS = [draw_screens.FONT]
SEEN = 500
"""Screens, 20 of each class, whose words are looked at without a browser."""
BRANDS = (
    *(
        "淘宝",
        "天猫",
        "京东",
        "拼多多",
        "微信",
        "支付宝",
        "抖音",
        "快手",
        "小红书",
        "美团",
        "饿了么",
        "闲鱼",
        "菜鸟",
    ),
    *(
        "顺丰",
        "中通",
        "圆通",
        "申通",
        "韵达",
        "极兔",
        "德邦",
        "邮政",
        "花呗",
        "余额宝",
        "云闪付",
        "银联",
        "双11",
    ),
    *("中国移动", "中国联通", "中国电信", "工商银行", "建设银行", "招商银行", "华为", "小米", "苹果手机"),
)

pages.load()


@cache
def words_of(seed: int) -> list[tuple[str, str]]:
    """Labels and texts of SEEN screens: their HTML without its tags, so also what lies under something."""
    found = []
    for number in range(SEEN):
        body = html(seed, number)
        plain = re.sub(r"<style>.*?</style>|<[^>]*>", " ", body, flags=re.S)
        found.append((draw_screens.label_of(seed, number), normal_form(plain)))
    return found


def html(seed: int, number: int) -> str:
    return draw_screens.layout_of(seed, number)(World(f"{seed}/{number}", FONTS)).body


def test_every_label_of_the_label_file_has_three_layouts_or_more() -> None:
    assert set(LAYOUTS) == set(ECOM.names)
    assert {label: len(layouts) for label, layouts in LAYOUTS.items() if len(layouts) < 3} == {}


def test_each_block_of_25_has_each_class_once_in_another_order() -> None:
    blocks = [[draw_screens.label_of(7, at + block) for at in range(25)] for block in range(0, 1000, 25)]
    assert all(sorted(block) == sorted(ECOM.names) for block in blocks)
    firsts = Counter(block[0] for block in blocks)
    assert len(firsts) >= 15, "the number of a picture would tell its class"


def test_all_layouts_of_a_class_are_drawn_before_one_comes_again() -> None:
    drawn: dict[str, list[Any]] = {label: [] for label in LAYOUTS}
    for number in range(25 * max(map(len, LAYOUTS.values()))):
        drawn[draw_screens.label_of(7, number)].append(draw_screens.layout_of(7, number))
    for label, layouts in drawn.items():
        count = len(LAYOUTS[label])
        assert len(set(layouts[:count])) == count, label


def test_a_screen_depends_on_its_seed_and_number_alone() -> None:
    alone = {number: html(7, number) for number in (40, 3, 999)}
    assert [html(7, number) for number in (3, 40, 999)] == [alone[3], alone[40], alone[999]]
    assert len({html(seed, 3) for seed in range(20)}) == 20


def test_screens_hold_a_keyword_of_their_label() -> None:
    with_text = [(label, text) for label, text in words_of(5) if text]
    hits = Counter(
        label
        for label, text in with_text
        if any(normal_form(word) in text for word in ECOM.find(label).keywords)  # type: ignore[union-attr]
    )
    assert hits.total() / len(with_text) >= 0.9
    of_each = Counter(label for label, _ in with_text)
    low = {label: hits[label] for label in of_each if hits[label] < 0.6 * of_each[label]}
    assert low == {}


def test_few_screens_hold_a_keyword_of_a_label_that_is_no_neighbour() -> None:
    strange = 0
    for label, text in words_of(5):
        own = ECOM.find(label)
        assert own is not None
        others = [other for other in ECOM.labels if other != own and other.name not in own.confusable_with]
        strange += any(normal_form(word) in text for other in others for word in other.keywords)
    assert strange / SEEN <= 0.05


def test_every_keyword_stands_on_some_screen_of_its_label() -> None:
    seen = [screen for seed in range(5, 10) for screen in words_of(seed)]
    for label in ECOM.labels:
        text = "".join(words for name, words in seen if name == label.name)
        assert [word for word in label.keywords if normal_form(word) not in text] == [], label.name


def test_no_brand_and_no_whole_telephone_number_is_drawn() -> None:
    for _, text in words_of(5):
        assert [brand for brand in BRANDS if normal_form(brand) in text] == []
        assert not re.search(r"(?<!\d)1[3-9]\d{9}(?!\d)", text)


def test_sizes_stand_from_small_to_large_and_the_chosen_one_is_among_them() -> None:
    for seed in range(200):
        goods = World(f"sizes/{seed}", FONTS).goods("shirt")
        order = [("S", "M", "L", "XL", "2XL", "3XL").index(size) for size in goods.ordered_sizes]
        assert order == sorted(order)
        assert sorted(goods.ordered_sizes) == sorted(goods.sizes)


def test_the_parcel_of_an_order_that_is_done_has_arrived() -> None:
    orders = [buying.plain_order(World(f"orders/{seed}", FONTS)).body for seed in range(200)]
    done = [body for body in orders if ">交易成功<" in body]
    assert len(done) > 30
    assert [body for body in done if re.search("正在运往|等待揽收|派件网点", body)] == []


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--count", "0"], "at least 1"),
        (["--workers", "0"], "at least 1"),
        (["--browser", "no-such-browser"], "there is no browser no-such-browser: install Chromium"),
    ],
)
def test_a_call_that_cannot_work_ends_with_2_and_a_sentence(
    arguments: list[str], words: str, tmp_path: Path
) -> None:
    run = subprocess.run(
        [sys.executable, SCRIPT, "--out", tmp_path / "out", *arguments], capture_output=True, text=True
    )
    assert run.returncode == 2
    assert words in run.stderr
    assert "Traceback" not in run.stderr
    assert not (tmp_path / "out").exists()


def test_a_folder_that_holds_something_is_left_as_it_is(tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("mine")
    run = subprocess.run([sys.executable, SCRIPT, "--out", tmp_path], capture_output=True, text=True)
    assert (run.returncode, [path.name for path in tmp_path.iterdir()]) == (2, ["mine.txt"])
    assert "is not empty" in run.stderr


# with a browser


def draw(folder: Path, *arguments: str) -> list[dict[str, Any]]:
    subprocess.run([sys.executable, SCRIPT, "--out", folder, *arguments], check=True)
    return [json.loads(line) for line in (folder / "ground_truth.jsonl").read_text("utf-8").splitlines()]


@pytest.mark.browser
def test_drawn_pictures_have_their_size_and_their_text_in_boxes(tmp_path: Path) -> None:
    truth = draw(tmp_path / "a", "--count", "50")
    train = [json.loads(line) for line in (tmp_path / "a" / "train.jsonl").read_text("utf-8").splitlines()]
    assert train == [{key: row[key] for key in ("id", "image", "label")} for row in truth]
    assert Counter(row["label"] for row in truth) == dict.fromkeys(ECOM.names, 2)
    assert len({row["id"] for row in truth}) == 50
    for row in truth:
        with Image.open(tmp_path / "a" / row["image"]) as image:
            assert (image.format, image.mode, image.width) == ("JPEG", "RGB", 720)
            assert 1280 <= image.height <= 1560
            for line in row["lines"]:
                left, top, right, bottom = line["box"]
                assert 0 <= left < right <= 720, row["id"]
                assert 0 <= top < bottom <= image.height, row["id"]
                assert line["text"] == line["text"].strip() != ""


@pytest.mark.browser
def test_pictures_have_the_same_bytes_whatever_was_drawn_before(tmp_path: Path) -> None:
    draw(tmp_path / "alone", "--count", "60")
    draw(tmp_path / "by two", "--count", "75", "--workers", "2")
    pictures = sorted(path.name for path in (tmp_path / "alone" / "images").iterdir())
    other = [
        name
        for name in pictures
        if (tmp_path / "alone/images" / name).read_bytes() != (tmp_path / "by two/images" / name).read_bytes()
    ]
    assert other == []
    lines = (tmp_path / "by two" / "ground_truth.jsonl").read_text("utf-8").splitlines()
    assert lines[:60] == (tmp_path / "alone" / "ground_truth.jsonl").read_text("utf-8").splitlines()


PAGE = """
<style>*{margin:0} body{font:20px/30px "WenQuanYi Micro Hei"} p,div{position:absolute}</style>
<p style="left:10px;top:10px;width:60px">一二三四五</p>
<p style="left:10px;top:100px">看得见</p>
<p style="left:10px;top:200px">盖住的</p>
<div style="left:0;top:190px;width:200px;height:50px;background:#ccc"></div>
<p style="left:10px;top:300px">压暗的</p>
<div style="left:0;top:290px;width:200px;height:50px;background:#0008;pointer-events:none"></div>
<p style="left:10px;top:400px;width:40px;overflow:hidden;white-space:nowrap">截断的字</p>
<p style="left:10px;top:590px">在边上</p><p style="left:10px;top:700px">在外面</p>
<p style="left:200px;top:100px;transform:rotate(8deg)">斜着写的一行字</p>
<p style="left:200px;top:10px"><b>¥</b><span>12</span><small>.50</small></p>
"""


@pytest.mark.browser
def test_the_truth_is_what_can_be_seen_line_by_line() -> None:
    with camera(browser_path(), FONTS) as taking:
        lines = taking.take(Page(PAGE, 600)).lines
    texts = [line["text"] for line in lines]
    assert texts == ["一二三", "四五", "看得见", "压暗的", "截断", "斜着写的一行字", "¥12.50"]
    boxes = {line["text"]: line["box"] for line in lines}
    assert boxes["一二三"][::2] == [20, 140]
    assert boxes["四五"][1] - boxes["一二三"][1] == 60
    assert boxes["截断"][::2] == [20, 100]


@pytest.mark.browser
def test_a_font_that_is_not_there_is_refused_with_what_to_do() -> None:
    with (
        pytest.raises(BrowserFault, match=r"`No Such Font` is missing.*\n?.*--font"),
        camera(browser_path(), ["No Such Font"]),
    ):
        pass
