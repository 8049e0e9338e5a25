"""The offline writer: true to what was read, useful or silent, varied, and never posing as a model."""

from __future__ import annotations

import json
import random
import re
from collections import Counter
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from PIL import Image, ImageDraw

from datakit.core.keywords import holds
from datakit.core.labels import Label, LabelSet, load_labels
from datakit.core.likeness import standing
from datakit.core.step_context import StepContext
from datakit.llm import offline

ROOT = Path(__file__).resolve().parents[2]
SCREENS = ROOT / "examples" / "ecom"
LABELS = load_labels(ROOT / "templates" / "ecom" / "labels.yaml")
_QUOTE = re.compile(r"“([^”]*)”")


@cache
def screens() -> list[dict[str, Any]]:
    """Every labelled example screen with the texts that stand on it."""
    truth = {row["id"]: row for row in rows("ground_truth.jsonl")}
    out = []
    for row in rows("train.jsonl"):
        path = SCREENS / row["image"]
        with Image.open(path) as picture:
            width, height = picture.size
        lines = [{**line, "score": 0.99, "image": 0} for line in truth[row["id"]]["lines"]]
        out.append(
            {
                "id": row["id"],
                "label": row["label"],
                "images": [str(path)],
                "width": width,
                "height": height,
                "ocr": lines,
                "ocr_text": "\n".join(line["text"] for line in lines),
            }
        )
    return out


def rows(name: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (SCREENS / name).read_text("utf-8").splitlines()]


@cache
def texts(kind: str, seed: int = 0) -> list[tuple[dict[str, Any], str]]:
    found = []
    for row in screens():
        rng = random.Random(f"{seed}{row['id']}")
        label = LABELS.find(row["label"])
        assert label is not None
        others = offline.neighbours(label, LABELS)
        text = offline.reason(row, label, rng, others) if kind == "reason" else offline.describe(row, rng)
        found.append((row, text))
    return found


@pytest.mark.parametrize("kind", ["describe", "reason"])
@pytest.mark.parametrize("seed", range(3))
def test_whatever_is_quoted_stands_on_the_picture_uncut(kind: str, seed: int) -> None:
    for row, text in texts(kind, seed):
        for quote in _QUOTE.findall(text):
            assert not quote.endswith(("…", "..")), text
            assert standing(quote, row["ocr_text"]) == 1, text


@pytest.mark.parametrize("seed", range(3))
def test_every_quotation_of_a_reason_holds_a_keyword_and_what_is_missing_is_missing(seed: int) -> None:
    for row, text in texts("reason", seed):
        label = LABELS.find(row["label"])
        assert label is not None
        for quote in _QUOTE.findall(text):
            assert any(holds(quote, keyword) for keyword in label.keywords), text
        others = [other for other in offline.neighbours(label, LABELS) if other.name in text]
        for other in others:
            assert not any(holds(row["ocr_text"], keyword) for keyword in other.keywords), text
            assert any(keyword in _QUOTE.sub("", text) for keyword in other.keywords), text


def test_a_reason_without_a_keyword_says_that_no_text_decides_and_quotes_nothing() -> None:
    label = Label("购物车页面", "有全选和结算。", keywords=("全选", "结算"))
    row = phone("退款成功", "钱款去向", "¥12.00")
    for seed in range(30):
        text = offline.reason(row, label, random.Random(seed))
        assert "“" not in text
        assert "标注" not in text
        assert text.removesuffix("。").endswith("购物车页面")
        assert "有全选和结算" not in text
    blank = {**row, "ocr": [], "ocr_text": ""}
    assert any(
        word in offline.reason(blank, label, random.Random(1)) for word in ("没有", "读不", "一无所得")
    )


def test_a_keyword_that_was_read_with_doubt_or_hides_in_a_word_is_no_evidence() -> None:
    label = Label("cart", "the cart", keywords=("cart",))
    for text, score in (("Cartoon network", 0.99), ("Your cart", 0.5)):
        row = phone(text, "another line", scores=(score, 0.99))
        assert "“" not in offline.reason(row, label, random.Random(1), language="en")
    row = phone("Your Cart", "another line")
    assert "“Your Cart”" in offline.reason(row, label, random.Random(1), language="en")


def test_a_line_of_a_paragraph_is_not_quoted_as_a_whole() -> None:
    label = Label("物流页面", keywords=("派送失败",))
    lines = [
        line("您的包裹因地址不详派送失败请尽快联系快递", 60, 300, 640, 330),
        line("员处理", 60, 342, 150, 372),
        line("确定", 300, 900, 380, 940),
    ]
    for seed in range(20):
        rng = random.Random(seed)
        assert "“" not in offline.reason(screen_of(lines), label, rng)
        assert "“员处理”" not in offline.describe(screen_of(lines), random.Random(seed))


