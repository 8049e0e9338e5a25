"""Reading a model's answer: any object of the schema is read back from any wrapping, else it is a fault."""

from __future__ import annotations

import json
import time
from typing import Any

import orjson
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from datakit.llm._no_answer import is_apology, is_placeholder
from datakit.llm.answer_schema import AnswerSchema, Kind
from datakit.llm.json_answer import one_line, read
from datakit.llm.thoughts import parted

LINE = AnswerSchema.line("reason")
MANY = AnswerSchema.of(
    {
        "topic": ("退款", "退货（含换货）"),
        "title": "line",
        "note": "text",
        "tags": "list",
        "score": "number",
        "ok": "boolean",
    }
)
GOOD = {
    "topic": "退款",
    "title": "订单标题",
    "note": "一\n二",
    "tags": ["甲", "乙"],
    "score": 0.5,
    "ok": False,
}
WRAPPINGS = (
    "{}",
    "  {}\n",
    "```json\n{}\n```",
    "```\n{}\n```\n以上。",
    "好的，结果如下：{} 请查收。",
    "<think>先看版面，{{再看}}文字。</think>\n{}",
    '先看版面，草稿 {{"x": 1}}。</think>{}',
    "[{}]",
    '{{"answer": {}}}',
    "见 [图1] 与 {{备注}}：{}",
)

texts = st.text(st.characters(codec="utf-8"), min_size=1).filter(
    lambda text: bool(text.strip()) and not is_placeholder(text, "", is_only=True) and not is_apology(text)
)


@st.composite
def asked(draw: st.DrawFn) -> tuple[AnswerSchema, dict[str, Any]]:
    """A schema, and an object of it."""
    names = draw(
        st.lists(st.from_regex(r"[A-Za-z_]\w{0,8}", fullmatch=True), min_size=1, max_size=4, unique=True)
    )
    kinds: dict[str, Kind] = {}
    values: dict[str, Any] = {}
    for name in names:
        kind = draw(st.sampled_from(("text", "line", "list", "number", "boolean", "choice")))
        if kind == "choice":
            choices = draw(
                st.lists(st.sampled_from(("退款", "退货", "A 类", "其他")), min_size=1, unique=True)
            )
            kinds[name], values[name] = tuple(choices), draw(st.sampled_from(choices))
            continue
        kinds[name] = kind  # type: ignore[assignment]
        values[name] = draw(
            {
                "text": texts,
                "line": texts.filter(lambda text: bool(one_line(text))),
                "list": st.lists(texts, max_size=3),
                "number": st.floats(allow_nan=False, allow_infinity=False),
                "boolean": st.booleans(),
            }[kind]
        )
    assume(not {str(value).strip().casefold() for value in values.values()} & set(_spelled(names)))
    return AnswerSchema.of(kinds), values


def _spelled(names: list[str]) -> list[str]:
    """Names of fields as a text may repeat them: that is no text."""
    return [form for name in names for form in (name.casefold(), name.replace("_", " ").casefold().strip())]


def read_as(schema: AnswerSchema, values: dict[str, Any]) -> dict[str, Any]:
    """The values as reading gives them: texts without white space around, lines on one line."""
    out = {}
    for name, kind in schema.values:
        value = values[name]
        if kind == "line":
            out[name] = one_line(value.strip())
        elif kind == "list":
            out[name] = [item.strip() for item in value]
        else:
            out[name] = value.strip() if isinstance(value, str) and kind == "text" else value
    return out


@given(asked(), st.sampled_from(WRAPPINGS), st.booleans(), st.sampled_from((None, 2)))
def test_any_object_of_any_schema_is_read_back_from_any_wrapping(
    question: tuple[AnswerSchema, dict[str, Any]], wrapping: str, ascii_: bool, indent: int | None
) -> None:
    schema, values = question
    raw = wrapping.format(json.dumps(values, ensure_ascii=ascii_, indent=indent))
    assert read(raw, schema) == read_as(schema, values)


@given(texts)
def test_line_breaks_that_were_not_escaped_are_taken(text: str) -> None:
    text = text.replace("\\", "/")  # a backslash before an n is no line break
    assume(not is_placeholder(text, "reason", is_only=True))
    body = json.dumps({"reason": text}, ensure_ascii=False).replace("\\n", "\n").replace("\\t", "\t")
    found = read(body, LINE)
    assert found == ({"reason": one_line(text)} if one_line(text) else None)


