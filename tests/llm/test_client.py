"""The client against a real server that misbehaves: every failure has its own fate."""

from __future__ import annotations

import asyncio
import email.utils
import gzip
import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from datakit.core.errors import Exit, StopProvider, UserError
from datakit.core.outcome import Rejected, Retry
from datakit.core.settings import LlmSettings
from datakit.llm._circuit import IN_A_ROW
from datakit.llm._evidence import CONFIRMED
from datakit.llm._faults import Fault
from datakit.llm._plain_connection import PlainConnection
from datakit.llm._wire import MOST_REPLY_BYTES, Body
from datakit.llm.answer_schema import AnswerSchema
from datakit.llm.calls import Calls
from datakit.llm.client import Client
from datakit.llm.request import Completion, Request
from tests.support.loopback import KEY, Call, Loopback, Reply
from tests.support.waiting import PATIENCE_S

Ask = Callable[..., Any]
DESCRIPTION = AnswerSchema.line("description")
GOOD = '{"description": "一段描述"}'


@pytest.fixture
def ask(server: Loopback) -> Ask:
    """Asks one question; gives the outcome and the client."""

    def go(
        *images: Path,
        text: str = "请描述。[id:a]",
        schema: AnswerSchema = DESCRIPTION,
        system: str | None = None,
        image_first: bool = False,
        times: int = 1,
        **settings: Any,
    ) -> Any:
        async def run() -> Any:
            client = Client(Calls(LlmSettings(**{"base_url": server.url, "max_retries": 2, **settings})))
            try:
                outcomes = [await client.complete(request) for _ in range(times)]
            finally:
                await client.close()
            return outcomes[-1], client

        request = Request(text, tuple(map(str, images)), schema, 0.3, 100, system, image_first)
        return asyncio.run(run())

    return go


def scripted(*replies: Reply | None) -> Callable[[Call], Reply | None]:
    """The replies one after the other, then good answers."""
    rest = iter(replies)
    return lambda call: next(rest, None)


def test_answer_comes_with_its_text_tokens_and_cost(server: Loopback, ask: Ask) -> None:
    found, client = ask()
    assert isinstance(found, Completion)
    assert "记录a" in found.text
    assert json.loads(found.raw)["description"] == found.text
    assert (found.tokens_in, found.tokens_out, found.tokens_cached, found.calls) == (100, 20, 40, 1)
    assert found.cost_usd == pytest.approx((60 * 0.15 + 40 * 0.075 + 20 * 0.60) / 1e6)
    assert "warnings" not in client.notes
    (call,) = server.calls
    assert call.body["model"] == "gpt-4o-mini"
    assert call.body["max_tokens"] == 100
    schema = call.body["response_format"]["json_schema"]
    assert schema["strict"] is True
    assert schema["schema"]["required"] == ["description"]


def test_pictures_follow_the_text_within_the_pixel_budget(server: Loopback, ask: Ask, tmp_path: Path) -> None:
    Image.new("RGB", (400, 400), "red").save(tmp_path / "a.png")
    ask(tmp_path / "a.png", max_image_pixels=10_000)
    (call,) = server.calls
    assert [part["type"] for part in call.body["messages"][0]["content"]] == ["text", "image_url"]
    (address,) = call.images
    assert address.startswith("data:image/jpeg;base64,")
    assert sizes(address) == (100, 100)


def test_picture_that_fits_is_sent_as_it_is_unless_it_holds_metadata(
    server: Loopback, ask: Ask, tmp_path: Path
) -> None:
    plain, tagged = tmp_path / "plain.jpg", tmp_path / "tagged.jpg"
    picture = Image.new("RGB", (60, 40), "green")
    picture.save(plain)
    exif = Image.Exif()
    exif[0x010F] = "a camera of mine"
    picture.save(tagged, exif=exif)
    ask(plain, tagged)
    first, second = (decoded(address) for address in server.calls[0].images)
    assert first == plain.read_bytes()
    assert b"a camera of mine" in tagged.read_bytes()
    assert b"a camera of mine" not in second