def line(text: str, x0: float, y0: float, x1: float, y1: float, score: float = 0.99) -> dict[str, Any]:
    """A line of OCR, no wider than its signs; one at the right edge stays there."""
    signs = sum(1.0 if ord(sign) > 0x2FFF else 0.55 for sign in text)
    width = min(x1 - x0, 0.9 * signs * (y1 - y0))
    x0, x1 = (x1 - width, x1) if x1 > 690 else (x0, x0 + width)
    return {"text": text, "score": score, "box": [x0, y0, x1, y1], "image": 0}


FIRST = re.compile(r"(?:顶部|最上方|上端|页首|首行|第一行|最先|文字从)[^，“]{0,8}“([^”]*)”")


@pytest.mark.parametrize(
    ("row", "first"),
    [
        ([line("取消", 30, 80, 90, 114), line("发表你的评价", 280, 78, 440, 114)], "取消"),
        (
            [line("发表你的评价", 280, 78, 440, 114), line("取消", 30, 82, 90, 116)],
            "取消",
        ),  # order of OCR
        ([line("返回", 30, 92, 70, 116), line("退款详情", 280, 70, 460, 118)], "退款详情"),  # a title
        ([line("返回首页", 30, 84, 120, 116), line("退款详情", 280, 76, 440, 118)], None),  # neither
        ([line("取消", 30, 80, 90, 114, 0.5), line("发表评价", 280, 80, 440, 114)], None),
    ],
)
def test_of_several_texts_in_the_top_row_the_leftmost_or_the_prominent_is_first(
    row: list[dict[str, Any]], first: str | None
) -> None:
    aligned = [
        line(f"第{sign}段文字", 30, 300 + 120 * at, 200, 334 + 120 * at) for at, sign in enumerate("甲乙丙")
    ]
    claims = set()
    for seed in range(30):
        claims |= set(FIRST.findall(offline.describe(screen_of([*row, *aligned]), random.Random(seed))))
    assert claims == ({first} if first else set())


def quoted_of(lines: list[dict[str, Any]], label: Label | None = None) -> set[str]:
    """All that descriptions, or reasons, quote of a screen."""
    texts = [
        offline.reason(screen_of(lines), label, random.Random(seed))
        if label
        else offline.describe(screen_of(lines), random.Random(seed))
        for seed in range(60)
    ]
    return {quote for text in texts for quote in _QUOTE.findall(text)}


@pytest.mark.parametrize(
    "cut",
    [
        [line("不锈钢保温咖", 60, 600, 200, 630), line("啡杯", 60, 640, 110, 670)],  # a narrow paragraph
        [line("不锈钢保温咖", 60, 600, 200, 630), line("啡杯", 105, 640, 155, 670)],  # centred
        [line("系统升级请您耐", 520, 600, 719, 630)],  # at the edge
        [line("啡杯", 0, 600, 52, 630)],
        [line("啡杯", 14, 600, 66, 630)],  # the sign that the edge cuts is not read
        [line("请您耐", 640, 600, 700, 630)],
        [line("请您耐", 300, 1472, 380, 1499)],  # below
        [
            line("请您耐心等待", 60, 600, 200, 630),
            line("客服正在赶来", 208, 601, 350, 631),
        ],  # parted
        [line("请您耐…", 300, 600, 380, 630)],
        [line("…啡杯", 300, 600, 380, 630)],
        [line("请您耐... 展开", 300, 600, 480, 630)],
    ],
)
def test_a_text_that_may_be_cut_is_never_quoted(cut: list[dict[str, Any]]) -> None:
    others = [
        line(f"第{sign}段文字", 300, 60 + 160 * at, 470, 94 + 160 * at) for at, sign in enumerate("甲乙丙")
    ]
    others += [line("确定", 300, 900, 350, 934)]
    label = Label("等待页面", keywords=("请您耐", "啡杯", "升级", "保温", "赶来"))
    found = quoted_of([*others, *cut]) | quoted_of([*others, *cut], label)
    assert found <= {entry["text"] for entry in others}
    assert len(quoted_of(others)) > 1


@pytest.mark.parametrize(
    ("text", "quotes"),
    [
        ("快件已到达【广州转运中心】", {"快件已到达【广州转运中心】"}),
        ("快件已到达【广州转运中心】，请留意", {"广州转运中心"}),
        ("商家已经发货，包裹到了转运中心", {"包裹到了转运中心"}),
        ("商家同意后，款项将退回转运中心账户", set()),
        ("已到转运中心… 请留意", set()),
        ("离开广州转运中心…，请留意", set()),
        ("他说“转运中心”到了", {"转运中心"}),
    ],
)
def test_of_a_line_with_signs_a_phrase_between_them_is_quoted(text: str, quotes: set[str]) -> None:
    lines = [line(text, 60, 600, 500, 630), line("确定", 300, 900, 350, 934)]
    assert quoted_of(lines, Label("物流页面", keywords=("转运中心",))) == quotes