@pytest.mark.fault("a model answers with prose", "never an answer, never a traceback", kind="answers")
@given(st.text())
def test_prose_is_never_an_answer_and_never_an_error(text: str) -> None:
    if "{" not in text and "[" not in text:
        assert read(text, LINE) is None
    read(text, MANY)


@pytest.mark.fault(
    "a model's answer has a value outside the schema",
    "it is a fault, never an answer",
    kind="answers",
)
@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("topic", "换货"),
        ("topic", 3),
        ("topic", None),
        ("title", " \n"),
        ("title", 5),
        ("title", "半个字\ud83d"),
        ("tags", "甲"),
        ("tags", ["甲", 3]),
        ("tags", ["甲", ""]),
        ("score", "0.5"),
        ("score", True),
        ("score", None),
        ("score", 10**400),
        ("score", float("nan")),
        ("score", float("inf")),
        ("ok", 1),
        ("ok", "true"),
    ],
)
def test_value_outside_the_schema_is_a_fault(name: str, value: Any) -> None:
    assert read(json.dumps(GOOD), MANY) is not None
    assert read(json.dumps({**GOOD, name: value}), MANY) is None


@pytest.mark.parametrize("name", list(GOOD))
def test_missing_value_is_a_fault_and_a_surplus_one_is_dropped(name: str) -> None:
    assert read(json.dumps({key: value for key, value in GOOD.items() if key != name}), MANY) is None
    assert read(json.dumps({**GOOD, "more": "x"}), MANY) == GOOD


def test_choice_in_another_width_is_the_choice_itself() -> None:
    found = read(json.dumps({**GOOD, "topic": "退货 (含换货)"}), MANY)
    assert found is not None
    assert found["topic"] == "退货（含换货）"


@pytest.mark.parametrize(
    "raw",
    [
        '{"reason": "页面写着"已签收"字样"}',
        '```json\n{"reason": "页面写着"已签收"字样"}\n```',
        '{"reason": "页面写着\\"已签收"字样",}',
    ],
)
def test_quotes_that_were_not_escaped_are_taken_for_a_single_text(raw: str) -> None:
    assert read(raw, LINE) == {"reason": '页面写着"已签收"字样'}


@pytest.mark.parametrize(
    "raw",
    [
        "",
        "[]",
        "{}",
        '{"reason": "',
        '{"a": "x", "b": "y"}',
        '{"a": "写着"x"字样", "b": "y"}',
        '{"reason": null}',
        '{"reason": ["x"]}',
        '[{"reason": "x"}, {"reason": "y"}]',
    ],
)
def test_what_holds_no_single_text_is_a_fault(raw: str) -> None:
    assert read(raw, LINE) is None


def test_of_several_objects_the_last_is_the_answer() -> None:
    raw = '格式是 {"reason": "判断理由"}，我的回答：{"reason": "写着已签收"}'
    assert read(raw, LINE) == {"reason": "写着已签收"}


def test_comma_too_many_is_forgiven() -> None:
    raw = json.dumps(GOOD, ensure_ascii=False)
    assert read(raw[:-1] + ",}", MANY) == GOOD


@pytest.mark.fault("a model's answer is made to keep the reader busy", "given up soon", kind="answers")
@pytest.mark.parametrize("raw", ["{" * 100_000, "[" * 100_000, '{"a":' * 50_000, '{"reason": "' * 20_000])
def test_endless_answer_is_given_up_soon(raw: str) -> None:
    began = time.process_time()
    assert read(raw, LINE) is None
    assert time.process_time() - began < 3


def test_schema_and_example_name_every_value_in_order() -> None:
    schema = MANY.json_schema()
    assert schema["required"] == list(GOOD) == list(schema["properties"])
    assert schema["additionalProperties"] is False
    assert schema["properties"]["topic"] == {"type": "string", "enum": ["退款", "退货（含换货）"]}
    assert list(json.loads(MANY.example())) == list(GOOD)
    assert MANY.example().encode() == orjson.dumps(json.loads(MANY.example()))  # as endpoints always saw it
    assert MANY.title == "answer"
    assert LINE.title == "reason"
    assert AnswerSchema.line("理由").title == "answer"


