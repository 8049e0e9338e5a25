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
from datakit.guard._findings import BY_LANGUAGE, Findings
from datakit.guard._opening import opens_with_label
from datakit.guard._quotations import Read, misquotes
from datakit.guard.reason import Reason
from datakit.recipe.recipe import Step
from datakit.render.chat import Chat
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

    def go(
        reasons: list[Any],
        batch_rows: int = 4096,
        backward: bool = False,
        ocr_text: list[str | None] | None = None,
        **parameters: Any,
    ) -> Any:
        number = next(count)
        pairs = [reason if isinstance(reason, tuple) else ("退款页面", reason) for reason in reasons]
        rows = [
            {"id": f"r{at:04d}", "source_file": "x", "source_line": at, "images": [], "label": a, "reason": b}
            for at, (a, b) in enumerate(pairs)
        ]
        schema = SCHEMA if ocr_text is None else {**SCHEMA, "ocr_text": pl.String()}
        rows = [
            {**row, "ocr_text": text} for row, text in zip(rows, ocr_text or [None] * len(rows), strict=True)
        ]
        given = RecordFrames(tmp_path / f"given{number}", schema)
        given.append(pl.DataFrame(rows[::-1] if backward else rows, schema))
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


def test_reasons_of_two_labels_are_compared_without_the_labels_names(check: Check) -> None:
    text = "顶部写着“处理中”，中间是进度条，下方有联系商家的按钮，因此属于{}，而不是{}。"
    pairs = [
        ("退款页面", text.format("退款页面", "退货页面")),
        ("退货页面", text.format("退货页面", "退款详情")),
    ]
    alike = text.format("物流列表", "物流页面-物流跟踪页面").replace("有联系商家的按钮", "是联系商家")
    other = "收银台上的金额已划掉，换成原路返还的进度条与到账时间，归为实物拍摄（含售后）。"
    pairs += [("物流页面-物流列表页面", alike), ("实物拍摄(含售后)", other)]
    frame, _, engine = check(pairs)
    assert flags(frame) == [[], ["reason_repeated"], ["reason_too_similar"], []]
    assert engine.reports[0].notes["flagged"] == 2
    frame, rejects, _ = check(pairs, on_fail="reject")
    assert frame["id"].to_list() == ["r0000", "r0003"]
    assert rejects["r0001"] == ("reason_repeated", "the same words as r0000 but for the label")
    assert "like r0000 but for the label" in rejects["r0002"][1]
    frame, _, _ = check(pairs, max_similarity=None)
    assert flags(frame) == [[], ["reason_repeated"], [], []]


def test_a_reason_that_is_out_already_puts_none_of_another_label_out(check: Check) -> None:
    # The third is alike to the second alone, which gives way to the first of its own label.
    head, middle, tail = "顶部写着处理中三个大字", "中间是一条进度条和一排小字", "下方有联系商家的按钮"
    first, second = f"{head}，{middle}，左侧另有图标，属于{{}}。", f"{head}，{middle}，{tail}，属于{{}}。"
    third = f"{middle}，{tail}，右侧另有说明，属于{{}}。"
    pairs = [("退款页面", first.format("退款页面")), ("退款页面", second.format("退款页面"))]
    pairs += [("退货页面", third.format("退货页面"))]
    frame, _, _ = check(pairs, max_similarity=0.5)
    assert flags(frame) == [[], ["reason_too_similar"], []]
    frame, _, _ = check(pairs[1:], max_similarity=0.5)
    assert flags(frame) == [[], ["reason_too_similar"]]


def test_many_reasons_of_two_labels_are_compared_too(check: Check) -> None:
    pairs = []
    for at in range(ALL_PAIRS_UP_TO):
        words = sentence(random.Random(at))
        pairs += [("退款页面", f"{words}，属于退款页面。"), ("退货页面", f"{words}，属于退货页面。")]
    frame, _, _ = check(pairs)
    assert flags(frame)[::2] == [[]] * ALL_PAIRS_UP_TO
    assert flags(frame)[1::2] == [["reason_repeated"]] * ALL_PAIRS_UP_TO


OCR = "退款成功\n钱款去向\n退款编号 2026112688\n到账账户：招商银行(8812)\nRefund Completed"


