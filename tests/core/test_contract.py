"""The answer contract: prompt, answer, reader, schema, guide and reward agree, whatever the data holds."""

from __future__ import annotations

import inspect
import re
import textwrap
import unicodedata
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator
from pydantic import ValidationError

from datakit.core import contract_values as values
from datakit.core.contract import FORMS, SHORT_CHARS, AnswerContract, AnswerField
from datakit.core.contract_words import EMPTY
from datakit.core.errors import UserError
from datakit.core.guided import FREE_CHARS
from datakit.core.labels import LabelSet, load_labels
from datakit.core.outcome import Rejected
from datakit.core.stated_format import conflict

ROOT = Path(__file__).resolve().parents[2]
LABELS = load_labels(ROOT / "templates" / "ecom" / "labels.yaml")
CART = "购物车页面"
OWN: dict[str, dict[str, Any]] = {
    "everything": {
        "fields": [
            {"name": "description", "kind": "text"},
            {"name": "reasoning", "optional": True},
            {"name": "reason", "max_chars": 60},
            "evidence",
            "boxes",
            "label",
        ]
    },
    "label in the middle": {"fields": ["evidence", "label", "conclusion"]},
    "texts": {
        "fields": [{"name": "reason", "kind": "text"}, {"name": "note", "kind": "text", "optional": True}]
    },
    "own headings": {"fields": [{"name": "reason", "heading": "所见"}, {"name": "label", "heading": "印象"}]},
    "headed alone": {"fields": [{"name": "label", "heading": "类别"}]},
    "several after a reason": {"fields": ["reason", {"name": "labels", "optional": True}]},
    "one or more": {"fields": ["labels"]},
    "a number after a reason": {"fields": ["reason", "number"]},
    "no number": {"fields": [{"name": "number", "optional": True}]},
    "boxes": {"fields": ["boxes"]},
    "three turns": {
        "fields": [
            {"name": "description", "kind": "text"},
            {"name": "evidence", "turn": 2},
            {"name": "reason", "turn": 2},
            {"name": "label", "turn": 3},
        ]
    },
}
CONTRACTS = [
    AnswerContract.of(form, language=language)
    for form in (*FORMS, *OWN.values())
    for language in ("zh", "en")
]
each = pytest.mark.parametrize(
    "contract", CONTRACTS, ids=lambda one: f"{one.form}-{'-'.join(f.name for f in one.fields)}-{one.language}"
)

PIECES = st.sampled_from(
    [
        *("\n", "\r\n", "\u2028", "\x1c", "\u3000", " ", "  ", "\t"),
        *(
            "理由：",
            "\n理由：",
            "\n类别：",
            "类别:",
            "\nLabel: ",
            "\nReason: ",
            "描述：",
            "\n印象：购物车页面",
            "\n数值：3",
        ),
        *("“", "”", '"', "'", "：", ":", "、", ",", "，", "；", "无", "none", "。", "*", "\\", "|"),
        *('{"label": "退货页面"}', "[1, 2]", "```json", "{{idx}}", "{{", "}}"),
        *(
            "<image>",
            "<video>",
            "<|im_end|>",
            "<|image_pad|>",
            "<tool_call>",
            "<think>",
            "</think>",
            "<",
            "<|",
        ),
        *("😀", "👩‍👩‍👧", "é", "e\u0301", "购物车页面", "退货页面", "有结算按钮", "a1", "3.5", "-"),
    ]
)
HOSTILE = st.lists(PIECES | st.text(max_size=3), min_size=1, max_size=8).map("".join)
NUMBER = (
    st.integers(-(10**15), 10**15)
    | st.floats(-1e12, 1e12).filter(lambda number: number == 0 or abs(number) > 1e-30)
    | st.sampled_from(["3", "1,234", "３．５", "-0.0", "1e3", 0.1, "+7"])
)
BOX = st.fixed_dictionaries(
    {"box": st.lists(st.integers(0, 4000) | st.floats(0, 4000), min_size=4, max_size=4)},
    optional={"text": HOSTILE},
)


def drawn(field: AnswerField, data: st.DataObject) -> Any:
    if field.optional and data.draw(st.booleans(), label="empty"):
        return data.draw(
            st.sampled_from([None, "", " ", EMPTY["zh"]] if field.kind == "line" else [None, ""])
        )
    if field.kind == "label":
        return data.draw(st.sampled_from(LABELS.names))
    if field.kind == "labels":
        return data.draw(st.lists(st.sampled_from(LABELS.names), min_size=1, max_size=4))
    if field.kind == "number":
        return data.draw(NUMBER)
    if field.kind == "boxes":
        return data.draw(st.lists(BOX, min_size=1, max_size=3))
    return data.draw(HOSTILE)