@pytest.mark.parametrize("text", ["暂无退款成功记录", "未退款成功", "退款成功：无", "没有 退款成功 的订单"])
def test_a_line_that_denies_the_keyword_is_no_evidence(text: str) -> None:
    label = Label("退款页面", keywords=("退款成功",))
    lines = [line(text, 60, 600, 400, 630), line("确定", 60, 900, 110, 934)]
    for seed in range(20):
        said = offline.reason(screen_of(lines), label, random.Random(seed))
        assert "“" not in said
        assert not re.search("得分不高|不够确定|没有把握|不宜|未必", said)
    lines[0] = line("退款成功", 60, 600, 400, 630)
    assert quoted_of(lines, label) == {"退款成功"}


@pytest.mark.parametrize(
    "bar",
    [
        ("09:41", "5G", "80%"),
        ("中国移动", "09:41", "100%"),
        (".l 4G 92% □", "03:08 静音"),
        ("21:05", "80.9KB/s", "HD 5G"),
        ("9:41 AM",),
        ("-Il HD 5G 9.6KB/s", "36% 01:51"),
        ("u 5G 静音", "□19:29"),
    ],
)
def test_a_status_bar_is_never_the_first_line(bar: tuple[str, ...]) -> None:
    step = 700 // len(bar)
    lines = [line(text, 20 + at * step, 14, 100 + at * step, 42) for at, text in enumerate(bar)]
    lines += [line("退款详情", 300, 80, 420, 118), line("提交申请", 300, 1400, 420, 1440)]
    for seed in range(30):
        text = offline.describe(screen_of(lines), random.Random(seed))
        assert "“退款详情”" in text
        assert not any(part in text for part in bar)
        assert "2处文字" in text or "约2行" in text or "有2处" in text or "1、0、1处" in text


def test_a_first_line_is_named_only_where_it_was_read_surely() -> None:
    lines = [line("钻欺去囱", 300, 80, 420, 118, 0.55)]
    lines += [line("退款成功", 300, 300, 420, 340), line("完成", 300, 1400, 420, 1440)]
    for seed in range(30):
        text = offline.describe(screen_of(lines), random.Random(seed))
        assert not re.search(r"(?:顶部|最上方|上端|页首|首行|第一行|最先|文字从)[^，]{0,8}“", text), text


def test_labels_in_english_get_english_texts(make_context: Callable[..., StepContext]) -> None:
    label = Label("refund page", "Shows the refund.", keywords=("refund completed", "refund amount"))
    other = Label("cart", "Goods to buy.", keywords=("check out",))
    labels = LabelSet((Label(label.name, label.description, (), ("cart",), label.keywords), other))
    assert offline.language(make_context(labels=labels)) == "en"
    assert offline.language(make_context(labels=LABELS)) == "zh"
    assert offline.language(make_context(labels=LabelSet((Label("cart", "购物车"),)))) == "zh"
    assert offline.language(make_context(labels=LABELS, default_language="en")) == "en"
    row = phone("Refund completed", "Refund amount $12.00", "Where is my money", "Contact the seller")
    for seed in range(30):
        reason = offline.reason(row, labels.labels[0], random.Random(seed), (other,), "en")
        description = offline.describe(row, random.Random(seed), "en")
        assert not re.search("[㐀-鿿]", reason + description)
        assert "refund page" in reason
        assert re.search("“Refund (?:completed|amount)", reason)
        assert reason[0].isupper() or reason[0] == "“"


def phone(*texts: str, scores: tuple[float, ...] = ()) -> dict[str, Any]:
    """A screen with lines one below the other."""
    values = scores or (0.99,) * len(texts)
    lines = [
        line(text, 60, 200 + 120 * at, 60 + 24 * len(text), 230 + 120 * at, score)
        for at, (text, score) in enumerate(zip(texts, values, strict=True))
    ]
    return screen_of(lines)


def screen_of(lines: list[dict[str, Any]]) -> dict[str, Any]:
    return {
        "id": "a",
        "images": [str(next(iter(sorted((SCREENS / "images").iterdir()))))],
        "width": 720,
        "height": 1500,
        "ocr": lines,
        "ocr_text": "\n".join(entry["text"] for entry in lines),
    }


@pytest.mark.parametrize("kind", ["describe", "reason"])
def test_texts_vary_and_claim_no_insight(kind: str) -> None:
    found = [text for _, text in texts(kind)]
    assert len(found) == 140
    assert len(set(found)) >= 138  # a true reason of one line can be said of two screens
    openings = Counter(text[:4] for text in found)
    assert max(openings.values()) <= 0.3 * len(found)
    for text in found:
        assert not re.search(r"模型|AI|人工智能|我认为|我们|清楚|美观|呼应", _QUOTE.sub("", text)), text
        assert text.endswith("。")
        assert "。。" not in text
        assert "，，" not in text
        assert "，。" not in text


def test_description_never_names_a_class_of_its_own_accord() -> None:
    for _, text in texts("describe"):
        spoken = _QUOTE.sub("", text)
        assert not [name for name in LABELS.names if name in spoken]


def test_another_draw_gives_another_text_for_most_records() -> None:
    first, second = texts("reason", 1), texts("reason", 2)
    same = sum(one == two for (_, one), (_, two) in zip(first, second, strict=True))
    assert same <= 5


