"""Answer formats: what a template writes is read back; what a model writes is read or called a problem."""

from __future__ import annotations

from pathlib import Path

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from datakit.core.answer import AnswerFormat
from datakit.core.errors import UserError
from datakit.core.labels import load_labels
from datakit.core.templates import Templates, TrustedText

ROOT = Path(__file__).resolve().parents[2]
TEMPLATES = Templates([ROOT / "templates"])
LABELS = load_labels(ROOT / "templates" / "ecom" / "labels.yaml")
ANSWERS = sorted(
    path.relative_to(ROOT / "templates").as_posix()
    for path in (ROOT / "templates").rglob("*.j2")
    if path.parent.name == "answer" or path.name == "reason_then_label.j2"
)
REASON = AnswerFormat.of(["ecom/reason_then_label.j2"], TEMPLATES)
LABEL_ONLY = AnswerFormat.of(["answer/label_only.j2"], TEMPLATES)
CART = "购物车页面"


def test_there_are_answer_templates_to_try() -> None:
    assert len(ANSWERS) >= 8


TEXT = st.text(
    st.sampled_from("理由类别描述：:\n ，。<image>|im_end页面 a1{}()（）"), min_size=1, max_size=40
)


@pytest.mark.parametrize("name", ANSWERS)
def test_what_is_written_is_read_back(name: str) -> None:
    form = AnswerFormat.of([name], TEMPLATES)
    template = TEMPLATES.get(name)

    @given(st.data())
    @settings(max_examples=150, deadline=None)
    def check(data: st.DataObject) -> None:
        values = {variable: data.draw(TEXT).strip() or "无" for variable in form.variables}
        if "label" in values:
            values["label"] = data.draw(st.sampled_from(LABELS.names))
        if form.turns[0].clash(values):
            return
        (text,) = form.render(values)
        assert text == template.render({key: TrustedText(value) for key, value in values.items()})
        answer = form.parse(text, LABELS)
        assert answer.values == values
        assert (answer.problem, answer.exact) == ("", True)

    check()


@pytest.mark.parametrize("name", ANSWERS)
def test_format_survives_json(name: str) -> None:
    form = AnswerFormat.of([name], TEMPLATES)
    assert AnswerFormat.from_json(form.to_json()) == form


@pytest.mark.parametrize(
    "text",
    [
        "理由：有结算按钮\n类别：购物车页面",
        "理由: 有结算按钮\n类别: 购物车页面\n",
        "\n理由：有结算按钮\r\n\r\n类 别：购物车页面",
        "理由：有结算按钮 类别：购物车页面。",
        "理由：有结算按钮\n类别：“购物车页面”",
        "理由：有结算按钮\n类别：购物车页面\n类别：购物车页面",
    ],
)
def test_loose_forms_state_label_and_reason(text: str) -> None:
    answer = REASON.parse(text, LABELS)
    assert (answer.label, answer.reason, answer.problem) == (CART, "有结算按钮", "")


@pytest.mark.parametrize(
    "text", ["类别：购物车页面", "购物车页面", "购物车页面。\n", "理由：\n类别：购物车页面"]
)
def test_missing_reason_leaves_the_label(text: str) -> None:
    answer = REASON.parse(text, LABELS)
    assert (answer.label, answer.reason) == (CART, None)


def test_width_and_alias_give_the_canonical_label() -> None:
    for text in ("实物拍摄（含售后）", "实物拍摄(含售后)", "买家实拍", " 实物拍摄 ( 含售后 ) "):
        assert LABEL_ONLY.parse(text, LABELS).label == "实物拍摄(含售后)"


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "empty"),
        (" \n", "empty"),
        ("我不知道", "label_missing"),
        ("理由：有结算按钮", "label_missing"),
        ("理由：有结算按钮\n类别：", "label_missing"),
        ("理由：有结算按钮\n类别：购物页", "label_unknown"),
        ("理由：像退货页面\n类别：购物车页面或退货页面", "label_unknown"),
        ("理由：甲\n类别：购物车页面\n类别：退货页面", "label_ambiguous"),
        ("理由：甲\n类别：购物车页面\n退货页面", "label_ambiguous"),
        ("类别：购物车页面\n理由：乙\n类别：不存在", "label_unknown"),
    ],
)
def test_what_cannot_be_read_is_a_problem_and_no_guess(text: str, problem: str) -> None:
    answer = REASON.parse(text, LABELS)
    assert (answer.label, answer.problem) == (None, problem)
    assert answer.detail