def wanted(field: AnswerField, value: Any) -> Any:
    """What must be read of a value, said without the code under test; None for a text that is free."""
    if field.kind == "label":
        return value
    if field.kind == "labels":
        return [name for name in LABELS.names if name in (value or ())]
    if field.kind == "line":
        return " ".join(str(value).split())
    return None


@each
def test_what_is_written_is_read_back_and_everything_agrees(contract: AnswerContract) -> None:
    schema = Draft202012Validator(contract.json_schema(LABELS.names))
    guide = contract.guide(LABELS.names)

    @given(st.data())
    @settings(max_examples=60, deadline=None)
    def check(data: st.DataObject) -> None:
        record = {field.source: drawn(field, data) for field in contract.fields}
        turns = contract.write(record, LABELS)
        if isinstance(turns, Rejected):
            assert turns.reason in ("answer_incomplete", "answer_too_long"), turns
            return
        assert len(turns) == contract.turns
        read: dict[str, Any] = {}
        for number, text in enumerate(turns):
            answer = contract.read(text, LABELS, number)
            assert (answer.problem, answer.exact) == ("", True), (text, answer)
            read |= contract.typed(answer)
        for field in contract.fields:
            expected = wanted(field, record[field.source])
            if field.optional and field.kind != "labels" and field.name not in read:
                assert turns[field.turn - 1].count(EMPTY[contract.language])
            elif expected is not None:
                assert read[field.name] == expected
            elif field.kind == "number":
                plain = unicodedata.normalize("NFKC", str(record[field.name])).replace(",", "")
                assert read[field.name] == pytest.approx(float(plain))
            elif field.kind == "boxes":
                assert [box["bbox_2d"] for box in read["boxes"]] == [box["box"] for box in record["boxes"]]
            else:
                assert read[field.name].split() == str(record[field.source]).split()
        assert [error.message for error in schema.iter_errors(read)] == []
        assert contract.reward(turns[-1], record, LABELS) == {"format": 1.0, "accuracy": 1.0}
        if guide is not None and all(len(str(text)) <= FREE_CHARS for text in read.values()):
            choice = guide.get("choice")
            assert turns[-1] in choice if choice else re.fullmatch(guide["regex"], turns[-1])

    check()


@each
def test_the_prompt_states_the_form_that_is_written(contract: AnswerContract) -> None:
    for turn in range(1, contract.turns + 1):
        text = contract.prompt_lines(turn)
        assert conflict(text, contract.format.turns[turn - 1]) is None
        places = [
            text.index(f"{head}：" if contract.language == "zh" else f"{head}: ")
            for head in contract.headings(turn)
        ]
        assert places == sorted(places)
        assert len(text.splitlines()) == 1 + len(places) if places else 1


@each
def test_the_lines_of_one_form_are_refused_for_another(contract: AnswerContract) -> None:
    lines = contract.prompt_lines(contract.turns)
    for other in CONTRACTS:
        same = other.headings(other.turns) == contract.headings(contract.turns)
        if len(contract.headings(contract.turns)) > 1 and not same:
            assert conflict(lines, other.format.turns[-1]) is not None, other


@each
def test_a_contract_survives_json(contract: AnswerContract) -> None:
    assert AnswerContract.of(contract.model_dump(exclude_defaults=True) | {"form": contract.form}) == contract


@given(HOSTILE)
def test_line_is_written_in_one_spelling(text: str) -> None:
    field = AnswerField(name="reason")
    once = values.written(field, text, "zh", None)
    if isinstance(once, str):
        assert values.written(field, once, "zh", None) == once


def test_reason_of_thirty_characters_passes_and_a_longer_one_is_rejected_with_both_numbers() -> None:
    short = AnswerContract.of("short_reason")
    assert "不超过30个字" in short.prompt_lines()
    turns = short.write({"reason": "字" * SHORT_CHARS, "label": CART}, LABELS)
    assert isinstance(turns, tuple)
    assert short.reward(turns[0], CART, LABELS)["format"] == 1.0
    found = short.write({"reason": "字" * 31, "label": CART}, LABELS)
    assert isinstance(found, Rejected)
    assert found.reason == "answer_too_long"
    assert "31" in found.detail
    assert "30" in found.detail
    assert short.reward(f"理由：{'字' * 31}\n类别：{CART}", CART, LABELS) == {"format": 0.0, "accuracy": 1.0}