def test_places_in_the_text_say_where_pictures_stand(server: Loopback, ask: Ask, tmp_path: Path) -> None:
    for name in ("a.jpg", "b.jpg"):
        Image.new("RGB", (30, 30)).save(tmp_path / name)
    ask(tmp_path / "a.jpg", tmp_path / "b.jpg", text="正位<image>侧位<image>请看")
    kinds = [part.get("text", "picture") for part in server.calls[0].body["messages"][0]["content"]]
    assert kinds == ["正位", "picture", "侧位", "picture", "请看"]


def test_pictures_stand_in_front_and_a_system_turn_before_them_when_asked(
    server: Loopback, ask: Ask, tmp_path: Path
) -> None:
    Image.new("RGB", (30, 30)).save(tmp_path / "a.jpg")
    ask(tmp_path / "a.jpg", image_first=True, system="你是审核员。")
    system, question = server.calls[0].body["messages"]
    assert system == {"role": "system", "content": "你是审核员。"}
    assert [part["type"] for part in question["content"]] == ["image_url", "text"]


def test_answer_of_several_values_is_asked_for_checked_and_repaired(server: Loopback, ask: Ask) -> None:
    schema = AnswerSchema.of({"topic": ("退款", "退货"), "score": "number", "ok": "boolean"})
    good = {"topic": "退货", "score": 2, "ok": True}
    server.script = scripted(Reply(content='{"topic": "换货", "score": 2, "ok": true}'), None)
    server.answer = lambda call: good
    found, _ = ask(schema=schema)
    assert isinstance(found, Completion)
    assert found.values == good
    asked = server.calls[0].body["response_format"]["json_schema"]
    assert asked["schema"] == schema.json_schema()
    assert asked["strict"] is True
    assert schema.example() in server.calls[1].body["messages"][-1]["content"]


@pytest.mark.parametrize("as_date", [False, True])
def test_retry_after_is_waited_for(server: Loopback, ask: Ask, as_date: bool) -> None:
    value = email.utils.formatdate(time.time() + 2, usegmt=True) if as_date else "1"
    server.script = scripted(Reply(429, headers={"Retry-After": value}))
    found, _ = ask()
    assert isinstance(found, Completion)
    first, second = server.calls
    assert 0.9 <= second.at - first.at < 30


def test_retry_after_beyond_reason_leaves_the_record_to_the_next_run(server: Loopback, ask: Ask) -> None:
    server.script = lambda call: Reply(429, headers={"Retry-After": "86400"})
    began = time.monotonic()
    found, _ = ask()
    assert isinstance(found, Retry)
    assert found.reason == "rate_limited"
    assert time.monotonic() - began < 60  # of the day that the server asks for
    assert server.count == 1


@pytest.mark.parametrize(
    ("reply", "reason"),
    [
        (Reply(500), "server_error"),
        (Reply(503), "server_error"),
        (Reply(429), "rate_limited"),
        (Reply(cut=True), "connection_lost"),
        (Reply(reset=True), "connection_lost"),
        (Reply(raw=b"<html>busy</html>"), "body_malformed"),
        (Reply(raw=b'{"choices": []}'), "body_malformed"),
    ],
)
def test_passing_trouble_is_tried_again_then_left_to_the_next_run(
    server: Loopback, ask: Ask, reply: Reply, reason: str
) -> None:
    server.script = scripted(reply)
    found, _ = ask()
    assert isinstance(found, Completion)
    assert server.count == 2
    server.script = lambda call: reply
    found, _ = ask(max_retries=1)
    assert isinstance(found, Retry)
    assert found.reason == reason
    assert found.detail
    assert server.count == 4


def test_slow_answer_times_out(server: Loopback, ask: Ask) -> None:
    server.script = lambda call: Reply(delay_s=5)
    found, _ = ask(timeout_s=0.2, max_retries=1)
    assert isinstance(found, Retry)
    assert found.reason == "timed_out"
    assert server.count == 2


