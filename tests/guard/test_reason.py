"""guard.reason: what it flags, what it lets pass, and that it scales."""

from __future__ import annotations

import json
import random
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from datakit.core.errors import UserError
from datakit.core.labels import Label, LabelSet
from datakit.core.likeness import grams, jaccard
from datakit.core.near_texts import ALL_PAIRS_UP_TO, likely_pairs
from datakit.core.record import BASE, COLUMNS
from datakit.core.settings import RunSettings
from datakit.core.step_context import StepContext
from datakit.guard._conclusion import Conclusions
from datakit.guard.reason import Reason
from datakit.recipe.recipe import Step
from datakit.run.engine import Engine
from datakit.run.record_frames import RecordFrames
from datakit.run.store import Store

LABELS = LabelSet(
    (
        Label("退款页面", "d", ("退款详情",), ("退货页面",)),
        Label("退货页面", "d", (), ("退款页面",)),
        Label("物流页面-物流列表页面", "d", ("物流列表",)),
        Label("物流页面-物流跟踪页面", "d"),
        Label("实物拍摄(含售后)", "d", ("实拍",)),
    )
)
GOOD = "顶部写着“退款成功”，下方列出退款金额与退回账户，因此属于退款页面。"
SCHEMA = {**{name: COLUMNS[name] for name in BASE}, "reason": pl.String()}
Check = Callable[..., tuple[pl.DataFrame, dict[str, tuple[str, str]], Engine]]


@pytest.fixture
def check(tmp_path: Path, make_context: Callable[..., StepContext]) -> Check:
    """Runs the guard over reasons (text, or (label, text)); gives the frame, the rejects and the engine."""
    count = iter(range(1000))

    def go(reasons: list[Any], batch_rows: int = 4096, backward: bool = False, **parameters: Any) -> Any:
        number = next(count)
        pairs = [reason if isinstance(reason, tuple) else ("退款页面", reason) for reason in reasons]
        rows = [
            {"id": f"r{at:04d}", "source_file": "x", "source_line": at, "images": [], "label": a, "reason": b}
            for at, (a, b) in enumerate(pairs)
        ]
        given = RecordFrames(tmp_path / f"given{number}", SCHEMA)
        given.append(pl.DataFrame(rows[::-1] if backward else rows, SCHEMA))
        store = Store(tmp_path / "store")
        try:
            context = make_context(labels=LABELS, run=RunSettings(batch_rows=batch_rows))
            engine = Engine(context, store, tmp_path / f"work{number}")
            stage = engine.run([Step(1, Reason(**parameters), "r.yaml:1:1")], given)
            lines = (engine.folder / "rejects.jsonl").read_text("utf-8").splitlines()
            out = {row["id"]: (row["reason"], row["detail"]) for row in map(json.loads, lines)}
            return stage.lazy().collect(), out, engine
        finally:
            store.close()

    return go


def flags(frame: pl.DataFrame) -> list[list[str]]:
    return frame["reason_flags"].to_list()


def test_good_reason_is_not_flagged(check: Check) -> None:
    frame, rejects, engine = check([GOOD])
    assert flags(frame) == [[]]
    assert rejects == {}
    assert engine.reports[0].notes == {"flagged": 0, "of": 1, "flags": {}}


@pytest.mark.parametrize(
    ("text", "flag"),
    [
        (None, "reason_missing"),
        (" \n ", "reason_missing"),
        ("因此属于退款页面", "reason_too_short"),
        ("".join(map(chr, range(0x4E00, 0x4E00 + 301))), "reason_too_long"),
        ("The page shows a refund that was paid back to the wallet.", "reason_language"),
        ("画面列出退货地址与物流单号，要求寄回商品，因此属于退货页面。", "reason_contradicts"),
    ],
)
def test_fault_is_marked_and_kept_or_rejected_with_its_words(
    check: Check, text: str | None, flag: str
) -> None:
    frame, _, engine = check([GOOD, text])
    assert flags(frame) == [[], [flag]]
    assert engine.reports[0].notes["flags"] == {flag: 1}
    frame, rejects, engine = check([GOOD, text], on_fail="reject")
    assert frame["id"].to_list() == ["r0000"]
    assert "reason_flags" not in frame.columns
    assert rejects["r0001"][0] == flag
    assert len(rejects["r0001"][1]) > 15
    assert engine.reports[0].rejected == {flag: 1}