PIECES = (
    *(
        "<think>",
        "</think>",
        "<thinking>",
        "[THINK]",
        "[/THINK]",
        "◁think▷",
        "◁/think▷",
        "```json\n",
        "\n```",
    ),
    *('{"reason": "甲"}', '{"reason": "乙"}', '{"a": 1}', "想", "\n", '"', "\ufeff"),
)


@pytest.mark.fault("an answer stands inside a thought", "it is not taken", kind="answers")
@settings(max_examples=1000)
@given(st.lists(st.sampled_from(PIECES), max_size=8).map("".join))
def test_nothing_inside_a_thought_is_an_answer(raw: str) -> None:
    answer = parted(raw).answer
    if read(raw, LINE) is not None:
        assert '"reason": ' in answer


@given(asked(), st.integers(1, 2), st.booleans(), st.booleans())
def test_object_that_was_encoded_again_is_read(
    question: tuple[AnswerSchema, dict[str, Any]], times: int, fenced: bool, wrapped: bool
) -> None:
    schema, values = question
    raw = json.dumps(values, ensure_ascii=False)
    for _ in range(times):
        raw = json.dumps(raw, ensure_ascii=False)
    if wrapped:
        raw = json.dumps({"answer": json.dumps(values)})
    if fenced:
        raw = f"```json\n{raw}\n```"
    assert read(raw, schema) == read_as(schema, values)


def test_text_under_its_own_name_that_was_encoded_again_is_read() -> None:
    inner = json.dumps({"reason": "写着已签收"}, ensure_ascii=False)
    assert read(json.dumps({"reason": inner}, ensure_ascii=False), LINE) == {"reason": "写着已签收"}
    assert read('{"reason": "{备注}在上方"}', LINE) == {"reason": "{备注}在上方"}


def test_nan_voids_no_value_beside_it() -> None:
    assert read('\ufeff{"reason": "甲", "score": NaN, "more": -Infinity}', LINE) == {"reason": "甲"}
    assert read(json.dumps({**GOOD, "score": float("nan")}), MANY) is None


@pytest.mark.parametrize(("opening", "closing"), [("◁think▷", "◁/think▷"), ("[THINK]", "[/THINK]")])
def test_draft_in_a_thought_is_not_the_answer(opening: str, closing: str) -> None:
    draft, good = '{"reason": "草稿"}', '{"reason": "写着已签收"}'
    assert read(f"{opening}{draft}{closing}{good}", LINE) == {"reason": "写着已签收"}
    assert read(f"{draft}{closing}{good}", LINE) == {"reason": "写着已签收"}


DESCRIPTION = AnswerSchema.line("description")
ASKED = '只输出一个 JSON 对象：{"description": "一段对图片的描述"}'
LEGIBLE = AnswerSchema.of({"legible": "boolean"})
VERDICT = AnswerSchema.of({"why": "line", "ok": "boolean"})


@pytest.mark.parametrize(
    "text",
    [
        *(
            "……",
            "...",
            "图片描述",
            "<描述>",
            "<description>",
            "[description]",
            "{{ description }}",
            "【描述】",
        ),
        *(
            "description",
            "Description",
            "string",
            "your description",
            "请在这里填写描述",
            "TODO",
            "一段对图片的描述",
        ),
    ],
)
def test_place_to_fill_in_is_no_answer(text: str) -> None:
    assert read(json.dumps({"description": text}, ensure_ascii=False), DESCRIPTION, ASKED) is None


def test_text_of_the_question_s_own_example_is_no_answer_beside_others() -> None:
    question = '只输出：{"why": "文字与图片不符的地方", "ok": true}'
    assert read('{"why": "文字与图片不符的地方", "ok": false}', VERDICT, question) is None
    assert read('{"why": "缺少按钮", "ok": true}', VERDICT, question) == {"why": "缺少按钮", "ok": True}