@pytest.mark.parametrize(
    ("text", "missing"),
    [
        ("写着“退款成功”和“钱款去向”，因此属于退款页面。", ""),
        ("写着“到账账户:招商银行（8812）”这一行，因此属于退款页面。", ""),
        ("写着“退款编号2026112688”这一串，因此属于退款页面。", ""),
        ("写着“退款编与 2026112688”这一串，因此属于退款页面。", ""),  # as engines misread
        ("写着“退款编号 2026112633”这一串，因此属于退款页面。", "退款编号 2026112633"),
        ("写着“退款编号 20261126”这一串，因此属于退款页面。", "退款编号 20261126"),
        ("写着“退款成功，”四个字和去向，因此属于退款页面。", ""),
        ("写着“退款……去向”以及编号，因此属于退款页面。", ""),
        ("有退款编号和去向，因此属于“退款页面”，而非“退货页面”。", ""),
        ("有退款编号和去向，与“退货页面”不同，归为“退款页面”。", ""),
        (
            "写的是'Refund Completed'，seller's，还列出编号和去向，金额也退回了账户，因此属于退款页面。",
            "",
        ),
        ("顶部写着“退款页面”，有编号和去向，因此属于退款页面。", "退款页面"),
        ("写着“等待寄回”和“钱款去向”，因此属于退款页面。", "等待寄回"),
        ("写着「等待寄回」，因此属于退款页面。", "等待寄回"),
        ("写着『等待寄回』，因此属于退款页面。", "等待寄回"),
        ('写着"等待寄回"，因此属于退款页面。', "等待寄回"),
        ("写着‘等待寄回’，因此属于退款页面。", "等待寄回"),
        ("写着'等待寄回'，因此属于退款页面。", "等待寄回"),
        ("写着《等待寄回》，因此属于退款页面。", "等待寄回"),
        ("写着“退款成功…等待寄回”，因此属于退款页面。", "退款成功…等待寄回"),
        ("写着“退款失败”，因此属于退款页面，一目了然。", "退款失败"),
        ("写着“退...款...失...败”，因此属于退款页面。", "退...款...失...败"),
        ("写着“退…款…成…功”，因此属于退款页面，一目了然。", "退…款…成…功"),
        ("写着“钱款…退款成功”，因此属于退款页面。", "钱款…退款成功"),  # the other way round
        ("写着“退款成功…钱款”，因此属于退款页面。", ""),
        ("写着〝等待寄回〞，因此属于退款页面。", "等待寄回"),
        ("写着”等待寄回“，因此属于退款页面。", "等待寄回"),
        ("写着“等待寄回，因此属于退款页面。", "等待寄回，因此属于退款页面"),
        ("写着“成功…Completed”，还有编号，属于退款页面。", "成功…Completed"),  # lines between
        ("写着等待寄回，还有编号，因此属于退款页面。", "等待寄回"),
        ("标题为等待寄回，有编号，因此属于退款页面。", "等待寄回"),
        ("顶部文字是 等待寄回，另有编号，属于退款页面。", "等待寄回"),
        ("金额之上有标题（等待寄回），因此属于退款页面。", "等待寄回"),
        ("（等待寄回），还有编号，因此属于退款页面。", "等待寄回"),
        ("*等待寄回*，还有编号，因此属于退款页面。", "等待寄回"),
        ("上面出现等待寄回四个字，还有编号，属于退款页面。", "等待寄回"),
        ("上面有（等待寄回）字样，还有编号，属于退款页面。", "等待寄回"),
        ("能读到等待寄回，还有编号和去向，属于退款页面。", "等待寄回"),
        ("标题是加粗的，按钮为红色，列出编号，属于退款页面。", ""),
        ("读到的3处文字中有编号和去向，因此属于退款页面。", ""),
        ("上面没有等待寄回四个字，还有编号，属于退款页面。", ""),
        ("写着退款成功和钱款去向，因此属于退款页面。", ""),
        ("标题是退款成功，还有编号，因此属于退款页面。", ""),
        ("写着订单状态和金额，还有编号，因此属于退款页面。", ""),  # which kind of text
        ("（见图中编号），还有去向，因此属于退款页面。", ""),
        ("列出去向和编号，因此归入下类。\n**退款页面**", ""),
    ],
)
def test_what_a_reason_quotes_must_have_been_read(check: Check, text: str, missing: str) -> None:
    other = "收银台上的金额已划掉，换成原路返还的进度条与到账时间，归为退款页面。"
    frame, _, engine = check([other, text], ocr_text=[OCR, OCR])
    assert flags(frame) == [[], ["reason_misquotes"] if missing else []]
    assert engine.reports[0].notes["flags"] == ({"reason_misquotes": 1} if missing else {})
    _, rejects, _ = check([other, text], ocr_text=[OCR, OCR], on_fail="reject")
    assert [detail for _, detail in rejects.values()] == (
        [f"“{missing}” does not stand in the OCR text"] if missing else []
    )