def test_endpoint_that_is_not_there_is_a_lost_connection(ask: Ask) -> None:
    found, _ = ask(base_url="http://127.0.0.1:9/v1", max_retries=0)
    assert isinstance(found, Retry)
    assert found.reason == "connection_lost"


def test_endpoint_that_stays_down_stops_the_build(server: Loopback, ask: Ask) -> None:
    server.script = lambda call: Reply(500)
    with pytest.raises(StopProvider, match="is down") as stopped:
        ask(times=IN_A_ROW + 5, max_retries=0, max_down_s=0.0)
    assert stopped.value.exit_code == Exit.PROVIDER
    assert server.count == IN_A_ROW


@pytest.mark.parametrize(
    "content", ["抱歉，让我想想", '{"description": 5}', '{"a": "x", "b": "y"}', '{"description": "', "[]"]
)
def test_malformed_answer_is_repaired_once(server: Loopback, ask: Ask, content: str) -> None:
    server.script = scripted(Reply(content=content), Reply(content=GOOD))
    found, _ = ask()
    assert isinstance(found, Completion)
    assert found.text == "一段描述"
    assert found.facts == {"repaired": True}
    assert (found.calls, found.tokens_out) == (2, 40)
    turns = server.calls[1].body["messages"]
    assert [turn["role"] for turn in turns] == ["user", "assistant", "user"]
    assert turns[1]["content"] == content


def test_answer_that_cannot_be_repaired_is_no_answer(server: Loopback, ask: Ask) -> None:
    server.script = lambda call: Reply(content="还是说不清楚")
    found, _ = ask()
    assert isinstance(found, Retry)
    assert found.reason == "answer_malformed"
    assert "还是说不清楚" in found.detail
    assert found.meta["tokens_out"] == 40
    assert server.count == 2


@pytest.mark.parametrize(
    "content",
    [
        "```json\n" + GOOD + "\n```",
        "好的，描述如下：" + GOOD + " 请查收。",
        '<think>{"description": "草稿"}</think>' + GOOD,
        '{"描述": "一段描述"}',
        '{"description": "一段\n描述"}',
    ],
)
def test_wrapped_answer_is_read_without_another_call(server: Loopback, ask: Ask, content: str) -> None:
    server.script = lambda call: Reply(content=content)
    found, _ = ask()
    assert isinstance(found, Completion)
    assert found.text.replace(" ", "") == "一段描述"
    assert server.count == 1


def test_cut_off_answer_is_asked_for_once_more_with_twice_the_room(server: Loopback, ask: Ask) -> None:
    server.script = scripted(Reply(content='{"description": "太长', finish_reason="length"))
    found, _ = ask()
    assert isinstance(found, Completion)
    assert [call.body["max_tokens"] for call in server.calls] == [100, 200]
    server.script = lambda call: Reply(content=GOOD, finish_reason="length")
    found, _ = ask()
    assert isinstance(found, Retry)
    assert found.reason == "answer_truncated"
    assert "200 tokens" in found.detail


def test_empty_answer_is_no_answer(server: Loopback, ask: Ask) -> None:
    server.script = lambda call: Reply(content="  ")
    found, _ = ask()
    assert isinstance(found, Retry)
    assert found.reason == "answer_empty"


@pytest.mark.parametrize(
    ("reply", "reason"),
    [
        (Reply(refusal="不便描述"), "refused"),
        (Reply(content="", finish_reason="content_filter"), "content_filter"),
        (
            Reply(400, "May contain inappropriate content", "data_inspection_failed"),
            "content_filter",
        ),
        (Reply(400, "Failed to load image: broken data", None), "image_refused"),
    ],
)
def test_record_that_can_never_pass_is_rejected_at_once(
    server: Loopback, ask: Ask, reply: Reply, reason: str
) -> None:
    server.script = lambda call: reply
    found, _ = ask()
    assert isinstance(found, Rejected)
    assert found.reason == reason
    assert found.detail
    assert server.count == 1


