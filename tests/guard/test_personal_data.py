from __future__ import annotations

from pathlib import Path
from typing import Any

import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from datakit.core.errors import RecipeErrors, UserError
from datakit.core.outcome import Batch
from datakit.core.personal import LEFT_UNSEEN
from datakit.core.step_context import StepContext
from datakit.guard.personal_data import PersonalData

CONTEXT = StepContext(base=Path("."), project=Path("."))
LINE = pl.Struct({"text": pl.String, "score": pl.Float64, "box": pl.List(pl.Float64), "image": pl.UInt32})
PERSON = "收件人：张伟 13800138000"


def line(text: str, row: int, column: int = 0) -> dict[str, Any]:
    left = 300.0 * column
    return {"text": text, "score": 0.9, "box": [left, 40.0 * row, left + 250, 40.0 * row + 30], "image": 0}


def frame(*rows: dict[str, Any]) -> pl.DataFrame:
    """Records with a picture, and what each row says."""
    usual = {"source_file": "a.jsonl", "source_line": 1, "images": ["/a.jpg"], "text": None}
    schema = {
        "id": pl.String,
        "source_file": pl.String,
        "source_line": pl.Int64,
        "images": pl.List(pl.String),
        "text": pl.String,
        "ocr": pl.List(LINE),
        "ocr_text": pl.String,
        "reason": pl.String,
    }
    return pl.DataFrame(
        [{"id": f"r{at}", **usual, **row} for at, row in enumerate(rows)], schema=schema, strict=False
    )


def guarded(records: pl.DataFrame, **parameters: Any) -> tuple[Batch, dict[str, Any]]:
    guard = PersonalData(**{"fields": ["ocr", "ocr_text", "text", "reason"], **parameters})
    worker = guard.start(CONTEXT, records.lazy())
    return worker(records), worker.notes  # type: ignore[union-attr]  # a worker of its own


def test_all_kinds_are_masked_and_counted() -> None:
    text = (
        f"{PERSON} zhang@qq.com 京A·12345\n身份证号 11010519491231002X 卡号 6222021234567890128\n"
        "运单号 SF1234567890123\n浙江省杭州市西湖区文三路138号3单元502室"
    )
    batch, notes = guarded(frame({"text": text}))
    assert batch.frame["text"][0] == (
        "收件人：张* 138****8000 z***@qq.com 京A****\n身份证号 1****************X 卡号 6222***********0128\n"
        "运单号 SF****0123\n浙江省杭州市西湖区****"
    )
    assert batch.frame["personal_data"][0].to_list() == [
        "phone",
        "id_number",
        "bank_card",
        "courier",
        "email",
        "plate",
        "address",
        "name",
    ]
    assert (notes["records"], set(notes["found"].values())) == (1, {1})


@pytest.mark.parametrize(
    ("text", "masked"),
    [
        ("邮箱 a.b@例子.中国，请查收", "邮箱 a***@例子.中国，请查收"),
        ("写信给 li@邮件.例子.com", "写信给 l***@邮件.例子.com"),
        ("联系@小明.中国 好", "联系@小明.中国 好"),
        ("a.b@店铺。中国移动的套餐", "a.b@店铺。中国移动的套餐"),
        ("关注v2@微博.中国新闻", "关注v2@微博.中国新闻"),
    ],
)
def test_an_address_of_a_chinese_domain_is_masked_and_a_mention_is_none(text: str, masked: str) -> None:
    batch, _ = guarded(frame({"text": text}))
    assert batch.frame["text"][0] == masked