@pytest.mark.parametrize(
    ("text", "missing"),
    [
        ("The heading reads Refund closed, so it is a refund page.", ["Refund closed"]),
        ("title: Refund closed; it is a refund page.", ["Refund closed"]),
        ("A button labelled Return goods at the bottom, so it is a refund page.", ["Return goods"]),
        ("With the title Refund closed, it is a refund page.", ["Refund closed"]),
        ("The heading reads Refund completed and a number is listed.", []),
        ("It reads like a refund page, titled in bold.", []),
    ],
)
def test_what_an_english_reason_says_can_be_read_needs_no_marks(text: str, missing: list[str]) -> None:
    assert misquotes(text, Read(OCR), LABELS).missing == missing


def test_quotations_are_looked_up_in_the_record_s_own_text_and_only_where_there_is_one(check: Check) -> None:
    other = "收银台写着“退款成功”，进度条与到账时间都在，归为退款页面。"
    frame, _, _ = check(
        [GOOD, other, GOOD.replace("列出", "有")], ocr_text=["退款成功", "", None], max_similarity=None
    )
    assert flags(frame)[0] == []
    assert "reason_misquotes" in flags(frame)[1]
    assert "reason_misquotes" not in flags(frame)[2]
    frame, _, _ = check([other], ocr_text=[""], quotes_in=None)
    assert flags(frame) == [[]]
    frame, _, _ = check([other])
    assert flags(frame) == [[]]


@pytest.mark.parametrize(
    ("text", "opens"),
    [
        ("这是退款页面，因为列出了退款编号和钱款去向。", True),
        ("退款页面。列出了退款编号和钱款去向，钱退回原账户。", True),
        ("退款页面的特征很明显，列出了退款编号。", True),
        ("该图片应归为退款页面，列出了退款编号和去向。", True),
        ("很明显，这张截图属于“退款页面”，因为有编号。", True),
        ("结论：退款页面。列出了退款编号和钱款去向。", True),
        ("可以判断这是退款详情，列出了退款编号和去向。", True),
        ("毫无疑问，这是退款页面，上面有退款编号。", True),
        ("根据截图内容，这是退款页面，上面有编号。", True),
        ("从整体布局来看，该图属于退款页面，有编号。", True),
        ("综合来看，图片为退款页面，列出了退款编号。", True),
        ("我认为这张图是退款页面，上面有退款编号。", True),
        ("这张手机截图是一个典型的退款页面，有编号。", True),
        ("答：退款页面。列出了退款编号和钱款去向。", True),
        ("1. 退款页面，列出了退款编号和钱款去向。", True),
        ("“退款页面”——列出了退款编号和钱款去向。", True),
        ("好的，这是退款页面。列出了退款编号和去向。", True),
        ("本图最符合退款页面的描述，列出了退款编号。", True),
        ("一看便知是退款页面，列出了退款编号和去向。", True),
        ("不难看出这是退款页面，列出了退款编号和去向。", True),
        ("手机屏幕上显示的是退款页面，列出了编号。", True),
        ("用户上传的是一张退款页面的截图，列出了编号。", True),
        ("从标题看是退款页面，列出了退款编号和去向。", True),
        ("类别：“退款页面”。列出了退款编号和钱款去向。", True),
        ("退款页面标题写在顶部，有编号，属于退款页面。", False),
        ("标题是退款页面，列出了编号，因此属于退款页面。", False),
        ("不是退货页面，因为不要求寄回，属于退款页面。", False),
        ("列出了退款编号和钱款去向，因此属于退款页面。", False),
        ("退款详情之下列出了编号和去向，因此属于退款页面。", False),
        ("“退款页面”几个字在标题栏，列出编号，因此属于退款页面。", False),
        ("不要求寄回商品，有钱款去向，因此属于退款页面。", False),
        ("由退款编号和钱款去向可以看出是退款页面。", False),
        ("这是一张列出退款编号的截图，所以是退款页面。", False),
    ],
)
def test_a_reason_never_opens_with_its_conclusion(check: Check, text: str, opens: bool) -> None:
    frame, _, _ = check([text])
    assert flags(frame) == [["reason_concludes_first"] if opens else []]