@pytest.mark.parametrize(
    ("form", "text", "typed"),
    [
        ("multi_label", "退货页面，购物车页面。", {"labels": ["退货页面", "购物车页面"]}),
        ("multi_label", "类别：退货页面\n购物车", {}),
        ("multi_label", "无", {"labels": []}),
        ("multi_label", "购物车页面、不存在", {}),
        ("number", "约 3.5 厘米", {"number": 3.5}),
        ("number", "１，２３４", {"number": 1234}),
        ("number", "3 或 4", {}),
        ("number", "1,5", {}),
        ("number", "不知道", {}),
        ("free_text", "一个杯子。\n两行", {"answer": "一个杯子。\n两行"}),
        ("cot", "证据：有结算\n类别：购物车页面", {"evidence": "有结算", "label": CART}),
        ("cot", CART, {"label": CART}),
    ],
)
def test_loose_answers_are_read_and_nothing_is_guessed(form: str, text: str, typed: dict[str, Any]) -> None:
    contract = AnswerContract.of(form)
    answer = contract.read(text, LABELS)
    assert bool(answer.problem) == (not typed)
    if typed:
        assert contract.typed(answer) == typed
    else:
        assert answer.detail
        assert contract.reward(text, CART, LABELS)["accuracy"] == 0.0


def test_boxes_are_read_out_of_a_fence() -> None:
    contract = AnswerContract.of(OWN["boxes"])
    answer = contract.read('```json\n[{"bbox_2d": [1, 2, 3, 4], "label": "杯子"}]\n```')
    assert contract.typed(answer) == {"boxes": [{"bbox_2d": [1, 2, 3, 4], "label": "杯子"}]}
    assert contract.read("没有").problem == "boxes_unreadable"


@pytest.mark.parametrize(
    ("form", "text", "truth", "accuracy"),
    [
        ("label_only", "退货页面", CART, 0.0),
        ("label_only", "购物车", "购物车页面", 1.0),
        ("multi_label", "购物车页面、退货页面", ["购物车页面"], 2 / 3),
        ("multi_label", "无", [], 1.0),
        ("multi_label", "无", ["购物车页面"], 0.0),
        ("number", "9", 10, 0.9),
        ("number", "100", 10, 0.0),
        ("free_text", "红色的杯子", "红色杯子", 8 / 9),
        ("free_text", "", "红色杯子", 0.0),
    ],
)
def test_accuracy_reward_counts_what_is_right(form: str, text: str, truth: Any, accuracy: float) -> None:
    assert AnswerContract.of(form).reward(text, truth, LABELS)["accuracy"] == pytest.approx(accuracy)


def test_format_reward_is_for_the_form_to_the_letter() -> None:
    contract = AnswerContract.of("reason_first")
    assert contract.reward(f"理由：有结算\n类别：{CART}", CART, LABELS)["format"] == 1.0
    for text in (CART, f"理由: 有结算\n类别: {CART}", f"类别：{CART}\n理由：有结算", f"理由：\n类别：{CART}"):
        assert contract.reward(text, CART, LABELS) == {"format": 0.0, "accuracy": 1.0}


def test_the_target_is_what_is_scored() -> None:
    scored = {form: AnswerContract.of(form).target.name for form in FORMS}
    assert scored["cot"] == scored["two_turn"] == scored["label_first"] == "label"
    assert (scored["multi_label"], scored["number"], scored["free_text"]) == ("labels", "number", "answer")


def test_unknown_form_gets_a_suggestion() -> None:
    with pytest.raises(UserError, match="no answer form `reason_frist`") as caught:
        AnswerContract.of("reason_frist")
    assert "Did you mean `reason_first`" in caught.value.remedy


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        (["label", "label"], "stands twice"),
        ([{"name": "topic", "kind": "label"}], "is named `label`"),
        ([{"name": "label", "optional": True}], "never optional"),
        ([{"name": "label", "turn": 2}], "in the order of their turns"),
        (["label", {"name": "reason", "turn": 2}], "the last turn"),
        ([{"name": "reason", "heading": "类别"}, "label"], "same heading"),
        ([{"name": "reason", "heading": " "}, "label"], "visible text"),
        ([], "at least 1"),
    ],
)
def test_contract_that_cannot_be_read_back_is_refused(fields: list[Any], words: str) -> None:
    with pytest.raises(ValidationError, match=words):
        AnswerContract.of({"fields": fields})


def test_label_that_holds_the_separator_is_rejected() -> None:
    labels = LabelSet(values_of("A、B", "C"))
    found = AnswerContract.of("multi_label").write({"labels": ["A、B"]}, labels)
    assert isinstance(found, Rejected)
    assert found.reason == "answer_unreadable"