def test_unknown_label_gets_a_suggestion() -> None:
    assert "Did you mean `购物车页面`" in REASON.parse("类别：购物车页", LABELS).detail


def test_label_inside_a_sentence_is_not_taken() -> None:
    assert LABEL_ONLY.parse("这是购物车页面吗", LABELS).problem == "label_unknown"
    assert LABEL_ONLY.parse("购物车页面\n退货页面", LABELS).problem == "label_ambiguous"


def test_announcement_inside_the_reason_does_not_matter_when_a_line_has_its_own() -> None:
    answer = REASON.parse("理由：左侧写着类别：女装\n类别 ：购物车页面", LABELS)
    assert answer.label == CART


def test_without_a_label_set_the_stated_text_is_the_label() -> None:
    assert REASON.parse("理由：甲\n类别：任意").label == "任意"
    assert REASON.parse("理由：甲\n类别：一\n类别：二").problem == "label_ambiguous"


def test_turns_of_a_dialogue_are_read_each_on_its_own() -> None:
    form = AnswerFormat.of(["answer/two_turn_1.j2", "answer/two_turn_2.j2"], TEMPLATES)
    assert form.variables == ("description", "label")
    assert form.render({"description": "手机界面", "label": CART}) == ("手机界面", CART)
    assert form.parse(CART, LABELS).label == CART
    assert form.parse("手机界面", turn=0).values == {"description": "手机界面"}


def test_value_with_a_separator_is_named() -> None:
    (turn,) = REASON.turns
    assert turn.clash({"reason": "甲\n类别：乙", "label": CART}) == "reason"
    assert turn.clash({"reason": "甲，类别：乙", "label": CART}) == ""


@pytest.mark.parametrize(
    ("text", "line", "words"),
    [
        ("{{ label }}{{ reason }}", 1, "nothing stands between `label` and `reason`"),
        ("类别：{{ label }}\n{% if reason %}理由：{{ reason }}{% endif %}", 2, "if"),
        ("{% for x in labels %}{{ x }}{% endfor %}", 1, "for"),
        ("一\n{{ label|upper }}", 2, "filter"),
        ("{{ label }}、{{ label }}", 1, "twice"),
        ("好", 1, "no variable"),
    ],
)
def test_template_that_cannot_be_read_back_is_refused_with_its_line(
    tmp_path: Path, text: str, line: int, words: str
) -> None:
    (tmp_path / "mine.j2").write_text(text, "utf-8")
    with pytest.raises(UserError, match=words) as caught:
        AnswerFormat.of(["mine.j2"], Templates([tmp_path]))
    assert caught.value.where.endswith(f"mine.j2:{line}")


@pytest.mark.parametrize("data", [b"", b"[]", b"{}", b'{"turns": []}', b'{"turns": [{"variables": ["a"]}]}'])
def test_damaged_file_is_a_clear_error(data: bytes) -> None:
    with pytest.raises(UserError, match=r"answer\.json"):
        AnswerFormat.from_json(data)


@pytest.mark.parametrize("name", ANSWERS)
def test_stored_format_has_the_bytes_that_builds_were_made_with(name: str) -> None:
    form = AnswerFormat.of([name], TEMPLATES)
    turns = [{"variables": turn.variables, "constants": turn.constants} for turn in form.turns]
    wanted = orjson.dumps({"version": 1, "turns": turns}, option=orjson.OPT_INDENT_2) + b"\n"
    assert form.to_json() == wanted
    assert AnswerFormat.from_json(wanted) == form


@pytest.mark.parametrize("data", ["", "[]", "{}", '{"turns": [3]}', b"\xff\xfe"])
def test_stored_format_that_is_none_is_refused(data: str | bytes) -> None:
    with pytest.raises(UserError, match=r"no answer\.json"):
        AnswerFormat.from_json(data)