OPENINGS = """
    判为X。列出了编号。|此图当属X，列出了编号。|这里展示的是X的内容，列出编号。|我选X，列出编号。|更像X，列出编号。
    显示为X，列出编号。|图中可见X，列出编号。|一张X截图，列出编号。|分析如下：这是X，列出编号。|看得出来，这是X。
    经过比对……答案是X。|综合各处细节，答案是X。|此为X类页面，列出编号。|依我看，这属于X。|毋庸置疑是X，编号在列。
    显而易见，此乃X。|X无误，列出了编号。|标签应打X，因为有编号。|毫不犹豫地选X。|这幅图应标为X。|先说结论，X。
    思考过程如下。这是X。|这图片，X没跑了。|我倾向于X，因为有编号。|画面整体指向X，有编号。|不用多想，X。|不外乎X。
    此图实为X。|该截图反映的是X，有编号。|本题应选X。|X！编号、去向都有。|凭直觉这就是X。|归类结果为X，编号在列。
    不可能是X，没有编号。|绝不是X，没有编号。|与X不符，没有编号。|排除X，没有编号。|这不可能属于X。
"""
EVIDENCE_FIRST = """
    编号与去向都在，可见是X。|钱已退回原账户，故为X。|底部按钮写X，另有编号，归入X。|顶栏标题X，列出编号。
    与退货页面相比，少了寄回地址，是X。|“退款成功”在顶部，这是X。|没有寄回地址，所以是X。|见“钱款去向”，判为X。
    退货页面通常有寄回地址，这里没有，因此是X。|有编号，是X。|有地址，是X。|没有地址，属于X。|已退款，属X。|到账了，是X。
    含金额与编号的是X。|有“退款成功”。退货页面会出现退货地址，这里没有。|第一行为“X”，下有编号，属于X。|标题“X”居中，归为X。
    大字金额在上，属于X。|左右气泡交替，即X。|画面里是一双鞋，归为X。|是否为X，要看编号，编号在列。|X三个字写在顶部，编号在下。
"""
ENGLISH_OPENINGS = """
    I would go with X, a number is listed.|The best fit is X.|I'd pick X because of the number.
    My vote goes to X.|X it is, given the number.|Looks most like X to me.|X fits best here.
    It can only be X.|Everything points to X.|Choosing X: a number is listed.|Definitely X.
    We are looking at X.|Upon reflection, this must be X.|This cannot be X.
    X can be ruled out: no number.|It is nothing other than X.|There's no doubt: X.
    I'm confident it's X.|Must be X.
"""
ENGLISH_EVIDENCE_FIRST = """
    The number and the amount are listed, so I would go with X.|A number is listed; the best fit is X.
    'Refund done' stands at the top, so X it is.|There is no address, so X.
    The header says X, and a number is listed.|A balance is shown, which fits X best.
    Two bubbles face each other, so X.|A white mug stands on a table; X.
    No address is asked for, so it cannot be a return page but X.|Prices in red, so X.
"""


def _sentences(text: str) -> list[str]:
    return [part.strip() for part in text.strip().replace("\n", "|").split("|")]


@pytest.mark.parametrize("name", ["退款页面", "其他类别图片", "账单/账户页面", "消费者与客服聊天页面"])
def test_a_conclusion_is_found_at_the_beginning_in_whatever_words(name: str) -> None:
    label = Label(name)
    missed = [text for text in _sentences(OPENINGS) if not opens_with_label(text.replace("X", name), label)]
    alarms = [text for text in _sentences(EVIDENCE_FIRST) if opens_with_label(text.replace("X", name), label)]
    assert (missed, alarms) == ([], [])


@pytest.mark.parametrize("name", ["Refund page", "refund", "Chat with a seller"])
def test_an_english_conclusion_is_found_at_the_beginning_in_whatever_words(name: str) -> None:
    label = Label(name)
    texts, others = _sentences(ENGLISH_OPENINGS), _sentences(ENGLISH_EVIDENCE_FIRST)
    missed = [text for text in texts if not opens_with_label(text.replace("X", name), label)]
    alarms = [text for text in others if opens_with_label(text.replace("X", name), label)]
    assert (missed, alarms) == ([], [])


