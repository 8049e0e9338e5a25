"""Chat completions as servers write them, streamed above all: an answer is whole or it is none."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

import pytest
from loopback import KEY, Loopback, Reply

from datakit.core.settings import LlmSettings
from datakit.llm import chat_completions
from datakit.llm._faults import Fault
from datakit.llm.answer_schema import AnswerSchema
from datakit.llm.calls import Calls
from datakit.llm.client import Client
from datakit.llm.provider import Answer
from datakit.llm.request import Completion, Request


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


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Loopback]:
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    with Loopback() as server:
        yield server


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
    found = chat_completions.decode(stream)
    assert isinstance(found, Fault)
    assert found.reason == outcome


def test_stream_with_comments_and_carriage_returns_is_read() -> None:
    stream = b': hello\r\n\r\ndata:{"model":"m","choices":[{"delta":{"content":"\xe4\xb8\x80"}}]}\r\n\r\n'
    stream += b'event: x\r\ndata: {"choices":[{"delta":{"content":"b"},"finish_reason":"length"}]}\r\n\r\n'
    assert chat_completions.decode(stream) == Answer("一b", finish_reason="length", model="m")