@pytest.mark.parametrize("language", ["zh", "en"])
@pytest.mark.parametrize("read", ["40C", "A12", "12", "88%"])
def test_a_text_of_digits_or_a_single_letter_was_read_and_can_be_evidence(read: str, language: Any) -> None:
    bare = Label("衣标" if language == "zh" else "care label", keywords=("全选",))
    own = Label(bare.name, keywords=(read,))
    for row in (phone(read), {**phone(read), "ocr": None}):
        for seed in range(20):
            rng = random.Random(seed)
            assert f"“{read}”" in offline.reason(row, own, rng, language=language)
            reason, description = (
                offline.reason(row, bare, rng, (), language),
                offline.describe(row, rng, language),
            )
            for text in (reason, description):
                assert not re.search(
                    "没有读到|读不|未经|一无所得|没有能引|(?:not?|nothing)[a-z ]* read", text
                ), text
                assert not re.search("no (?:words|legible|text)|没有识别|没有读出|没有文字", text), text
            assert f"“{read}”" in description


def test_a_text_of_which_nothing_can_be_quoted_was_read_all_the_same() -> None:
    row = phone("他说，“不，不要")
    texts = [offline.describe(row, random.Random(seed)) for seed in range(20)]
    assert not [text for text in texts if "没有读到" in text]
    assert [text for text in texts if "读到1处文字" in text]


def test_no_reason_cites_an_annotation() -> None:
    for language, name in (("zh", "购物车页面"), ("en", "shopping cart")):
        for row in (phone("退款成功", "钱款去向"), phone(), {**phone(), "ocr": None, "ocr_text": None}):
            for seed in range(60):
                text = offline.reason(row, Label(name), random.Random(seed), (), language)
                assert not re.search("标注|标签|annotat|label|given", text), text


def test_descriptions_have_one_definition_of_the_middle_and_the_lower_part() -> None:
    rows = [screen_of([line("关注", 300, 1000, 420, 1030), *footer(8)]), screen_of(spread())]
    for row in rows:
        places = {
            entry["text"]: (entry["box"][1] + entry["box"][3]) / 2 / row["height"] for entry in row["ocr"]
        }
        for seed in range(60):
            text = offline.describe(row, random.Random(seed))
            for clause in text.split("，"):
                low, high = (1 / 3, 2 / 3) if "中" in clause else (2 / 3, 1) if "下" in clause else (0, 1)
                if "三部分" in clause:
                    bands = [sum(at < y <= at + 1 / 3 for y in places.values()) for at in (0, 1 / 3, 2 / 3)]
                    assert "、".join(map(str, bands)) in clause
                    continue
                for quote in _QUOTE.findall(clause):
                    assert low <= places[quote] <= high, text


def footer(count: int) -> list[dict[str, Any]]:
    return [
        line(f"页脚文字{'甲乙丙丁戊己庚辛'[at]}", 60, 1100 + 40 * at, 200, 1125 + 40 * at)
        for at in range(count)
    ]


def spread() -> list[dict[str, Any]]:
    return [
        line(f"第{word}段", 60, 120 + 180 * at, 200, 150 + 180 * at)
        for at, word in enumerate("甲乙丙丁戊己庚")
    ]


@pytest.mark.parametrize(
    ("blocks", "named", "unnamed"),
    [
        ([((255, 222, 228), 1.0)], {"粉"}, "红灰白橙"),
        ([((70, 160, 80), 0.03), ((128, 128, 128), 0.97)], {"灰"}, "绿红"),
        (
            [((135, 190, 235), 0.4), ((240, 240, 240), 0.3), ((80, 150, 70), 0.3)],
            {"蓝", "绿", "白"},
            "粉灰紫",
        ),
        ([((200, 190, 170), 1.0)], set(), "粉红橙黄棕灰白"),
        ([((90, 90, 90), 0.5), ((20, 20, 20), 0.5)], {"灰度|黑白灰|灰阶"}, "红绿蓝粉"),
        ([((120, 80, 50), 0.6), ((20, 20, 20), 0.4)], {"棕", "黑"}, "橙红"),
    ],
    ids=["pale pink", "small green block", "sky and lawn", "beige", "grey", "brown"],
)
def test_a_colour_is_named_where_much_of_the_picture_surely_has_it(
    tmp_path: Path, blocks: list[tuple[tuple[int, int, int], float]], named: set[str], unnamed: str
) -> None:
    picture = Image.new("RGB", (200, 200))
    draw, top = ImageDraw.Draw(picture), 0.0
    for colour, share in blocks:
        draw.rectangle((0, top, 200, top + 200 * share), fill=colour)
        top += 200 * share
    picture.save(tmp_path / "a.png")
    row = {"images": [str(tmp_path / "a.png")], "width": 200, "height": 200, "ocr": [], "ocr_text": ""}
    said = "".join(offline.describe(row, random.Random(seed)) for seed in range(20))
    colours = "".join(re.findall(r"较大面积为[^，。]*|依次以[^，。]*|灰度|黑白灰|灰阶", said))
    assert all(re.search(name, colours) for name in named), said
    assert not [name for name in unnamed if f"{name}色" in colours], said
    assert ("灰阶" in said) == any("灰阶" in name for name in named), said