QUOTED_LATER = """
    在此写下X四个字，“退款成功”可证|这是退款的页面，因为有“退款成功”|一张退款类的页面：“退款成功”|答案栏填X四个字，见“退款成功”
    此图无非是X：“退款成功”|毫无意外，此为X。“退款成功”|本图讲的是退款，故为X，见“退款成功”|不出所料，这是X，写着“退款成功”
    毫无半点悬念可言，此为X：“退款成功”|话不多说，X，有“退款成功”|实话实说，此乃X。有“退款成功”|除了X别无可能，“退款成功”
    凭借对电商平台的了解，这是X，顶部有“退款成功”|不必细看也知道是X，“退款成功”|无需犹豫，X就是答案，“退款成功”
    经过深思熟虑，我把它归到X，“退款成功”|此处展示的内容关乎退款，定为X，“退款成功”|此图是退款页，有“退款成功”
    退款界面一张，“退款成功”写在上面|选项里最贴切的莫过于X，证据是“退款成功”|25个类别逐一排除后只剩X，“退款成功”可以佐证
    倘若只能给一个标签，那必然是X，因为“退款成功”“编号”都在|不是退货页面，也不是换货页面，而是X，有“退款成功”为证
    翻遍全部二十五个候选，唯有X说得通，“退款成功”是佐证|经验告诉我们，凡是出现这种排版的多半是X，比如“退款成功”
    这张截图毫无悬念地落在X这一格，理由是“退款成功”|用户截下的正是自己的X，上面有“退款成功”
    老实说，这种画面除了X没有第二种可能，“退款成功”可证|思来想去，十有八九是X，“退款成功”
"""
QUOTED_LATER_EVIDENCE_FIRST = """
    顶部写着“退款成功”，因此是退款的页面|标题是X四个字，有编号，因此属于X|
    顶部写着“退款成功”，因此是X|画面中部是聊天气泡，左右交替排列，属于X。底部还写着“请输入消息”
    金额居中，三段进度条走到末段，故属X，另有“退款成功”|没有寄回地址和物流单号，所以是X，另有“退款成功”
    列有退款金额128元与到账账户，是X，也写着“退款成功”|X通常有“钱款去向”，这里正有“钱款去向”，因此是X
    与退货页面不同，没有寄回的地址，是X|绿色对勾旁写着到账说明，编号与金额俱全，未要求寄件，故为X，“退款成功”
    没有收件地址，有钱款去向的时间线，因此不是退货页面而是X，“退款成功”|这种排版里金额居中、编号在下，多半是X，“退款成功”
    中央是大号金额，下面排列几种付款渠道，因而是X，写有“确认付款”|列出编号与去向，因此属于“X”，而非“退货页面”|标题是X，下面写着“退款成功”
"""
ENGLISH_QUOTED_LATER = """
    A typical mobile X with "Refunded".|I am going to say X: "Refunded".|Without hesitation, X: "Refunded".
    No surprises here, X. "Refunded" is shown.|As expected, this is a X: "Refunded".|Hmm, X. "Refunded"
    Long story short, it is a X, as "Refunded" shows.|It deals with a refund, so X; "Refunded".
"""
ENGLISH_QUOTED_LATER_EVIDENCE_FIRST = """
    "Refunded" stands at the top, so it is a X.|The heading says X, and "Refunded" stands below.
    A green tick above the amount and a progress bar point to the X; "Refunded" agrees.
    An order number, an amount and a return account are listed, hence X; "Refunded".
"""


@pytest.mark.parametrize(
    ("name", "first", "behind"),
    [
        ("退款页面", QUOTED_LATER, QUOTED_LATER_EVIDENCE_FIRST),
        ("Refund page", ENGLISH_QUOTED_LATER, ENGLISH_QUOTED_LATER_EVIDENCE_FIRST),
    ],
)
def test_a_label_before_the_first_quotation_is_a_conclusion_unless_plenty_is_said_before_it(
    name: str, first: str, behind: str
) -> None:
    label = Label(name, aliases=("退款详情", "refund status"))
    missed = [text for text in _sentences(first) if not opens_with_label(text.replace("X", name), label)]
    alarms = [text for text in _sentences(behind) if opens_with_label(text.replace("X", name), label)]
    assert (missed, alarms) == ([], [])