@pytest.mark.parametrize(
    ("reply", "reason"),
    [
        (Reply(400, "This model's maximum context length is 8192 tokens"), "context_too_long"),
        (Reply(413, "payload too large"), "request_too_large"),
        (Reply(400, "At most 0 image(s) may be provided in one prompt."), "images_off"),
        (Reply(400, "messages[0]: unknown variant `image_url`, expected `text`"), "images_off"),
        (Reply(400, "qwen3 does not support image inputs"), "images_off"),
        (Reply(404, "No endpoints found that support image input"), "images_off"),
        (Reply(400, "parameter.enable_thinking must be set to false"), "request_refused"),
    ],
)
def test_fact_about_the_server_is_left_to_a_server_that_is_started_otherwise(
    server: Loopback, ask: Ask, reply: Reply, reason: str
) -> None:
    server.script = lambda call: reply
    found, _ = ask()
    assert isinstance(found, Retry)
    assert found.reason == reason
    assert str(reply.content) in found.detail
    assert server.count == 1


@pytest.mark.fault(
    "A server's reply never ends, or unpacks to more than any answer has",
    "It is not read on; the record waits for the next run",
    kind="answers",
)
@pytest.mark.parametrize("packed", [False, True])
def test_a_reply_without_an_end_does_not_fill_the_memory(server: Loopback, ask: Ask, packed: bool) -> None:
    blanks = b" " * (MOST_REPLY_BYTES + 1)
    headers = {"Content-Encoding": "gzip"} if packed else {}
    raw = gzip.compress(blanks, 1) if packed else blanks
    server.script = lambda call: Reply(raw=raw, headers=dict(headers))
    outcome, _ = ask()
    assert isinstance(outcome, Retry)
    assert outcome.reason == "reply_too_large"
    assert server.count == 1


def test_a_reply_without_an_end_does_not_fill_the_memory_of_a_bundle(server: Loopback) -> None:
    server.script = lambda call: Reply(raw=b" " * (MOST_REPLY_BYTES + 1))
    server.keep_calls = False

    async def asked() -> Any:
        headers = {"Authorization": f"Bearer {KEY}"}
        connection = PlainConnection(f"{server.url}/chat/completions", headers, timeout_s=PATIENCE_S)
        try:
            messages = [{"role": "user", "content": "?"}]
            return await connection.post(
                Body(json.dumps({"model": "gpt-4o-mini", "messages": messages}).encode())
            )
        finally:
            await connection.close()

    fault = asyncio.run(asked())
    assert isinstance(fault, Fault)
    assert fault.reason == "reply_too_large"