@pytest.mark.parametrize(
    ("text", "masked"),
    [
        ("电话 13812345678/13912345678", "电话 138****5678/139****5678"),
        ("13812345678,13912345678", "138****5678,139****5678"),
        ("138 1234 5678/139 1234 5678", "138****5678/139****5678"),
        ("010-62345678/13912345678", "010-****5678/139****5678"),
        ("价格 1,13812345678 比分3:13812345678", "价格 1,13812345678 比分3:13812345678"),
        ("王 小 明 先生", "王** 先生"),
        ("张 伟 女士，张 伟女士", "张* 女士，张*女士"),
        ("全 部 女士 男 女士", "全 部 女士 男 女士"),
        ("车牌号 沪 A 88888", "车牌号 沪A****"),
        ("新 A12345 上市，新A12345款", "新 A12345 上市，新A12345款"),
        ("尊敬的买买提·艾力先生您好", "尊敬的买**先生您好"),
        ("北京·王小明先生，语文·张老师，首页·我的女士", "北京·王**先生，语文·*老师，首页·我的女士"),
        ("張偉先生，尊敬的陳大文小姐", "張*先生，尊敬的陳**小姐"),
        ("黃金小姐 馬上先生 時間女士", "黃金小姐 馬上先生 時間女士"),
        ("收貨人：陳大文", "收貨人：陳**"),
        ("3782 822463 10005 / 3782-822463-10005", "3782*******0005 / 3782*******0005"),
        ("3782 822463 10004 378282246310005", "3782 822463 10004 378282246310005"),
        ("138.1234.5678", "138****5678"),
        ("版本 138.1234.5678 ¥138.1234.5678", "版本 138.1234.5678 ¥138.1234.5678"),
        ("1\u200b3\u200b8\u200b1234\u200b5678", "138****5678"),
        ("收\ufeff件人：张\u200b伟\u200b。", "收\ufeff件人：张*\u200b。"),
        ("使224578 车牌 使 224·578", "使**** 车牌 使****"),
        ("致使224578人，使 224578", "致使224578人，使 224578"),
    ],
)
def test_lists_of_numbers_and_signs_that_ocr_sets_apart_are_read_as_one_writes_them(
    text: str, masked: str
) -> None:
    batch, _ = guarded(frame({"text": text}))
    assert batch.frame["text"][0] == masked


def test_a_name_that_ocr_shows_is_masked_in_the_reason_too() -> None:
    batch, _ = guarded(frame({"ocr_text": PERSON, "reason": "页面写着“张伟”和“138 0013 8000”。"}))
    row = batch.frame.row(0, named=True)
    assert row["ocr_text"] == "收件人：张* 138****8000"
    assert row["reason"] == "页面写着“张*”和“138****8000”。"


def test_a_prompt_never_depends_on_what_only_the_answer_names() -> None:
    batch, _ = guarded(frame({"ocr_text": "张伟 您好", "reason": "收件人：张伟，可见是订单页面。"}))
    assert batch.frame["ocr_text"][0] == "张伟 您好"
    assert "张伟" not in batch.frame["reason"][0]


def test_surname_with_a_title_is_one_mask_in_all_columns() -> None:
    batch, _ = guarded(frame({"ocr_text": "尊敬的王先生：", "reason": "称呼王先生，故为聊天页面。"}))
    assert batch.frame["ocr_text"][0] == "尊敬的*先生："
    assert "王先生" not in batch.frame["reason"][0]


def test_lines_of_ocr_keep_their_boxes_and_are_masked_over_two_lines() -> None:
    lines = [line("浙江省杭州市西湖区文三路", 0), line("138号3单元502室", 1), line("立即购买", 2)]
    batch, _ = guarded(
        frame({"ocr": lines, "ocr_text": "浙江省杭州市西湖区文三路\n138号3单元502室\n立即购买"}), blur=True
    )
    row = batch.frame.row(0, named=True)
    assert [entry["text"] for entry in row["ocr"]] == ["浙江省杭州市西湖区****", "****", "立即购买"]
    assert [entry["box"] for entry in row["ocr"]] == [entry["box"] for entry in lines]
    assert row["ocr_text"] == "浙江省杭州市西湖区****\n****\n立即购买"
    assert row["blur"] == [{"image": 0, "box": lines[0]["box"]}, {"image": 0, "box": lines[1]["box"]}]


def test_a_number_over_two_boxes_of_one_line_is_found() -> None:
    batch, _ = guarded(frame({"ocr": [line("电话 138", 0), line("0013 8000", 0, 1)]}))
    assert [entry["text"] for entry in batch.frame["ocr"][0]] == ["电话 138****8000", "****"]


def test_report_leaves_the_texts_and_names_the_kinds() -> None:
    records = frame({"text": PERSON}, {"text": "立即购买"})
    batch, notes = guarded(records, mode="report")
    assert batch.frame.drop("personal_data").equals(records)
    assert batch.frame["personal_data"].to_list() == [["phone", "name"], []]
    assert notes["found"] == {"phone": 1, "name": 1}