def test_the_neighbour_that_the_texts_come_near_is_told_apart_by_what_is_missing() -> None:
    label = Label("网络异常页面", keywords=("网络异常",), confusable_with=("实物", "加载页面"))
    near, far = (
        Label("加载页面", keywords=("网络加载", "加载中")),
        Label("实物", keywords=("检验员", "合格证")),
    )
    row = phone("网络异常", "请检查网络后重试", "刷新", "返回首页")
    texts = [offline.reason(row, label, random.Random(seed), (far, near)) for seed in range(60)]
    assert not [text for text in texts if "检验员" in text or "合格证" in text]
    assert all("加载页面" in text for text in texts)
    alone = [offline.reason(row, label, random.Random(seed), (far,)) for seed in range(60)]
    assert all("实物" in text and ("检验员" in text or "合格证" in text) for text in alone)


def test_a_neighbour_whose_keyword_stands_there_makes_way_for_the_next() -> None:
    label = Label("网络异常页面", keywords=("网络异常",), confusable_with=("加载页面",))
    stands, next_one = Label("加载页面", keywords=("刷新", "加载中")), Label("实物", keywords=("合格证",))
    row = phone("网络异常", "请检查网络后重试", "刷新", "返回首页")
    for seed in range(30):
        text = offline.reason(row, label, random.Random(seed), (stands, next_one))
        assert "加载页面" not in text
        assert "实物" in text
        assert "合格证" not in offline.reason(
            phone("网络异常", "合格正"), label, random.Random(seed), (next_one,)
        )


def test_neighbours_are_those_of_the_label_file_and_then_the_likest() -> None:
    labels = LabelSet(
        (
            Label("退款页面", "仅退款的申请和进度", keywords=("仅退款",), confusable_with=("订单页面",)),
            Label("订单页面", "一笔订单", keywords=("实付款",)),
            Label("表情", "一张笑脸", keywords=("早上好",)),
            Label("退货页面", "退货退款的申请和进度", keywords=("退货退款",)),
        )
    )
    found = [other.name for other in offline.neighbours(labels.labels[0], labels)]
    assert found == ["订单页面", "退货页面", "表情"]
    assert offline.neighbours(labels.labels[0], None) == ()


@pytest.mark.parametrize("seed", range(3))
def test_every_reason_with_evidence_on_the_example_names_an_absence(seed: int) -> None:
    for row, text in texts("reason", seed):
        if "“" in text:
            own = text.replace(row["label"], "")
            assert any(other.name in own for other in LABELS.labels if other.name != row["label"]), text


def test_a_line_that_ends_in_a_known_text_is_quoted_up_to_where_the_other_begins() -> None:
    label, other = Label("账户页面", keywords=("可用余额",)), Label("支付页面", keywords=("账户余额",))
    lines = [line("账户余额可用余额", 60, 600, 400, 630), *_OTHERS]
    for seed in range(20):
        text = offline.reason(screen_of(lines), label, random.Random(seed), (other,))
        assert _QUOTE.findall(text) == ["可用余额"]
    many = [line(f"第{at}段文字", 60, 120 + 80 * n, 200, 150 + 80 * n) for n, at in enumerate("甲乙丙丁")]
    joined = line("匿名评价你的昵称将以匿名显示", 60, 600, 460, 630)
    row, known = screen_of([*many, joined, *_OTHERS]), ("匿名评价",)
    described = [offline.describe(row, random.Random(seed), "zh", known) for seed in range(60)]
    assert not [text for text in described if "你的昵称" in text]
    alone = [offline.describe(row, random.Random(seed)) for seed in range(60)]
    assert [text for text in alone if "你的昵称" in text]


def test_a_title_with_a_count_is_one_text_though_a_tab_has_its_name() -> None:
    lines = [line("购物车(4133)", 60, 80, 230, 118), line("购物车", 500, 1400, 580, 1430), *_OTHERS[1:]]
    described = [offline.describe(screen_of(lines), random.Random(seed)) for seed in range(30)]
    assert [text for text in described if FIRST.search(text)]


def test_of_two_evidences_the_one_that_may_be_two_texts_is_not_quoted() -> None:
    label = Label("退款页面", keywords=("仅退款", "退款编号"))
    wide = {**line("处理中查看退款编号", 0, 0, 0, 0), "box": [60, 700, 60 + 9 * 30 * 0.915, 730]}
    lines = [line("仅退款", 60, 600, 200, 630), wide, *_OTHERS]
    assert quoted_of(lines, label) == {"仅退款"}
    assert quoted_of(lines[1:], label) == {"处理中查看退款编号"}


