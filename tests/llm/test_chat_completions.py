"""Chat completions as servers write them, streamed above all: an answer is whole or it is none."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest

from datakit.core.outcome import Retry
from datakit.core.settings import LlmSettings
from datakit.llm import chat_reply
from datakit.llm._faults import Fault
from datakit.llm.answer_schema import AnswerSchema
from datakit.llm.calls import Calls
from datakit.llm.client import Client
from datakit.llm.provider import Answer
from datakit.llm.request import Completion, Request
from tests.support.loopback import Loopback, Reply

GOOD = '{"description": "一段描述"}'


def ask(server: Loopback, **llm: Any) -> tuple[Any, Client]:
    """The outcome of one question, and the client."""

    async def go() -> Any:
        client = Client(Calls(LlmSettings(provider="openai", base_url=server.url, **llm)))
        try:
            request = Request("请描述。[id:a]", (), AnswerSchema.line("description"), 0.3, 100)
            return await client.complete(request), client
        finally:
            await client.close()

    return asyncio.run(go())


def test_endpoint_that_only_streams_is_streamed_from_the_second_call_on(server: Loopback) -> None:
    server.only_streams = True
    found, client = ask(server)
    assert isinstance(found, Completion)
    assert "Set llm.stream: true." in client.notes["warnings"][0]
    assert server.count == 2


def test_refused_stream_options_are_left_out(server: Loopback) -> None:
    server.script = lambda call: (
        Reply(400, "unknown field stream_options") if "stream_options" in call.body else None
    )
    found, client = ask(server, stream=True)
    assert isinstance(found, Completion)
    assert client.notes["warnings"] == ["The endpoint refused `stream_options`; went on without it."]


@pytest.mark.parametrize(
    ("stream", "outcome"),
    [
        (b'data: {"choices":[{"delta":{"content":"a"}}]}\n\n', "body_malformed"),
        (b'data: {"choices":[{"delta":{"content":"a"}}]}\n\ndata: [DONE]\n\n', "body_malformed"),
        (b'data: {"error":{"message":"overloaded"}}\n\n', "server_error"),
        (b'data: {"error":{"code":429,"message":"slow down"}}\n\n', "rate_limited"),
        (b'data: {"error":{"code":400,"message":"maximum context length"}}\n\n', "context_too_long"),
        (b"data: nonsense\n\n", "body_malformed"),
        (b"<html>", "body_malformed"),
    ],
)
def test_stream_that_breaks_off_is_no_answer(stream: bytes, outcome: str) -> None:
    found = chat_reply.decode(stream)
    assert isinstance(found, Fault)
    assert found.reason == outcome


def test_stream_with_comments_and_carriage_returns_is_read() -> None:
    stream = b': hello\r\n\r\ndata:{"model":"m","choices":[{"delta":{"content":"\xe4\xb8\x80"}}]}\r\n\r\n'
    stream += b'event: x\r\ndata: {"choices":[{"delta":{"content":"b"},"finish_reason":"length"}]}\r\n\r\n'
    assert chat_reply.decode(stream) == Answer("一b", finish_reason="length", model="m")


def completion(**changes: Any) -> dict[str, Any]:
    """A good answer as its body, some of it changed."""
    message = {"role": "assistant", "content": GOOD}
    usage = {"prompt_tokens": 100, "completion_tokens": 20}
    choice = {"index": 0, "message": message, "finish_reason": "stop"}
    return {"model": "m", "choices": [choice], "usage": usage, **changes}


ODD = {
    "no usage": completion(usage=None),
    "usage as text": completion(usage="n/a"),
    "counts as words": completion(usage={"prompt_tokens": "unknown"}),
    "details as list": completion(usage={"prompt_tokens_details": [{"modality": "TEXT"}]}),
    "content as parts": completion(choices=[{"message": {"content": [{"type": "text", "text": GOOD}]}}]),
    "content decoded": completion(choices=[{"message": {"content": json.loads(GOOD)}}]),
    "content encoded twice": completion(choices=[{"message": {"content": json.dumps(GOOD)}}]),
    "in the reasoning": completion(choices=[{"message": {"content": None, "reasoning_content": GOOD}}]),
    "provider's words": completion(choices=[{"message": {"content": GOOD}, "finish_reason": "STOP"}]),
}


@pytest.mark.parametrize("name", ODD)
def test_answer_with_odd_fields_around_it_is_paid_for_once(server: Loopback, name: str) -> None:
    server.script = lambda call: Reply(raw=json.dumps(ODD[name]).encode())
    found, client = ask(server, max_retries=2)
    assert isinstance(found, Completion)
    assert found.text == "一段描述"
    assert client.notes["attempts"] == {"answered": 1}
    assert server.count == 1


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        (b"\xef\xbb\xbf" + json.dumps(completion()).encode(), "application/json"),
        (json.dumps(completion(), ensure_ascii=False).encode("gbk"), "application/json; charset=gbk"),
        (json.dumps(completion(), ensure_ascii=False).encode("big5"), "application/json; charset=big5"),
        (json.dumps(completion(), ensure_ascii=False).encode(), "application/json; charset=ISO-8859-1"),
        (json.dumps(completion(), ensure_ascii=False).encode(), "application/json; charset=nonsense"),
        (
            b'data: {"choices":[{"delta":%s,"finish_reason":"stop"}]}\n\n'
            % json.dumps({"content": GOOD}).encode(),
            "x/y",
        ),
    ],
    ids=["mark", "gbk", "big5", "wrong header", "no such encoding", "events that nobody asked for"],
)
def test_body_in_any_encoding_is_paid_for_once(server: Loopback, body: bytes, kind: str) -> None:
    server.script = lambda call: Reply(raw=body, headers={"Content-Type": kind})
    found, _ = ask(server, max_retries=2)
    assert isinstance(found, Completion)
    assert found.text == "一段描述"
    assert server.count == 1


@pytest.mark.parametrize(
    "message",
    [
        {"content": "<think>像是"},
        {"content": None, "reasoning_content": "像是"},
        {"content": "<think>像是</think>"},
    ],
)
def test_thought_that_was_cut_says_how_to_give_it_room(server: Loopback, message: dict[str, Any]) -> None:
    cut = completion(choices=[{"message": message, "finish_reason": "MAX_TOKENS"}])
    server.script = lambda call: Reply(raw=json.dumps(cut).encode())
    found, _ = ask(server, max_retries=2)
    assert isinstance(found, Retry)
    assert found.reason == "thinking_cut"
    assert "at 200 tokens; raise max_tokens of the step, or set llm.thinking: disabled" in found.detail
    assert "像是" in found.meta["raw"]
    assert found.meta["tokens_out"] == 40
    assert server.count == 2
