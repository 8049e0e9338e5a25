"""render.chat with contracts: prompt and answer of one spec, several forms by share, and what is refused."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from datakit.core.answer_forms import counts
from datakit.core.contract import FORMS
from datakit.core.contract_words import Language
from datakit.core.errors import UserError
from datakit.core.outcome import Rejected
from datakit.core.parameters import validated
from datakit.core.step_context import StepContext
from datakit.core.workers import BatchWorker
from datakit.render._answers import AnswerForm
from datakit.render.chat import ANSWERS, Chat
from tests.support.chat_records import CART, LABELS, ROOT, V3, contents, frame_of, record, run, write

PROMPT = "ecom/classify_by_form.j2"
MIXED: dict[str, Any] = {
    "prompt": PROMPT,
    "answers": [
        {"form": "reason_first"},
        {"form": "label_only", "share": 0.3, "instruction": "只回答类别"},
        {"form": "describe_then_label", "share": 0.2},
    ],
}


def chat_of(**parameters: Any) -> Chat:
    return validated(Chat, parameters)


@pytest.fixture
def context(make_context: Callable[..., StepContext]) -> StepContext:
    return make_context(labels=LABELS)


def test_prompt_and_answer_come_from_one_contract(context: StepContext) -> None:
    _, user, answer = contents(run(chat_of(prompt=PROMPT, answer="reason_first"), context, record()))
    assert user.endswith(
        "<ocr>\n全选\n结算(2)\n</ocr>\n按下面两行的格式回答，尖括号处换成内容，不要添加其他内容：\n"
        "理由：<依据图片内容的判断理由>\n类别：<类别名称，写法与上面完全一致>"
    )
    assert answer == f"理由：底部有全选和结算\n类别：{CART}"


def test_english_template_is_answered_in_english(context: StepContext) -> None:
    name = write(context, "<image>Which label fits?\n{{ label_json }}\n{{ answer_format }}")
    _, user, answer = contents(run(chat_of(prompt=name, answer="label_first"), context, record()))
    assert user.endswith(
        "Label: <the name of the label, spelt as above>\nReason: <why, from what the picture shows>"
    )
    assert answer == f"Label: {CART}\nReason: 底部有全选和结算"
    chinese = chat_of(prompt=name, answer={"form": "label_first", "language": "zh"})
    assert contents(run(chinese, context, record()))[2].startswith("类别：")


def test_fields_columns_and_bounds_are_the_recipes(context: StepContext) -> None:
    fields = ["evidence", {"name": "reason", "max_chars": 12, "heading": "依据"}, "label"]
    chat = chat_of(prompt=PROMPT, answer={"fields": fields, "columns": {"evidence": "description"}})
    assert set(chat.inputs(context)) == {"images", "ocr_text", "description", "reason", "label"}
    batch = run(chat, context, record(), record(1, reason="一二三四五六七八九十一二三"))
    assert contents(batch)[2] == f"证据：手机界面，底部有结算按钮。\n依据：底部有全选和结算\n类别：{CART}"
    (reject,) = batch.rejects
    assert (reject.id, reject.reason) == ("r1", "answer_too_long")


def test_two_turns_ask_for_each_turn(context: StepContext) -> None:
    first = write(context, "<image>{{ answer_format }}", "first.j2")
    second = write(context, "{{ label_names }}\n{{ answer_format }}判断。", "second.j2")
    _, ask, described, again, label = contents(
        run(chat_of(prompt=[first, second], answer="two_turn"), context, record())
    )
    assert ask == "<image>只写对图片的客观描述，不要添加其他内容。"
    assert described == "手机界面，底部有结算按钮。"
    assert again.endswith("只回答类别名称，写法与上面完全一致，不要解释，也不要添加其他文字。判断。")
    assert label == CART


def test_several_forms_have_their_shares_and_a_column(context: StepContext) -> None:
    chat = chat_of(**MIXED)
    frame = frame_of(*[record(number) for number in range(50)])
    worker = noting(chat, context, frame)
    batch = worker(frame)
    forms = batch.frame["answer_form"].to_list()
    assert [Counter(forms)[form] for form in ("reason_first", "label_only", "describe_then_label")] == counts(
        50, [0.5, 0.3, 0.2]
    )
    assert batch.frame["id"].to_list() == frame["id"].to_list()
    assert worker.notes == {"answer forms": dict(Counter(sorted(forms))) | {"reason_first": 25}}
    for at, form in enumerate(forms):
        _, user, answer = contents(batch, at)
        if form == "label_only":
            assert user.endswith("\n只回答类别")
            assert answer == CART
        else:
            assert user.endswith("类别：<类别名称，写法与上面完全一致>")
            assert answer.endswith(f"\n类别：{CART}")
            assert answer.startswith("理由：" if form == "reason_first" else "描述：")
    assert chat.outputs(context)["answer_form"] == pl.String()


def test_form_of_a_record_depends_on_id_and_seed_alone(context: StepContext) -> None:
    frame = frame_of(*[record(number) for number in range(40)])
    other = frame.reverse().with_columns(ocr_text=pl.lit("别的"))
    chat = chat_of(**MIXED)

    def forms(frame: pl.DataFrame, size: int) -> dict[str, str]:
        worker = chat.start(context, frame.lazy())
        parts = [worker(part).frame.select("id", "answer_form") for part in frame.iter_slices(size)]
        return dict(pl.concat(parts).rows())

    assert forms(frame, 40) == forms(other, 7)


def test_served_prompt_of_each_form_is_that_of_training(context: StepContext) -> None:
    chat = chat_of(**MIXED)
    frame = frame_of(*[record(number) for number in range(20)])
    batch = chat.start(context, frame.lazy())(frame)
    for at, form in enumerate(batch.frame["answer_form"]):
        served = chat.for_form(form, context)
        prompted = served.prompt_for({"images": ["/a.jpg"], "ocr_text": "全选\n结算(2)"}, context)
        assert not isinstance(prompted, Rejected)
        assert prompted.messages == batch.frame["messages"][at].to_list()[:2]
    first = chat.writer(context).prompt(record())
    assert first == chat.for_form(None, context).writer(context).prompt(record())
    with pytest.raises(UserError, match="no answer form `cot`"):
        chat.for_form("cot", context)


@pytest.mark.parametrize("answer", ["label_first", "describe_reason_label", "label_only"])
def test_shipped_prompt_with_another_answer_is_refused_with_its_line(
    context: StepContext, answer: str
) -> None:
    with pytest.raises(UserError, match="the prompt says") as caught:
        Chat(**{**V3, "answer": answer}).inputs(context)
    assert caught.value.where.rpartition(":")[0].endswith("templates/ecom/classify.j2")
    assert caught.value.where.rpartition(":")[2] in ("10", "11")
    assert "{{ answer_format }}" in caught.value.remedy


def test_own_answer_template_in_another_order_is_refused(context: StepContext) -> None:
    write(context, "类别：{{ label }}\n理由：{{ reason }}", "turned.j2")
    with pytest.raises(UserError, match="the answer writes 类别, then 理由"):
        Chat(prompt="ecom/classify.j2", answer="turned.j2").inputs(context)
    write(context, "理由：{{ reason }}\n类别：{{ label }}", "same.j2")
    assert "reason" in Chat(prompt="ecom/classify.j2", answer="same.j2").inputs(context)


def test_contract_beside_a_form_by_hand_is_refused(context: StepContext) -> None:
    name = write(context, "<image>\n类别：名称\n理由：依据\n{{ answer_format }}")
    with pytest.raises(UserError, match="the form `reason_first` writes 理由, then 类别") as caught:
        Chat(prompt=name, answer="reason_first").inputs(context)
    assert caught.value.where.endswith("mine.j2:2")


@pytest.mark.parametrize(("language", "words"), [("zh", "只回答类别。"), ("en", "The class alone.")])
def test_instruction_is_that_of_the_language(language: Language, words: str) -> None:
    form = AnswerForm.model_validate(
        {"form": "label_only", "instruction": {"zh": "只回答类别。", "en": "The class alone."}}
    )
    assert form.contract(language).instruction == words


def test_language_without_an_instruction_asks_as_usual() -> None:
    form = AnswerForm.model_validate({"form": "label_only", "instruction": {"zh": "只回答类别。"}})
    assert form.contract("en").prompt_lines() == AnswerForm(form="label_only").contract("en").prompt_lines()


def test_instruction_that_says_something_else_is_refused(context: StepContext) -> None:
    chat = chat_of(prompt=PROMPT, answer={"form": "reason_first", "instruction": "只回答类别名称"})
    with pytest.raises(UserError, match="instruction of the form `reason_first`"):
        chat.inputs(context)


@pytest.mark.parametrize("form", sorted(set(FORMS) - set(ANSWERS)))
def test_prompt_that_does_not_ask_for_the_contract_is_refused_with_its_line(
    context: StepContext, form: str
) -> None:
    name = write(context, "<image>\n回答。")
    with pytest.raises(UserError, match="does not ask for the answer's form") as caught:
        Chat(prompt=name, answer=form).inputs(context)
    assert caught.value.where.endswith("mine.j2:2")


def test_description_of_the_student_may_not_stand_in_the_prompt(context: StepContext) -> None:
    name = write(context, "<image>{{ description }}\n{{ answer_format }}")
    with pytest.raises(UserError, match="`description`, which gives the answer away"):
        Chat(prompt=name, answer="describe_then_label").inputs(context)


def test_lines_of_a_contract_are_refused_beside_an_answer_template(context: StepContext) -> None:
    with pytest.raises(UserError, match="`answer` is a template of its own") as caught:
        Chat(prompt=PROMPT, answer="ecom/reason_then_label.j2").inputs(context)
    assert caught.value.where.endswith("classify_by_form.j2:9")


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({}, "either `answer` or `answers`"),
        ({"answer": "cot", "answers": [{"form": "cot"}]}, "either `answer` or `answers`"),
        ({"answers": []}, "names no form"),
        ({"answers": [{"form": "cot", "share": 0.6}, {"form": "number", "share": 0.6}]}, "shares .* are 1.2"),
        ({"answers": [{"form": "cot", "share": 0.6}, {"form": "number", "share": 0.3}]}, "shares .* are 0.9"),
        ({"answers": [{"form": "cot", "share": 1.0}, {"form": "number"}]}, "leave a rest"),
        ({"answers": [{"form": "cot"}, {"form": "cot"}]}, "two forms `cot`"),
        ({"answers": [{"form": "cot"}, {"form": "two_turn"}]}, "as many turns"),
        ({"answer": {"form": "cto"}}, "Did you mean `cot`"),
        ({"answer": {"form": "cot", "share": 0.5}}, "belongs to the forms"),
        ({"answer": {"form": "cot", "columns": {"reason": "x"}}}, "`columns` names `reason`"),
        ({"answer": {"fields": ["label", "label"]}}, "stands twice"),
        ({"answer": {"fields": [{"name": "reason", "kind": "essay"}]}}, "kind"),
    ],
)
def test_answer_that_is_none_is_refused(changes: dict[str, Any], words: str) -> None:
    with pytest.raises(ValidationError, match=words):
        chat_of(prompt=PROMPT, **changes)


WORDS = st.none() | st.text(st.sampled_from("选 \n\u2028<image>{{a}}|\x1c\u3000类别：理由"), max_size=30)
ROWS = st.lists(
    st.tuples(WORDS, WORDS, WORDS, st.sampled_from([*LABELS.names[:2], "买家实拍", "无此类", None])),
    max_size=10,
)
FEW: dict[str, Any] = {
    "fields": [{"name": "description", "kind": "text"}, {"name": "reason", "max_chars": 20}, "label"]
}


@pytest.mark.parametrize("answer", ["reason_first", "label_only", "short_reason", FEW], ids=str)
def test_batches_made_by_column_equal_records_made_one_by_one(
    tmp_path: Path, answer: str | dict[str, Any]
) -> None:
    context = StepContext(base=ROOT, project=tmp_path, labels=LABELS)
    chat = chat_of(prompt=PROMPT, answer=answer)

    @given(ROWS)
    @settings(max_examples=60, deadline=None)
    def check(rows: list[Any]) -> None:
        names = ("ocr_text", "description", "reason", "label")
        frame = frame_of(*[record(at, **dict(zip(names, row, strict=True))) for at, row in enumerate(rows)])
        by_column: Any = chat.start(context, frame.lazy())
        one_by_one: Any = chat.start(context, frame.lazy())
        assert by_column.plain is not None
        one_by_one.plain = None
        fast, slow = by_column(frame), one_by_one(frame)
        assert fast.frame.to_dicts() == slow.frame.to_dicts()
        assert fast.rejects == slow.rejects

    check()


def test_several_labels_and_numbers_come_out_of_typed_columns(context: StepContext) -> None:
    rows = [
        {**record(at), "labels": names, "number": 1.5 * at} for at, names in enumerate([LABELS.names[:2], []])
    ]
    frame = pl.DataFrame(rows, strict=False)
    many = chat_of(prompt=PROMPT, answer="multi_label").start(context, frame.lazy())(frame)
    assert [turns[-1]["content"] for turns in many.frame["messages"].to_list()] == [
        "、".join(LABELS.names[:2]),
        "无",
    ]
    name = write(context, "<image>多长？{{ answer_format }}")
    numbers = chat_of(prompt=name, answer="number").start(context, frame.lazy())(frame)
    assert [turns[-1]["content"] for turns in numbers.frame["messages"].to_list()] == ["0", "1.5"]


def noting(chat: Chat, context: StepContext, frame: pl.DataFrame) -> BatchWorker:
    worker = chat.start(context, frame.lazy())
    assert isinstance(worker, BatchWorker)
    return worker


@pytest.mark.parametrize("counted", [False, True], ids=["column by column", "record by record"])
def test_what_a_form_changes_in_answers_is_counted_and_said(context: StepContext, counted: bool) -> None:
    chat = chat_of(prompt=PROMPT, answer="describe_reason_label", count_tokens=counted)
    rows = [
        record(0),
        record(1, reason="第一行\n第二行", description=" 两端的空白不算 "),
        record(2, reason="有按钮\n  有结算", description="a\tb"),
        record(3, reason="被拒的\n不算", label="没有这一类"),
    ]
    frame = frame_of(*rows)
    worker = noting(chat, context, frame)
    batch = worker(frame)
    assert batch.frame.height == 3
    assert contents(batch, 1)[2].splitlines()[1] == "理由：第一行 第二行"
    assert worker.notes["changed_answers"] == {"reason line_breaks": 2, "description white_space": 1}
    first, second = worker.notes["warnings"]
    assert "`reason` does not fit its place in the answer of 2 records, such as r1: line breaks" in first
    assert "`{name: reason, kind: text}`" in first
    assert "1 record, such as r2" in second


def test_answers_that_are_as_they_came_are_not_spoken_of(context: StepContext) -> None:
    frame = frame_of(record(0), record(1, reason=" 有按钮 \n"))
    worker = noting(chat_of(prompt=PROMPT, answer="reason_first"), context, frame)
    worker(frame)
    assert worker.notes == {}


def test_remedy_keeps_every_byte(context: StepContext) -> None:
    fields = {"fields": [{"name": "reason", "kind": "text"}, "label"]}
    frame = frame_of(record(0, reason="第一行\n\n  第二行\t完"))
    worker = noting(chat_of(prompt=PROMPT, answer=fields), context, frame)
    assert "理由：第一行\n\n  第二行\t完\n" in contents(worker(frame))[2]
    assert worker.notes == {}


def test_several_forms_count_what_they_change_together(context: StepContext) -> None:
    rows = [record(number, reason="一\n二", description="一\n二") for number in range(40)]
    frame = frame_of(*rows)
    worker = noting(chat_of(**MIXED), context, frame)
    worker(frame)
    forms = worker.notes["answer forms"]
    assert worker.notes["changed_answers"] == {
        "reason line_breaks": forms["reason_first"],
        "description line_breaks": forms["describe_then_label"],
    }