@pytest.mark.parametrize("keyword", ["退货单", "退货编号", "退货地址栏", "退货物流单号"])
def test_a_keyword_that_may_stand_there_with_one_sign_misread_is_not_called_missing(keyword: str) -> None:
    label, other = (
        Label("退款页面", keywords=("退款编号",)),
        Label("退货页面", keywords=(keyword, "申请退货")),
    )
    for at in range(len(keyword)):
        row = phone("退款编号", f"{keyword[:at]}口{keyword[at + 1 :]}", "退货说明")
        texts = [offline.reason(row, label, random.Random(seed), (other,)) for seed in range(20)]
        assert not [text for text in texts if keyword in text]
        assert [text for text in texts if "申请退货" in text]


def test_which_side_of_a_picture_without_text_is_brighter_is_said_where_it_is_plain(tmp_path: Path) -> None:
    picture = Image.new("L", (200, 300), 90)
    ImageDraw.Draw(picture).rectangle((0, 200, 99, 300), fill=160)
    row = {"id": "a", "images": [str(tmp_path / "a.png")], "width": 200, "height": 300}
    for is_plain in (True, False):
        (picture if is_plain else picture.crop((0, 0, 200, 150))).save(tmp_path / "a.png")
        for seed in range(30):
            text = offline.reason(row, Label("胸腔积液"), random.Random(seed))
            assert ("下部左侧比右侧亮" in text) == is_plain
            assert ("明暗" in text) == (not is_plain)
            assert "右侧比左侧亮" not in text
    said = offline.reason(row, Label("flu"), random.Random(1), language="en")
    assert "bright" in said


def test_reasons_have_several_shapes() -> None:
    shapes = Counter(
        (
            bool(re.search(r"\d[次处]", spoken)),
            bool(re.search("没有|读不到|不见|未出现|找不到", spoken)),
            not spoken.removesuffix("。").endswith(row["label"]),
        )
        for row, text in texts("reason")
        for spoken in [_QUOTE.sub("", text)]
    )
    assert len(shapes) >= 4
    assert max(shapes.values()) <= 0.6 * sum(shapes.values())


def test_a_text_that_stands_there_several_times_is_counted() -> None:
    label = Label("活动页面", keywords=("马上抢",))
    row = phone("马上抢", "¥12.00", "马上抢", "共3件", "马上抢", "马上抢购会场")
    said = [offline.reason(row, label, random.Random(seed)) for seed in range(60)]
    counts = [re.findall(r"(\d+)[次处]", _QUOTE.sub("", text)) for text in said]
    assert {tuple(found) for found in counts if found} == {("3",)}
    once = [offline.reason(phone("马上抢", "¥12"), label, random.Random(seed)) for seed in range(60)]
    assert not [text for text in once if re.search(r"\d[次处]", _QUOTE.sub("", text))]


_ALONE = re.compile(r"这样的用语|这一类|这类字样|这类画面|像素|亮度|最亮|最暗|之比|带有数字|各有|三分之一")
"""Words that refer to nothing in the sentence, and measures that no reviewer would write."""


@pytest.mark.parametrize("kind", ["describe", "reason"])
@pytest.mark.parametrize("seed", range(3))
def test_each_sentence_stands_for_itself_and_measures_nothing(kind: str, seed: int) -> None:
    for row, text in texts(kind, seed):
        spoken = _QUOTE.sub("", text)
        assert not _ALONE.search(spoken), text
        assert not re.search("来看，(?:因此|故|据此|由此|所以|可见)", spoken), text
        if kind == "reason":
            assert not re.match(r"[^“]*(?:不像|不同|有别|区分)", text), row["id"]  # what there is comes first


@pytest.mark.parametrize(
    "joined",
    [
        line("客服 购物车", 300, 1380, 450, 1410),
        line("8 暖冬百货工厂店", 60, 600, 260, 630),
        {**line("规格S、M、L", 60, 600, 100, 630), "box": [60, 600, 300, 630]},
        line("¥60.90500+人付款", 60, 600, 260, 630),
        line("活动价¥138.00¥224", 60, 600, 260, 630),
        line("¥377100+人付款", 60, 600, 260, 630),
    ],
    ids=lambda entry: entry["text"],
)
def test_two_texts_of_a_row_that_the_engine_joined_are_not_quoted_as_one(joined: dict[str, Any]) -> None:
    others = [
        line(f"第{sign}段文字", 300, 60 + 160 * at, 470, 94 + 160 * at) for at, sign in enumerate("甲乙")
    ]
    found = quoted_of([*others, joined])
    assert found == {entry["text"] for entry in others}
    assert "¥60" not in "".join(
        offline.describe(screen_of([*others, joined]), random.Random(seed)) for seed in range(20)
    )