def test_an_english_reason_never_opens_with_its_conclusion() -> None:
    label = Label("refund page", aliases=("money back",))
    assert opens_with_label("This is a refund page, because it lists the refund number.", label)
    assert opens_with_label("The screenshot clearly shows the Refund Page of a shop.", label)
    assert opens_with_label("It should be classified as money back.", label)
    assert not opens_with_label("It lists a refund number, so this is a refund page.", label)
    assert not opens_with_label("Money back stands at the top, so it is a refund page.", label)


@pytest.mark.parametrize(
    ("text", "opens"),
    [
        ("It's a refund page: it lists the refund number.", True),
        ("Based on the layout, this is a refund page.", True),
        ("I believe this is a refund page as it lists a number.", True),
        ("We can tell it is a refund page since it lists a number.", True),
        ("Without doubt this is a refund page.", True),
        ("This looks like a refund page with a number.", True),
        ("This appears to be a refund page with a number.", True),
        ("The correct label is Refund page.", True),
        ("My conclusion: refund page", True),
        ("The given image corresponds to a refund page.", True),
        ("Judging by the shape, this is a refund page: a number.", True),
        ("The app's refund page is shown: a number is listed.", True),
        ("OK. This is a refund page.", True),
        ("**Refund page** - it lists a number.", True),
        ("The title reads 'Refund successful', so it is a refund page.", False),
        ("'Refund page' stands at the top, so it is a refund page.", False),
        ("Refund page title stands at the top, so it is a refund page.", False),
        ("This is not a return page, for it lists a number; it is a refund page.", False),
        ("A number and an amount are listed, which makes it a refund page.", False),
    ],
)
def test_an_english_reason_is_read_by_its_own_words(text: str, opens: bool) -> None:
    assert opens_with_label(text, Label("Refund page", aliases=("refund screen",))) is opens


@pytest.mark.parametrize(
    ("text", "label"),
    [
        ("Normal heart size and clear lungs, hence normal.", "Normal"),
        ("The heart size is normal, and the lungs are clear.", "Normal"),
        ("正常大小的心影，双肺透亮，所以是正常。", "正常"),
        ("肺野是正常的，心影不大，所以是正常。", "正常"),
    ],
)
def test_a_label_that_is_an_everyday_word_is_no_conclusion_where_it_describes(text: str, label: str) -> None:
    assert not opens_with_label(text, Label(label))


def test_a_short_alias_is_a_conclusion_where_one_leads_to_it() -> None:
    label = Label("购物车页面", aliases=("购物车",))
    assert opens_with_label("这是购物车，有“全选”。", label)
    assert not opens_with_label("购物车里有两件商品，因此是购物车页面。", label)


@pytest.mark.parametrize(("answer", "looked_at"), [("reason_first", True), ("label_first", False)])
def test_a_reason_behind_the_label_may_open_with_it(
    make_context: Callable[..., StepContext], answer: str, looked_at: bool
) -> None:
    context = make_context(labels=LABELS, steps=(Chat(prompt="ecom/classify_v1.j2", answer=answer),))
    assert Reason().is_evidence_first(context) is looked_at
    assert Reason().is_evidence_first(make_context(labels=LABELS)) is True