def values_of(*names: str) -> tuple[Any, ...]:
    from datakit.core.labels import Label

    return tuple(Label(name) for name in names)


@pytest.mark.parametrize("value", [3, 2.5, True, {"a": 1}])
def test_a_value_that_is_no_list_of_labels_is_taken_for_its_text(value: object) -> None:
    contract = AnswerContract.of("multi_label")
    assert contract.write({"labels": value}) == (str(value),)
    labels = LabelSet(values_of("A"))
    rejected = contract.write({"labels": value}, labels)
    assert isinstance(rejected, Rejected)
    assert rejected.reason == "label_unknown"
    assert contract.reward("A", value, labels)["accuracy"] == 0.0


def test_reward_functions_of_the_documentation_run() -> None:
    """The two snippets in `reward` are what TRL and EasyR1 call."""
    doc = inspect.getdoc(AnswerContract.reward) or ""
    snippets = re.findall(r"(?m)^    def .*(?:\n        .*)+", doc)
    assert len(snippets) == 2
    names: dict[str, Any] = {"contract": AnswerContract.of("reason_first")}
    for snippet in snippets:
        exec(textwrap.dedent(snippet), names)  # the documentation's own words
    right, wrong = f"理由：有结算\n类别：{CART}", "类别：退货页面"
    chats = [[{"role": "assistant", "content": text}] for text in (right, wrong)]
    assert names["accuracy"](completions=chats, label=[CART, CART], prompts=["", ""]) == [1.0, 0.0]
    inputs = [{"response": text, "ground_truth": CART} for text in (right, wrong)]
    assert names["compute_score"](inputs) == [
        {"overall": 1.0, "accuracy": 1.0, "format": 1.0},
        {"overall": 0.0, "accuracy": 0.0, "format": 0.0},
    ]


@pytest.mark.parametrize(
    "text", ['["购物车页面", "支付页面"]', "购物车页面、支付页面。", "支付页面，购物车页面"]
)
def test_several_labels_are_read_in_the_forms_that_models_use(text: str) -> None:
    contract = AnswerContract.of("multi_label")
    headed = contract.write({"labels": ["购物车页面", "支付页面"]}, LABELS)
    assert not isinstance(headed, Rejected)
    wanted = contract.typed(contract.read(headed[0], LABELS))
    answer = contract.read(headed[0].replace("购物车页面、支付页面", text), LABELS)
    assert (answer.problem, contract.typed(answer)) == ("", wanted)


@pytest.mark.parametrize("labels", [None, LABELS])
@pytest.mark.parametrize("word", ["nan", "null", "None", "N/A", "", " ", float("nan"), "无"])
def test_items_that_say_nothing_are_no_labels(word: Any, labels: LabelSet | None) -> None:
    contract = AnswerContract.of("multi_label")
    same = contract.write({"labels": ["购物车页面", "支付页面"]}, labels)
    assert contract.write({"labels": ["购物车页面", word, "支付页面"]}, labels) == same
    assert contract.write({"labels": [word]}, labels) == contract.write({"labels": []}, labels)
    assert contract.write({"labels": str(word)}, labels) == contract.write({"labels": []}, labels)


def test_an_item_that_the_label_file_names_is_a_label() -> None:
    contract = AnswerContract.of("multi_label")
    labels = LabelSet(values_of("None", "a"))
    assert contract.write({"labels": ["a", "None"]}, labels) == contract.write(
        {"labels": ["None", "a"]}, labels
    )
    assert contract.write({"labels": ["a", "None"]}, labels) != contract.write({"labels": ["a"]}, labels)


def test_labels_of_a_cell_that_holds_a_json_list_are_its_names() -> None:
    contract = AnswerContract.of("multi_label")
    same = contract.write({"labels": ["购物车页面", "支付页面"]}, LABELS)
    assert contract.write({"labels": '["购物车页面", "支付页面"]'}, LABELS) == same
    assert contract.write({"labels": ["购物车页面", None, "支付页面"]}, LABELS) == same


@pytest.mark.parametrize("name", ["示例", "例如", "不是", "] 更正"])
def test_boxes_with_a_name_that_takes_back_elsewhere_are_read(name: str) -> None:
    contract = AnswerContract(fields=(AnswerField(name="boxes", kind="boxes"),))
    turns = contract.write({"boxes": [{"box": [0, 0, 9, 9], "text": name}, {"box": [1, 1, 5, 5]}]}, LABELS)
    assert contract.read(turns[0], LABELS, 0).problem == ""