def test_english_texts_are_sentences() -> None:
    label, other = Label("order", keywords=("Pay now",)), Label("ticket", keywords=("Gate", "Pay later"))
    rows = [phone("Pay now"), phone("Total", "Ship to", "Pay now"), phone("Gate A")]
    for row in rows:
        for seed in range(60):
            rng = random.Random(seed)
            for text in (offline.reason(row, label, rng, (other,), "en"), offline.describe(row, rng, "en")):
                assert not re.search(
                    r"words [^“ ]+ are|are “|\b1 (?:pieces|lines|words)|as one of|、", text
                ), text
                spoken = re.sub(r"^As [a-z ]+, ", "", text)
                assert not re.search(r", (?:there|nothing|it|hence|therefore|no line|without)\b", spoken), (
                    text
                )


CUT = ["退款成功…", "商品可仅退款不退...", "…退款成功", "请输入消息⋯"]


@pytest.mark.parametrize("text", CUT)
def test_a_text_that_the_screen_cuts_is_never_quoted_as_a_whole(text: str) -> None:
    label = Label("退款页面", keywords=("退款成功", "仅退款", "请输入消息"))
    row = screen_of([line(text, 60, 300, 400, 330), line("我的订单 ...", 60, 500, 400, 530)])
    for seed in range(30):
        said = offline.reason(row, label, random.Random(seed)) + offline.describe(row, random.Random(seed))
        assert set(_QUOTE.findall(said)) <= {"退款成功", "仅退款", "请输入消息", "我的订单"}, said
        assert f"“{text.strip('.…⋯')}”" not in said or text.strip(".…⋯") in label.keywords


def test_a_record_without_a_picture_is_not_told_about_its_picture() -> None:
    for language, words in (("zh", "图片"), ("en", "picture")):
        for seed in range(20):
            row = {"id": "a", "images": [], "ocr_text": ""}
            said = offline.reason(row, Label("退款页面"), random.Random(seed), language=language)  # type: ignore[arg-type]
            assert words in said or "无图" in said
            assert not any(claim in said for claim in ("画面里", "wide", "横长", "picture itself", "shows"))


def test_a_keyword_that_was_read_with_doubt_is_not_denied() -> None:
    label = Label("退款页面", keywords=("退款成功",))
    row = screen_of([{**line("退款成功", 60, 300, 400, 330), "score": 0.7}, line("明细", 60, 500, 400, 530)])
    for seed in range(20):
        said = offline.reason(row, label, random.Random(seed))
        assert "“" not in said
        assert any(words in said for words in ("得分不高", "不够确定", "没有把握")), said
    quoted = screen_of([line("您的“退款成功”已到账", 60, 300, 400, 330)])
    assert "“退款成功”" in offline.reason(quoted, label, random.Random(1))
    unscored = screen_of([{**line("退款成功", 60, 300, 400, 330), "score": None}])
    assert "“退款成功”" in offline.reason(unscored, label, random.Random(1))


def test_lines_of_a_second_picture_are_not_those_of_the_first() -> None:
    row = screen_of([{**line("退款成功", 60, 300, 400, 330), "image": 1}])
    row["ocr_text"] = "退款成功"
    for seed in range(20):
        assert "“退款成功”" not in offline.describe(row, random.Random(seed))


def test_no_line_is_called_the_first_below_a_name_that_cannot_be_quoted() -> None:
    row = screen_of(
        [line("1**5", 60, 80, 200, 118), line("个人资料", 60, 140, 300, 178), line("足迹", 60, 900, 300, 940)]
    )
    for seed in range(20):
        said = offline.describe(row, random.Random(seed))
        assert not re.search(
            r"(?:第一行文字是|文字从|最先读到|首行为|最上方是|页首文字为)“个人资料”", said
        ), said


_OTHERS = [line("其他说明", 300, 60, 470, 94), line("确定", 300, 900, 350, 934)]


def test_a_keyword_that_fills_its_row_of_a_form_is_evidence_and_is_not_called_misread() -> None:
    rows = [
        line(text, 40, 600 + 44 * at, 140, 630 + 44 * at) for at, text in enumerate(("投诉对象", "投诉编号"))
    ]
    label = Label("投诉页面", keywords=("投诉编号",))
    assert quoted_of([*_OTHERS, *rows], label) == {"投诉编号"}
    near = line("活动规则", 600, 80, 699, 106)
    assert quoted_of([*_OTHERS, near], Label("活动页面", keywords=("活动规则",))) == {"活动规则"}


@pytest.mark.parametrize("upper", ["您的订单尚未", "这位商家没有"])
def test_a_line_that_goes_on_a_denial_is_no_evidence_though_a_keyword_fills_it(upper: str) -> None:
    lines = [line(upper, 60, 600, 200, 630), line("退款成功", 60, 642, 170, 672)]
    assert quoted_of([*_OTHERS, *lines], Label("退款页面", keywords=("退款成功",))) == set()


@pytest.mark.parametrize(
    "row",
    [
        line("您的包裹派送失败请联系快递", 60, 600, 400, 630),
        line("完成退款成功", 0, 600, 200, 630),
    ],
)
def test_a_text_that_was_read_surely_is_never_said_to_be_misread(row: dict[str, Any]) -> None:
    label = Label("物流页面", keywords=("派送失败", "退款成功"))
    for seed in range(40):
        said = offline.reason(screen_of([*_OTHERS, row]), label, random.Random(seed))
        assert not re.search("把握|读准|真切|得分|不够确定|读得不", said), said