@pytest.mark.parametrize(
    "raw",
    [
        '{"error": "image could not be loaded"}',
        '{"error": "写着"x"字样"}',
        '{"message": "rate limit exceeded"}',
        '{"detail": "internal error"}',
        '{"抱歉": "我看不到图片"}',
        '{"error": {"description": "图片太大"}}',
        '{"answer": {"error": "图片太大"}}',
        '{"示例": {"description": "首页截图"}}',
        '{"description": "抱歉，我无法查看这张图片。"}',
        '{"description": "很抱歉，由于图片不清晰，我无法描述。"}',
        '{"description": "作为AI，我无法直接查看图片。"}',
        '{"description": "无法加载图片"}',
        '{"description": "未检测到图片"}',
        '{"description": "I\'m sorry, but I can\'t view images."}',
        '{"description": "Unable to load the image."}',
        '{"description": "No image was provided."}',
        '{"description": "请上传图片，以便我进行描述"}',
        '{"description": "It looks like no image was attached."}',
        '{"description": "图片未能加载，请重新上传。"}',
        '{"description": "I do not see any image."}',
        '{"description": "Error: 500 Internal Server Error"}',
        '{"description": "Internal server error"}',
        '{"description": "请求超时"}',
        '{"description": "data_inspection_failed"}',
        '{"errorMessage": "图片太大"}',
        '{"ErrorCode": "InvalidImage"}',
        '{"errmsg": "图片太大"}',
        '{"confidence": "high"}',
        '{"thinking": "先看按钮"}',
        '{"question": "请上传图片?"}',
        '{"old": {"description": "首页截图"}}',
        '{"bad": {"description": "首页截图"}}',
        '{"input": {"description": "首页截图"}}',
        '{"status": "error", "description": "图片无法访问"}',
        '{"code": 500, "description": "图片无法访问"}',
        '{"success": false, "description": "图片无法访问"}',
        '{"error": {"code": 400}, "description": "图片无法访问"}',
        '{"description": "{\\"error\\":\\"boom\\"}"}',
    ],
)
def test_error_or_apology_is_no_answer(raw: str) -> None:
    assert read(raw, DESCRIPTION) is None


@pytest.mark.parametrize(
    "text",
    [
        "页面提示“抱歉，系统繁忙，无法加载图片”",
        "我的订单页，无法使用优惠券",
        "无法看到图片底部的文字，其余清楚",
        "对话中客服说对不起",
        "对不起页面显示在中央，我认为是异常页",
        "无法加载图片，页面显示网络错误提示",
        "未提供图片，评论区只有文字评价",
        "[已签收]",
        "【已签收】",
        "（页面空白）",
        "Unable to load: an error page of a shop",
        "Sorry page of a shop, with a button to go back",
    ],
)
def test_words_of_the_picture_are_no_apology(text: str) -> None:
    assert read(json.dumps({"description": text}, ensure_ascii=False), DESCRIPTION) == {"description": text}


@pytest.mark.parametrize(
    "raw",
    [
        '{"is_unreadable": true}',
        '{"not_legible": true}',
        '{"illegible": false}',
        '{"legibility": true}',
        '{"不清晰": true}',
    ],
)
def test_boolean_under_another_name_is_unknown(raw: str) -> None:
    assert read(raw, LEGIBLE) is None


def test_number_or_choice_under_another_name_is_unknown() -> None:
    assert read('{"penalty": 3}', AnswerSchema.of({"score": "number"})) is None
    assert read('{"排除类别": "甲"}', AnswerSchema.of({"label": ("甲", "乙")})) is None


@pytest.mark.parametrize(
    "raw",
    [
        '{"result": {"description": "草稿"}, "note": "写着"x"字样", "a": }',
        '{"outer": [{"description": "草稿"}, bad]}',
        '{"a": {"description": "草稿"}',
        '[{"description": "草稿"}, {"description": ',
        '{description: "写着", "inner": {"description": "页面"}}',
        '{"draft": "he said "hi {"description": "inner"}", "x": 1}',
    ],
)
def test_object_inside_one_that_cannot_be_read_is_no_answer(raw: str) -> None:
    assert read(raw, DESCRIPTION) is None