def test_a_text_of_opening_words_alone_takes_no_time() -> None:
    label = Label("退款页面")
    assert not opens_with_label("应该应当可以看出" * 20_000 + "一张清单", label)
    assert not opens_with_label("thisisan" * 20_000, label)
    assert opens_with_label("应该应当可以看出" * 2_000 + "退款页面", label)


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
        ("退款页面", "有地址，因此不可能是退款页面。", "不是退款页面"),
        ("退款页面", "有地址，综上绝不是退款页面。", "不是退款页面"),
        ("退款页面", "有地址，可见与退款页面不符。", "不是退款页面"),
        ("退款页面", "有地址，因此排除退款页面。", "不是退款页面"),
        ("退款页面", "不能排除退款页面，因此属于退款页面。", None),
        ("退款页面", "有“退款成功”。退货页面会出现退货地址，这里没有。", None),
        ("退款页面", "列出编号。退货页面才有寄回地址。", None),
        ("退款页面", "列出编号。而退货页面的特征是寄回地址，图里找不到。", None),
        ("退款页面", "有编号。退货页面需填写单号，这里无处可填。", None),
        ("退款页面", "有编号。退货页面会是它的类别。", "退货页面"),
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
        ("退款页面", "顶部有金额，这是退货页面。底部有按钮。", "退货页面"),
        ("退款页面", "该图的分类结果为退货页面。没有别的。", "退货页面"),
        ("退款页面", "最终答案：退货页面\n以上", "退货页面"),
        ("退款页面", "属于退款页面或退货页面。", "退货页面"),
        ("退款页面", "应选退货页面，不选退款页面。", "退货页面"),
        ("退款页面", "应选退款页面，不选退货页面。", None),
        ("退款页面", "因此选择退货页面。理由充分。", "退货页面"),
        ("退款页面", "这不是退款页面。", "不是退款页面"),
        ("退款页面", "有地址，因此是“退货页面”。", "退货页面"),
        ("退款页面", "综上，类别为《退货页面》。", "退货页面"),
        ("退款页面", "综上，类别：「退货页面」。", "退货页面"),
        ("退款页面", "它不是“退款页面”，而是“退货页面”。", "退货页面"),
        ("退款页面", "标题为“退货页面”，属于退款页面。", None),
        ("退款页面", "综上，类别为“退款页面”，而非“退货页面”。", None),
        ("退款页面", "这是退货页面常见的按钮。因此属于退款页面。", None),
        ("退款页面", "介于退款页面和退货页面之间，没有地址，属于退款页面。", None),
    ],
)
def test_conclusion_of_another_label_is_found_and_told_apart_from_a_neighbour(
    label: str, text: str, other: str | None
) -> None:
    assert Conclusions(LABELS).other(text, label) == other


ENGLISH = LabelSet(
    tuple(map(Label, ("Refund page", "Return page", "Normal", "Abnormal", "Nodule", "Effusion")))
)


@pytest.mark.parametrize(
    ("label", "text", "other"),
    [
        ("Refund page", "This is a Return page. The text is an address.", "Return page"),
        ("Refund page", "An address is asked for, which makes it a Return page.", "Return page"),
        ("Refund page", "An address is asked for. Therefore the class is 'Return page'.", "Return page"),
        ("Refund page", "It is not a Refund page; the label is Return page.", "Return page"),
        ("Refund page", "It is not a Refund page.", "not Refund page"),
        ("Refund page", "It isn't a Refund page.", "not Refund page"),
        ("Refund page", "There is no doubt that this is a Return page.", "Return page"),
        ("Refund page", "An amount is listed, hence a Refund page or a Return page.", "Return page"),
        ("Refund page", "It is not a Return page.", None),
        ("Refund page", "It says refund, so it's not a Return page but a Refund page.", None),
        ("Refund page", "Unlike the Return page, it asks for no address, so it is a Refund page.", None),
        ("Refund page", "The heading 'Return page' is a link, so it is a Refund page.", None),
        ("Refund page", "If an address were asked for, it would be a Return page.", None),
        ("Normal", "There is no nodule and no effusion.", None),
        ("Normal", "No nodule, mass or effusion is seen.", None),
        ("Normal", "The film is unremarkable, so it is abnormal.", "Abnormal"),
        ("Normal", "Nothing abnormal is seen, so the film is normal.", None),
        ("Normal", "The angle is blunted, consistent with effusion.", "Effusion"),
        ("Nodule", "No effusion.", None),
        ("Nodule", "There is a nodule in the left lung. The heart size is normal.", None),
        ("Nodule", "A round opacity lies on the left. It is not a nodule.", "not Nodule"),
        ("Nodule", "There is no evidence of a nodule.", "not Nodule"),
    ],
)
def test_an_english_conclusion_is_found_and_told_apart(label: str, text: str, other: str | None) -> None:
    assert Conclusions(ENGLISH).other(text, label) == other


@pytest.mark.parametrize(
    ("text", "is_chinese"),
    [
        ("顶部写着“Refund successful, paid to your card”，归为Refund page。", True),
        ("有Money Back字样，因此属于Refund page，而非Return page。", True),
        ("“Refund successful”", True),
        ("The heading is “退款成功”, so it belongs to the Refund page.", False),
        ("有金额，so the page that it shows belongs to a Refund page.", False),
    ],
)
def test_quotations_and_the_labels_words_are_in_the_pictures_language(text: str, is_chinese: bool) -> None:
    labels = LabelSet((Label("Refund page", keywords=("Money back",)), Label("Return page")))
    findings = Findings(Reason(), BY_LANGUAGE["zh"])
    findings.shape(["a"], [text], labels)
    assert ("reason_language" in findings.flags.get("a", [])) is not is_chinese


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