def test_the_beginning_of_a_paragraph_is_quoted_up_to_its_comma() -> None:
    lines = [line("购买失败，该商品已下架，看看其他的", 130, 640, 590, 668), line("吧", 130, 676, 158, 704)]
    assert quoted_of([*_OTHERS, *lines], Label("异常", keywords=("购买失败",))) == {"购买失败"}


@pytest.mark.parametrize("heading", ["商家拒绝换货", "等待商家同意换货", "换货关闭", "换货申请已驳回"])
def test_a_step_of_a_progress_bar_that_the_heading_denies_is_not_cited(heading: str) -> None:
    label = Label("换货页面", keywords=("换货成功", "换货编号"))
    lines = [line(heading, 40, 200, 300, 240), line("换货成功", 500, 400, 610, 430)]
    assert quoted_of([*_OTHERS, *lines], label) == set()
    lines.append(line("换货编号", 40, 700, 150, 730))
    assert quoted_of([*_OTHERS, *lines], label) == {"换货编号"}


@pytest.mark.parametrize(
    ("text", "keyword", "quotes"),
    [
        ("到手价¥176.50¥282", "到手价", set()),
        ("凸收货地址", "收货地址", {"收货地址"}),
        ("口飞行模式", "飞行模式", {"飞行模式"}),
        ("口红试色分享", "口红试色分享", {"口红试色分享"}),
        ("键领取并购买", "领取并购买", set()),
        ("-键领取并购买", "领取并购买", set()),
    ],
)
def test_a_quotation_holds_no_icon_no_second_text_and_lacks_no_sign(
    text: str, keyword: str, quotes: set[str]
) -> None:
    row = line(text, 300, 600, 560, 630)
    assert quoted_of([*_OTHERS, row], Label("页面", keywords=(keyword,))) == quotes
    described = quoted_of([*_OTHERS, row])
    assert described - {entry["text"] for entry in _OTHERS} <= quotes


def test_the_end_of_a_paragraph_whose_first_lines_were_read_as_one_is_not_quoted() -> None:
    upper = {**line("山东省青岛市市北区和平大街9号翠湖小", 147, 0, 0, 0), "box": [147, 887, 573, 969]}
    lines = [upper, {**line("区25栋", 149, 0, 0, 0), "box": [149, 964, 233, 1006]}]
    assert "区25栋" not in quoted_of([*_OTHERS, *lines])


def test_a_word_that_is_parted_at_the_end_of_an_english_line_is_not_quoted() -> None:
    row = phone("Proceed to check-", "Your cart", "Total due", "Contact us")
    assert not [
        text for seed in range(30) if "Proceed" in (text := offline.describe(row, random.Random(seed), "en"))
    ]


def test_where_nobody_looked_for_text_nothing_is_said_of_texts() -> None:
    told = re.compile("文字|字样|字句|引用|text|word|quote|cite")
    row = {key: value for key, value in phone("a").items() if not key.startswith("ocr")}
    for language, name in (("zh", "肺炎"), ("en", "flu")):
        draws = map(random.Random, range(60))
        said = {offline.reason(row, Label(name), rng, (), language) for rng in draws}  # type: ignore[arg-type]
        assert not [text for text in said if told.search(text)]
        assert len(said) > 45


@pytest.mark.parametrize("kind", ["describe", "reason"])
def test_signs_that_an_engine_sees_in_a_drawing_are_no_text(kind: str) -> None:
    for read in ([("T", 0.2)], [("0", 0.99), ("C", 0.95)], [("01o", 0.44), ("Mi", 0.6)]):
        lines = [
            {"text": text, "score": score, "box": [20, 300 + 90 * at, 60, 340 + 90 * at]}
            for at, (text, score) in enumerate(read)
        ]
        row = {
            **phone("12"),
            "ocr": lines,
            "ocr_text": "\n".join(text for text, score in read if score > 0.5),
        }
        for seed in range(20):
            rng = random.Random(seed)
            text = (
                offline.describe(row, rng)
                if kind == "describe"
                else offline.reason(row, LABELS.labels[0], rng)
            )
            assert not re.search(r"\d+处文字", text), text


def test_text_of_the_second_picture_is_not_said_to_stand_on_a_blank_first() -> None:
    lines = [
        {"text": f"总金额合计{at}元整", "score": 0.99, "box": [20, 90 * at, 300, 40 + 90 * at], "image": 1}
        for at in range(6)
    ]
    row = {**phone("12"), "ocr": lines, "ocr_text": "\n".join(line["text"] for line in lines)}
    row["images"] = [*row["images"], *row["images"]]
    for seed in range(20):
        description = offline.describe(row, random.Random(seed))
        assert not re.search(r"\d+处文字|没有读到", description), description
