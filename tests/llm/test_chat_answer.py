"""An answer that came is read, whatever stands around it: it is paid for."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator
from typing import Any

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from datakit.core.answer import AnswerFormat, TurnFormat
from datakit.core.labels import Label, LabelSet
from datakit.llm import chat_answer, chat_reply
from datakit.llm._faults import Fault
from datakit.llm._judge import Spent, judge
from datakit.llm.answer import Answer
from datakit.llm.answer_schema import AnswerSchema
from datakit.llm.prices import Price
from datakit.llm.request import Completion, Request
from datakit.llm.thoughts import has_tag
from datakit.serving.asking import Asked, Reply

CONTENT = "类别：甲"
MARK = {"token": "类别：", "logprob": -0.2, "top_logprobs": []}
TOKEN = {
    "token": "甲",
    "bytes": [231, 148, 178],
    "logprob": -0.1,
    "top_logprobs": [{"token": "甲", "logprob": -0.1}, {"token": "乙", "logprob": -3.0}],
}
WHOLE: dict[str, Any] = {
    "id": "chatcmpl-1",
    "object": "chat.completion",
    "created": 0,
    "model": "m",
    "choices": [
        {
            "index": 0,
            "message": {
                "role": "assistant",
                "content": CONTENT,
                "refusal": None,
                "reasoning_content": "想",
                "reasoning": None,
                "thinking": None,
                "tool_calls": [],
                "annotations": [],
            },
            "finish_reason": "stop",
            "logprobs": {"content": [MARK, TOKEN]},
        }
    ],
    "usage": {
        "prompt_tokens": 9,
        "completion_tokens": 3,
        "prompt_tokens_details": {"cached_tokens": 4},
    },
    "prompt_token_ids": [1, 2],
    "error": None,
    "system_fingerprint": None,
}
FORM = AnswerFormat((TurnFormat(("label",), ("类别：", "")),))
LABELS = LabelSet((Label("甲"), Label("乙")))


def places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """The way to every value in a JSON."""
    yield path
    for name, inner in (
        value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    ):
        yield from places(inner, (*path, name))


PLACES = list(places(WHOLE))
ON_THE_WAY = (
    (),
    ("choices",),
    ("choices", 0),
    ("choices", 0, "message"),
    ("choices", 0, "message", "content"),
)
"""What holds the content: without it there is none."""
anything = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=5)
    | st.sampled_from(["12", "-1", "n/a", ""]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.text(max_size=4) | st.sampled_from(["type", "text", "content", "token"]), inner, max_size=3
        )
    ),
    max_leaves=8,
)


def changed(path: tuple[Any, ...], value: Any) -> Any:
    """The completion with another value at one place."""
    whole = copy.deepcopy(WHOLE)
    if not path:
        return value
    at = whole
    for name in path[:-1]:
        at = at[name]
    at[path[-1]] = value
    return whole


def predicted(answer: Answer) -> Any:
    """What predict makes of an answer."""
    reply = Reply.of(answer, 0.1)
    return Asked("a", reply, reply.tokens_in, reply.tokens_out, 0.1).prediction(FORM, LABELS, "甲", (), "m")


def test_the_completion_as_it_should_be_is_read_whole() -> None:
    answer = chat_answer.read(WHOLE)
    assert answer == Answer(
        CONTENT, "", "stop", "m", 9, 3, 4, "想", {"content": [MARK, TOKEN]}, prompt_token_ids=(1, 2)
    )
    assert predicted(answer).confidence == pytest.approx(0.948, abs=0.001)


@settings(max_examples=400, deadline=None)
@given(st.sampled_from(PLACES), anything)
def test_any_value_in_any_place_never_voids_a_readable_content(path: tuple[Any, ...], value: Any) -> None:
    body = json.dumps(changed(path, value)).encode()
    found = chat_reply.decode(body)
    if path in ON_THE_WAY:
        if isinstance(found, Answer):
            predicted(found).model_dump_json()
        return
    assert isinstance(found, Answer)
    assert found.content == CONTENT
    for number in (found.tokens_in, found.tokens_out, found.cached):
        assert isinstance(number, int)
        assert number >= 0
    json.dumps(found.finish_reason).encode()
    prediction = predicted(found)
    prediction.model_dump_json()
    assert (prediction.predicted, prediction.problem) == ("甲", "")


@settings(max_examples=400, deadline=None)
@given(st.sampled_from(PLACES), anything)
def test_any_value_in_any_place_of_a_streamed_answer_never_raises(path: tuple[Any, ...], value: Any) -> None:
    chunk = changed(path, value)
    body = b"data: " + json.dumps(chunk).encode() + b"\n\ndata: [DONE]\n\n"
    found = chat_reply.decode(body)
    assert isinstance(found, Answer | Fault)
    if path not in ON_THE_WAY and path[-1] not in ("finish_reason", "error"):
        assert isinstance(found, Answer)
        assert found.content == CONTENT


@settings(max_examples=400, deadline=None)
@given(st.sampled_from(PLACES), anything)
def test_any_value_in_any_place_never_voids_what_annotation_reads(path: tuple[Any, ...], value: Any) -> None:
    if path in ON_THE_WAY or (
        path[-1] in ("finish_reason", "refusal") and isinstance(value, str | list | dict)
    ):
        return
    whole = changed(path, value)
    whole["choices"][0]["message"]["content"] = '{"description": "红"}'
    answer = chat_reply.decode(json.dumps(whole).encode())
    assert isinstance(answer, Answer)
    request, spent = Request("问", (), AnswerSchema.line("description"), 0.3, 100), Spent("m")
    spent.add(answer, Price(1.0, 2.0, 0.5))
    found = judge(answer, request, spent)
    assert isinstance(found, Completion)
    assert found.text == "红"
    assert found.cost_usd is not None
    assert found.cost_usd >= 0
    orjson.dumps([found.model, found.tokens_in, found.tokens_out, found.tokens_cached])


def message(**fields: Any) -> Answer:
    """The answer of a completion whose message has these fields."""
    answer = chat_answer.read({"choices": [{"message": fields, "finish_reason": "stop"}]})
    assert answer is not None
    return answer


@pytest.mark.parametrize(
    ("content", "wanted", "reasoning"),
    [
        ("甲", "甲", ""),
        ([{"type": "text", "text": "甲"}], "甲", ""),
        ([{"type": "output_text", "text": "甲", "annotations": []}, {"type": "image", "url": "x"}], "甲", ""),
        ([{"type": "text", "text": {"value": "甲"}}], "甲", ""),
        (["类别：", "甲"], "类别：甲", ""),
        ({"type": "text", "text": "甲"}, "甲", ""),
        (
            [
                {"type": "thinking", "thinking": [{"type": "text", "text": "想"}]},
                {"type": "text", "text": "甲"},
            ],
            "甲",
            "想",
        ),
        ([{"type": "reasoning", "text": "想"}, {"type": "text", "text": "甲"}], "甲", "想"),
        ([{"type": "reasoning", "summary": [{"text": "想"}]}, {"type": "text", "text": "甲"}], "甲", "想"),
        ({"description": "红"}, '{"description": "红"}', ""),
        ([{"description": "红"}], '[{"description": "红"}]', ""),
        (3, "3", ""),
        ("半个字\ud83d", "半个字\ufffd", ""),
    ],
)
def test_content_of_any_form_is_read(content: Any, wanted: str, reasoning: str) -> None:
    found = message(content=content)
    assert (found.content, found.reasoning) == (wanted, reasoning)


@pytest.mark.parametrize("name", ["reasoning_content", "reasoning", "thinking"])
def test_thinking_beside_the_content_is_kept_apart(name: str) -> None:
    found = message(content="甲", **{name: "想"})
    assert (found.content, found.reasoning, found.parted.answer) == ("甲", "想", "甲")


@pytest.mark.parametrize("empty", [None, "", " \n", []])
def test_answer_that_the_server_took_for_thinking_is_the_answer(empty: Any) -> None:
    assert message(content=empty, reasoning_content="类别：甲").content == "类别：甲"
    cut = chat_answer.read(
        {"choices": [{"message": {"content": empty, "reasoning": "想"}, "finish_reason": "MAX_TOKENS"}]}
    )
    assert cut is not None
    assert (cut.content.strip(), cut.parted.cut) == ("", True)


def test_answer_that_was_written_into_a_call_is_the_answer() -> None:
    call = {"type": "function", "function": {"name": "json", "arguments": '{"description": "红"}'}}
    assert message(content=None, tool_calls=[call]).content == '{"description": "红"}'
    assert message(content="甲", tool_calls=[call]).content == "甲"


@pytest.mark.parametrize(
    ("value", "wanted"),
    [
        *(
            (word, "stop")
            for word in ("stop", "STOP", "end_turn", "eos_token", None, "", 1, "FinishReason.STOP")
        ),
        *((word, "length") for word in ("length", "LENGTH", "MAX_TOKENS", "max_tokens", "max_output_tokens")),
        *((word, "content_filter") for word in ("content_filter", "SAFETY", "RECITATION", "sensitive")),
        *((word, "tool_calls") for word in ("tool_calls", "tool_use", "function_call")),
        ("Repetition", "repetition"),
    ],
)
def test_words_of_every_service_for_an_end_are_one(value: Any, wanted: str) -> None:
    found = chat_answer.read({"choices": [{"message": {"content": "甲"}, "finish_reason": value}]})
    assert found is not None
    assert found.finish_reason == wanted


@pytest.mark.parametrize(
    ("value", "wanted"),
    [
        (12, 12),
        ("12", 12),
        (" 12 ", 12),
        (12.0, 12),
        ("12.0", 12),
        (0, 0),
        *(
            (odd, None)
            for odd in (-1, "-1", None, True, "unknown", "", [], {}, float("nan"), "inf", 1e300, 10**30)
        ),
    ],
)
def test_counts_are_numbers_or_none(value: Any, wanted: int | None) -> None:
    assert chat_answer.count(value) == wanted


@pytest.mark.parametrize(
    "value", [None, [], {}, "x", 3, {"choices": []}, {"choices": [{}]}, {"choices": [None]}]
)
def test_body_without_a_message_is_no_answer(value: Any) -> None:
    assert chat_answer.read(value) is None
    found = chat_reply.decode(json.dumps(value).encode())
    assert isinstance(found, Fault)
    assert found.reason == "body_malformed"


@pytest.mark.parametrize(
    "body",
    [
        b"\xef\xbb\xbf" + json.dumps(WHOLE).encode(),
        json.dumps(WHOLE).encode("utf-16"),
        json.dumps(WHOLE, ensure_ascii=False).encode("gb18030"),
        json.dumps(json.dumps(WHOLE)).encode(),
        json.dumps([WHOLE]).encode(),
        json.dumps({**WHOLE, "created": float("nan")}).encode(),
        json.dumps({**WHOLE, "usage": {"prompt_tokens": float("inf")}}).encode(),
        json.dumps({**WHOLE, "id": "\ud83d"}).encode(),
    ],
    ids=["mark", "utf-16", "gb18030", "encoded twice", "list", "NaN", "Infinity", "half a character"],
)
def test_body_in_any_clothes_is_read(body: bytes) -> None:
    found = chat_reply.decode(body)
    assert isinstance(found, Answer)
    assert found.content == CONTENT


def test_one_broken_character_spoils_no_other() -> None:
    body = json.dumps({"choices": [{"message": {"content": "一个红色的矩形"}}]}, ensure_ascii=False).encode()
    found = chat_reply.decode(body.replace("矩".encode(), "矩".encode()[:2]))
    assert isinstance(found, Answer)
    assert found.content.startswith("一个红色的")


def test_error_in_a_body_of_200_has_its_words() -> None:
    found = chat_reply.decode(b'{"error": {"code": "429", "message": "slow down"}}')
    assert isinstance(found, Fault)
    assert (found.reason, found.detail) == (
        "rate_limited",
        "HTTP 200 with an error in its body: 429: slow down",
    )


def test_streamed_thinking_parts_and_log_probabilities_are_joined() -> None:
    pieces = [
        {"delta": {"reasoning_content": "想"}},
        {"delta": {"content": [{"type": "text", "text": "类别："}]}, "logprobs": {"content": [TOKEN]}},
        {"delta": {"content": "甲"}, "logprobs": {"content": [TOKEN]}, "finish_reason": "STOP"},
    ]
    body = "".join(f"data: {json.dumps({'choices': [piece]})}\n\n" for piece in pieces).encode()
    assert chat_reply.decode(body) == Answer(CONTENT, reasoning="想", logprobs={"content": [TOKEN, TOKEN]})


def test_what_is_read_holds_no_tag() -> None:
    found = message(content="<think>想</think>甲")
    assert has_tag(found.content), "raw as it came"
    assert not has_tag(found.parted.answer)