@pytest.mark.fault(
    "a text holds a telephone number, and `guard.personal_data` rejects",
    "the record is a reject whose reason shows 138****8000, and nothing of the number is printed",
    kind="secrets",
)
def test_reject_drops_the_record_and_says_no_number() -> None:
    batch, _ = guarded(frame({"text": "电话13800138000"}, {"text": None}), mode="reject")
    (reject,) = batch.rejects
    assert (reject.id, reject.reason, reject.detail) == ("r0", "personal_data", "phone 138****8000 in `text`")
    assert batch.frame["id"].to_list() == ["r1"]


def test_only_the_kinds_that_are_wanted_are_masked() -> None:
    batch, _ = guarded(frame({"text": PERSON}), find=["phone"])
    assert batch.frame["text"][0] == "收件人：张伟 138****8000"


def test_masking_twice_changes_nothing() -> None:
    once, _ = guarded(frame({"text": f"{PERSON} 杭州市西湖区文三路138号502室"}))
    twice, notes = guarded(once.frame.drop("personal_data"))
    assert twice.frame["text"].to_list() == once.frame["text"].to_list()
    assert notes["found"] == {}


def test_nulls_and_empty_lists_pass() -> None:
    batch, notes = guarded(frame({"ocr": None}, {"ocr": []}, {"ocr": [None]}), blur=True)
    assert (batch.frame.height, notes["records"]) == (3, 0)


def test_chats_of_the_source_are_masked_turn_by_turn() -> None:
    chats = [{"role": "user", "content": f"<image>{PERSON}"}, {"role": "assistant", "content": "张伟的订单"}]
    records = frame({}).with_columns(
        pl.Series("messages", [chats], pl.List(pl.Struct({"role": pl.String, "content": pl.String})))
    )
    batch, _ = guarded(records, fields=["messages"])
    assert [turn["content"] for turn in batch.frame["messages"][0]] == [
        "<image>收件人：张* 138****8000",
        "张*的订单",
    ]


def test_a_column_that_is_not_there_is_told_with_the_nearest() -> None:
    with pytest.raises(UserError, match="`fields` names the column `reasn`") as error:
        PersonalData(fields=["reasn"]).check_columns({"reason": pl.String()}, CONTEXT)
    assert "`reason`" in str(error.value.remedy)


def test_a_column_of_numbers_is_told() -> None:
    with pytest.raises(UserError, match="holds Int64, no texts"):
        PersonalData(fields=["price"]).check_columns({"price": pl.Int64()}, CONTEXT)


@pytest.mark.parametrize(
    ("parameters", "words"),
    [
        ({"find": ["phon"]}, "phone"),
        ({"find": []}, "an empty list finds nothing"),
        ({"fields": []}, "an empty list finds nothing"),
        ({"mode": "reject", "blur": True}, "`blur` belongs to `mode: mask`"),
    ],
)
def test_parameters_that_make_no_sense_are_told(parameters: dict[str, Any], words: str) -> None:
    with pytest.raises(RecipeErrors, match=words):
        PersonalData(**parameters)


def test_blur_needs_lines_with_boxes() -> None:
    with pytest.raises(UserError, match="`blur` has no boxes to go by"):
        PersonalData(fields=["text"], blur=True).check_columns({"text": pl.String()}, CONTEXT)


def test_text_of_a_prompt_that_nobody_looks_at_is_noted() -> None:
    records = frame({"text": PERSON})
    assert PersonalData(fields=["reason"]).start(CONTEXT, records.lazy()).notes[LEFT_UNSEEN] == ["text"]  # type: ignore[union-attr]


_PIECES = st.sampled_from(
    [
        *"收件人姓名：张伟王李四先生女士小明,。 \n*138OlI-:@.京A粤浙江省杭州市西湖区文三路号栋单元室电话订单",
        *(
            "13800138000",
            "张伟",
            "收件人：",
            "6222021234567890128",
            "138号3单元502室",
            "浙江省杭州市西湖区",
            "a@qq.com",
        ),
    ]
)


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(_PIECES, max_size=30).map("".join), st.lists(_PIECES, max_size=12).map("".join))
def test_any_texts_are_masked_once_and_for_all(text: str, reason: str) -> None:
    records = frame({"text": text, "reason": reason, "ocr": [line(text, 0), line(reason, 1)]})
    once, _ = guarded(records, blur=True)
    again, notes = guarded(once.frame.drop("personal_data", "blur"), blur=True)
    assert once.frame.height == again.frame.height == 1
    assert again.frame.drop("blur").equals(once.frame.drop("blur").with_columns(again.frame["personal_data"]))
    assert notes["found"] == {}
    assert len(once.frame["ocr"][0]) == 2