def test_wrong_key_stops_at_once_and_is_not_shown(
    server: Loopback, ask: Ask, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-wrong-secret-4711")
    with pytest.raises(StopProvider) as stopped:
        ask()
    assert stopped.value.exit_code == Exit.PROVIDER
    assert "OPENAI_API_KEY" in str(stopped.value)
    assert "4711" not in str(stopped.value)
    assert server.count == 0


def test_unknown_model_stops_before_long_with_the_models_on_offer(server: Loopback, ask: Ask) -> None:
    server.models = ("qwen-vl-plus", "qwen-vl-max")
    with pytest.raises(StopProvider, match="It offers: qwen-vl-max, qwen-vl-plus") as stopped:
        ask(model="gpt-5-nano")
    assert "gpt-5-nano" in str(stopped.value)
    assert server.count == CONFIRMED


def test_empty_account_stops_before_long(server: Loopback, ask: Ask) -> None:
    server.script = lambda call: Reply(429, "You exceeded your current quota", "insufficient_quota")
    with pytest.raises(StopProvider, match="bill"):
        ask()
    assert server.count == CONFIRMED


def test_wrong_address_stops_at_once(server: Loopback, ask: Ask) -> None:
    with pytest.raises(StopProvider, match="base_url"):
        ask(base_url=server.url.removesuffix("/v1") + "/v2")


def test_server_without_json_schema_is_asked_without_and_remembered(server: Loopback, ask: Ask) -> None:
    def script(call: Call) -> Reply | None:
        if call.body.get("response_format", {}).get("type") == "json_schema":
            return Reply(400, "response_format json_schema is not supported")
        return None

    server.script = script
    found, client = ask(times=3)
    assert isinstance(found, Completion)
    kinds = [call.body.get("response_format", {}).get("type") for call in server.calls]
    assert kinds == ["json_schema", "json_object", "json_object", "json_object"]
    (warning,) = client.notes["warnings"]
    assert "json_object" in warning


def test_parameters_that_a_model_refuses_are_left_out(server: Loopback, ask: Ask) -> None:
    def script(call: Call) -> Reply | None:
        if "max_tokens" in call.body:
            return Reply(400, "Unsupported parameter: 'max_tokens'. Use 'max_completion_tokens' instead.")
        if "temperature" in call.body:
            return Reply(400, "Unsupported value: 'temperature' does not support 0.3 with this model.")
        return None

    server.script = script
    found, client = ask(times=2)
    assert isinstance(found, Completion)
    assert server.count == 4
    assert server.calls[-1].body["max_completion_tokens"] == 100
    assert len(client.notes["warnings"]) == 2


def test_request_refused_without_a_known_cause_is_left_to_the_next_run(server: Loopback, ask: Ask) -> None:
    server.script = lambda call: Reply(400, "no idea what you want")
    found, _ = ask()
    assert isinstance(found, Retry)
    assert found.reason == "request_refused"
    assert "no idea" in found.detail
    assert server.count == 1


def test_unknown_price_is_said_and_own_prices_count(server: Loopback, ask: Ask) -> None:
    server.models = ("my-model",)
    found, client = ask(model="my-model")
    assert found.cost_usd is None
    assert "price of my-model" in client.notes["warnings"][0]
    found, client = ask(model="my-model", price_in=1.0, price_out=2.0)
    assert found.cost_usd == pytest.approx((100 * 1.0 + 20 * 2.0) / 1e6)
    assert "warnings" not in client.notes


def test_openai_without_a_key_or_address_is_a_clear_error(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(UserError, match="OPENAI_API_KEY is not set"):
        Calls(LlmSettings(provider="openai"))


def decoded(address: str) -> bytes:
    import base64

    return base64.b64decode(address.split(",", 1)[1])


def sizes(address: str) -> tuple[int, int]:
    import io

    return Image.open(io.BytesIO(decoded(address))).size


def test_models_page_that_is_no_list_leaves_the_words_of_the_refusal(server: Loopback, ask: Ask) -> None:
    server.script = lambda call: Reply(404, "The model `m` does not exist.")
    server.list_page = Reply(raw=b"<html>gateway</html>", headers={"Content-Type": "text/html"})
    with pytest.raises(StopProvider, match="The model `m` does not exist") as stopped:
        ask()
    assert "It does not list its models." in str(stopped.value)


def test_one_refused_picture_is_that_records_own_trouble(server: Loopback, ask: Ask) -> None:
    flagged = {"error": {"code": 403, "message": "m requires moderation. Your input was flagged."}}
    server.script = scripted(Reply(403, raw=json.dumps(flagged).encode()))
    found, _ = ask()
    assert isinstance(found, Rejected)
    assert found.reason == "content_filter"


def test_key_that_a_server_repeats_in_any_body_is_masked(server: Loopback, ask: Ask) -> None:
    server.script = lambda call: Reply(422, raw=json.dumps({"detail": [{"msg": f"who is {KEY}?"}]}).encode())
    found, _ = ask()
    assert isinstance(found, Retry)
    assert "who is ***?" in found.detail
    server.script = lambda call: Reply(422, raw=json.dumps({"detail": "x" * 385 + KEY}).encode())
    found, _ = ask()
    assert KEY[:8] not in found.detail, "cut in two by the length of a message"
    assert found.detail.endswith("x***")