@pytest.mark.parametrize(
    "raw",
    [
        '{"description": "写着已签收"}\n例如：{"description": "写着已发货"}',
        '{"description": "写着已签收"}\n\nFor example: {"description": "a cart"}',
        '{"description": "写着已签收"}\n格式示例：{"description": "……"}',
        '格式：{"description": "首页"}\n{"description": "写着已签收"}',
        '初稿：{"description": "写着已发货"}\n最终：{"description": "写着已签收"}',
        '{"description": "写着已发货"}\n更正后：{"description": "写着已签收"}',
        '按要求的格式输出：{"description": "写着已签收"}',
        '{"description": "写着已签收"}{"description": "写着已签收"}',
        '{{"description": "写着已签收"}}',
    ],
)
def test_answer_among_several_objects_is_the_one_that_is_called_so(raw: str) -> None:
    assert read(raw, DESCRIPTION) == {"description": "写着已签收"}


@pytest.mark.parametrize(
    "raw",
    [
        '{"description": "写着已签收"}\n{"description": "写着已发货"}',
        '例如：{"description": "首页截图"}',
        'For example: {"description": "a home page"}',
        '无法判断。示例：{"description": "写着"已签收"字样"}',
        '例如，{"description": "首页截图"}',
        '不要这样写：{"description": "首页截图"}',
        'Do not answer like this: {"description": "a home page"}',
        '假如图片清晰，我会回答：{"description": "首页截图"}',
        '{"description": "首页截图"}\n等等，这不对，请看下面',
        '{"description": "首页截图"}\nWait, that is wrong.',
        '{"description": "首页截图"}\n以上只是示例，我无法看到图片。',
        '{"description": "首页截图"}\n更正：写着已签收',
        '{"description": "首页截图"} 不是正确答案 {"description": "写着已签收"}',
        '{"description": "首页截图"} 这不是最终答案：{"description": "写着已签收"}',
    ],
)
def test_objects_that_differ_or_are_examples_are_unknown(raw: str) -> None:
    assert read(raw, DESCRIPTION) is None


@pytest.mark.parametrize(
    "raw",
    [
        '<think>草稿 {"description": "草稿"}',
        '<think>{"description": "草稿"}',
        '[THINK]{"description": "草稿"}',
        '{"description": "草稿"}</think>',
        '先想：{"description": "草稿"}</think>',
        '<scratchpad>{"description": "草稿"}',
        '<analysis>{"description": "草稿"}</analysis>',
    ],
)
def test_draft_of_thinking_that_gave_no_answer_is_unknown(raw: str) -> None:
    assert read(raw, DESCRIPTION) is None


def test_text_that_speaks_of_a_tag_of_thinking_is_read() -> None:
    assert read('{"description": "写着</think>字样"}', DESCRIPTION) == {"description": "写着</think>字样"}


@pytest.mark.parametrize(
    "example",
    [
        '{"description": "一屏写着什么", ...}',
        '{"answer": {"description": "一屏写着什么"}}',
        '[{"description": "一屏写着什么"}]',
        "{'description': '一屏写着什么'}",
        '{"description": "一屏写着什么。"}',
    ],
)
def test_example_is_known_however_the_question_writes_it(example: str) -> None:
    raw = '{"description": "一屏写着什么"}'
    assert read(raw, DESCRIPTION) is not None
    assert read(raw, DESCRIPTION, f"只输出：{example}") is None


def test_list_of_the_example_is_no_answer() -> None:
    schema, question = AnswerSchema.of({"tags": "list"}), '只输出 {"tags": ["红色", "按钮"]}'
    assert read('{"tags": ["红色", "按钮"]}', schema, question) is None
    assert read('{"tags": ["红色", "标题栏"]}', schema, question) == {"tags": ["红色", "标题栏"]}


def test_name_that_stands_twice_with_two_values_is_unknown() -> None:
    assert read('{"legible": true, "legible": false}', LEGIBLE) is None
    assert read('{"legible": true, "legible": true}', LEGIBLE) == {"legible": True}


@given(st.lists(st.sampled_from([",", "}", "]", "写着", '\\"', " ", "{", "["]), min_size=1, max_size=12))
def test_comma_too_many_changes_no_text(parts: list[str]) -> None:
    text = "甲" + "".join(parts) + "乙"
    raw = f'{{"description": "{text}", }}'
    assert read(raw, DESCRIPTION) == {"description": one_line(text.replace('\\"', '"'))}