def test_equal_and_alike_reasons_of_a_label_are_flagged_but_the_first(check: Check) -> None:
    alike = GOOD.replace("列出", "写明")
    other = "收银台上的金额已划掉，换成原路返还的进度条与到账时间，归为退款页面。"
    frame, _, _ = check([GOOD, other, GOOD, alike])
    assert flags(frame) == [[], [], ["reason_repeated"], ["reason_too_similar"]]
    assert frame["reason_similarity"].to_list()[2] == 1.0
    assert 0.6 < frame["reason_similarity"].to_list()[3] < 1.0
    assert frame["reason_similarity"].to_list()[1] < 0.3
    frame, rejects, _ = check([GOOD, other, GOOD, alike], on_fail="reject")
    assert frame["id"].to_list() == ["r0000", "r0001"]
    assert "r0000" in rejects["r0003"][1]
    frame, _, _ = check([GOOD, alike], max_similarity=None)
    assert flags(frame) == [[], []]


def test_equal_words_of_two_labels_are_not_compared(check: Check) -> None:
    text = "顶部写着“处理中”，中间是进度条，下方有联系商家的按钮，排列紧凑。"
    frame, _, _ = check([("退款页面", text), ("退货页面", text)])
    assert flags(frame) == [[], []]


def test_equal_openings_beyond_their_share_are_flagged(check: Check) -> None:
    rng = random.Random(1)
    tails = ["".join(rng.choice("天地人山水火风云雨雪花鸟虫鱼") for _ in range(30)) for _ in range(20)]
    openings = ["这张图片显示的是"] * 10 + ["".join(rng.sample("春夏秋冬东南西北", 8)) for _ in range(10)]
    frame, _, _ = check([opening + tail for opening, tail in zip(openings, tails, strict=True)])
    assert flags(frame) == [[]] * 6 + [["reason_opening"]] * 4 + [[]] * 10
    frame, _, _ = check(
        [opening + tail for opening, tail in zip(openings, tails, strict=True)], max_equal_openings=None
    )
    assert flags(frame) == [[]] * 20


@pytest.mark.parametrize(
    ("label", "text", "other"),
    [
        ("退款页面", "有退款金额，因此属于退款页面，而不是退货页面。", None),
        ("退款页面", "没有退货地址，区别于退货页面，应为退款页面。", None),
        ("退款页面", "不需要寄回，与退货页面不同，结论是退款页面。", None),
        ("退款页面", "按钮写着“退货页面”，列出退款编号，可见是退款。", None),
        ("退款页面", "从退款详情的编号可以判断。", None),
        ("退款页面", "要求寄回商品，故归为退货页面。", "退货页面"),
        ("退款页面", "要求寄回商品。这是退货页面。", "退货页面"),
        ("退款页面", "不是退款页面，而是退货页面。", "退货页面"),
        ("退货页面", "先有退款详情入口，再要求寄回。列出退货地址。", None),
        ("物流页面-物流列表页面", "逐行排列，判断为物流页面-物流跟踪页面。", "物流页面-物流跟踪页面"),
        ("物流页面-物流跟踪页面", "只有一个包裹，不是物流列表，属于物流页面-物流跟踪页面。", None),
        ("实物拍摄(含售后)", "光影自然，应归入实物拍摄（含售后）。", None),
        ("退款页面", "光影自然，应归入实物拍摄（含售后）。", "实物拍摄(含售后)"),
        ("退款页面", "有金额与编号，结构完整。", None),
        ("退款页面", "版面非常清楚是退货页面。", "退货页面"),
        ("退款页面", "毫无疑问属于退货页面。", "退货页面"),
        ("退款页面", "没有疑问地属于退货页面。", "退货页面"),
        ("退款页面", "不能不归为退货页面。", "退货页面"),
        ("退款页面", "不可否认是退货页面。", "退货页面"),
        ("退款页面", "并非退款页面而是退货页面。", "退货页面"),
        ("退款页面", "与其说是退款页面，不如说是退货页面。", "退货页面"),
        ("退款页面", "列出退货地址，非退货页面莫属。", "退货页面"),
        ("退款页面", "没有价格而属于退货页面。", "退货页面"),
        ("退款页面", "不仅是退货页面的样式，结论是退货页面。", "退货页面"),
        ("退款页面", "因此不是退款页面。", "不是退款页面"),
        ("退款页面", "因此不可能不是退货页面。", "退货页面"),
        ("退款页面", "可见岂不是退货页面。", "退货页面"),
        ("退款页面", "可见是未完成的退货页面。", "退货页面"),
        ("退款页面", "因此属于非标准的退货页面。", "退货页面"),
        ("退款页面", "因此不可能是退货页面。", None),
        ("退款页面", "因此难以归为退货页面。", None),
        ("退款页面", "因此无法归为退货页面。", None),
        ("退款页面", "可见算不上退货页面。", None),
        ("退款页面", "因此不应视为退货页面。", None),
        ("退款页面", "因此不考虑退货页面。", None),
        ("退款页面", "可见退货页面说不通。", None),
        ("退款页面", "可见退货页面的可能性很小。", None),
        ("退款页面", "如果有寄回步骤，则应为退货页面，这里没有。", None),
        ("退款页面", "怎么可能是退货页面？", None),
        ("退款页面", "看似退货页面。不是退货页面或换货页面。", None),
        ("退款页面", "不属于退货页面、换货页面。", None),
        ("退款页面", "因此非退货页面。", None),
        ("退款页面", "综上可以看出不太像退货页面。", None),
        ("退款页面", "所以退货页面可以排除。", None),
        ("退款页面", "因此与退货页面的特征不符。", None),
        ("退款页面", "因此容易与退货页面混淆。", None),
        ("退款页面", "由此无法判断是不是退货页面。", None),
        ("退款页面", "可见尚未到退货页面。", None),
        ("退款页面", "不是退货页面而是退款页面。", None),
        ("退货页面", "不是退款页面而是退货页面。", None),
    ],
)
def test_conclusion_of_another_label_is_found_and_told_apart_from_a_neighbour(
    label: str, text: str, other: str | None
) -> None:
    assert Conclusions(LABELS).other(text, label) == other


def test_batch_size_and_row_order_change_nothing(check: Check) -> None:
    texts = [sentence(random.Random(at % 40)) for at in range(90)] + [GOOD, None, GOOD[:8]]
    whole, _, _ = check(texts)
    assert sum(map(bool, flags(whole))) > 30
    small, _, _ = check(texts, batch_rows=7)
    backward, _, _ = check(texts, backward=True)
    assert whole.equals(small)
    assert whole.equals(backward.sort("id"))


def sentence(rng: random.Random, length: int = 60) -> str:
    """Random words of two characters."""
    return "".join(rng.choice(WORDS) for _ in range(length // 2))


WORDS = [chr(0x4E00 + a) + chr(0x5000 + b) for a in range(0, 900, 30) for b in range(0, 900, 30)]


@settings(max_examples=200, deadline=None)
@given(st.text("退款货页面金额", max_size=12), st.text("退款货页面金额", max_size=12))
def test_similarity_is_jaccard_of_three_character_pieces(first: str, second: str) -> None:
    def pieces(text: str) -> set[str]:
        return {text[at : at + 3] for at in range(len(text) - 2)} or {text}

    expected = len(pieces(first) & pieces(second)) / len(pieces(first) | pieces(second))
    assert jaccard(grams(first), grams(second)) == pytest.approx(expected)


def test_many_reasons_are_compared_fast_and_near_ones_found() -> None:
    rng = random.Random(3)
    texts = [sentence(rng) for _ in range(4000)]
    planted = []
    for at in range(400):
        words = list(texts[at])
        words[20:26] = "换了六个字啊"
        planted.append((at, len(texts)))
        texts.append("".join(words))
    sets = [grams(text) for text in texts]
    assert len(sets) > ALL_PAIRS_UP_TO
    began = time.process_time()
    pairs = set(likely_pairs(sets, 0.6))
    assert time.process_time() - began < 8
    near = [pair for pair in planted if jaccard(sets[pair[0]], sets[pair[1]]) > 0.6]
    assert len(near) > 350
    assert len(pairs & set(near)) >= 0.98 * len(near)
    assert len(pairs) < 100_000


def test_a_class_of_equal_beginnings_stays_bounded() -> None:
    sets = [grams(GOOD + chr(0x4E00 + at)) for at in range(1500)]
    began = time.process_time()
    assert sum(1 for _ in likely_pairs(sets, 0.6)) < 64 * 1500 * 2
    assert time.process_time() - began < 8


@pytest.mark.parametrize("on_fail", ["reject", "mark", "rewrite"])
def test_a_column_of_numbers_is_refused_before_it_is_looked_at(
    on_fail: str, tmp_path: Path, make_context: Callable[..., StepContext]
) -> None:
    guard = (
        Reason(on_fail=on_fail, template="rewrite.j2") if on_fail == "rewrite" else Reason(on_fail=on_fail)
    )
    frame = pl.LazyFrame({"id": ["a"], "label": ["退款页面"], "reason": [1.5]})
    with pytest.raises(UserError, match="`reason` holds Float64, no texts"):
        guard.start(make_context(labels=LABELS), frame)
