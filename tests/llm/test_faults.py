"""What a failed call means, and the server's own words for it, whatever form they come in."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from datakit.llm import chat_reply
from datakit.llm._faults import LONGEST_WAIT_S, Fault, fault_of, message_of, pause_s

PAGE = b"""<!DOCTYPE html><html><head><title>502 Bad Gateway</title><style>p {color: red}</style></head>
<body><h1>502 Bad Gateway</h1><!-- padding --><p>nginx &amp; co</p><script>alert(1)</script></body></html>"""
DETAIL = [{"type": "extra_forbidden", "loc": ["body", "n", 0], "msg": "Extra inputs are not permitted"}]


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ({"error": {"message": "made to fail", "type": "error", "code": 7}}, "7: error: made to fail"),
        ({"error": "made to fail"}, "made to fail"),
        ({"error": "Not Found", "message": "no such path", "status": 404}, "no such path: Not Found"),
        ({"detail": "Not authenticated"}, "Not authenticated"),
        ({"detail": DETAIL}, "extra_forbidden: body.n.0: Extra inputs are not permitted"),
        ({"error": {"detail": DETAIL}}, "extra_forbidden: body.n.0: Extra inputs are not permitted"),
        ({"message": "busy"}, "busy"),
        ({"error_code": 336003, "error_msg": "at most 20000"}, "336003: at most 20000"),
        ({"errors": [{"message": "one"}, {"message": "two"}]}, "one: two"),
        ({"errors": ["one", "two"]}, "one: two"),
        (
            {"object": "error", "message": "too long", "type": "BadRequest", "code": 400},
            "400: BadRequest: too long",
        ),
        (
            {"error": {"code": 400, "message": "Provider error", "metadata": {"raw": '{"why": "seed"}'}}},
            '400: Provider error: {"why": "seed"}',
        ),
        ({"why": "seed", "ok": False}, '{"why": "seed", "ok": false}'),
        ([{"error": {"message": "in a list"}}], "in a list"),
        ("a text", "a text"),
        ({}, "no message"),
        ({"error": {}}, '{"error": {}}'),
        (None, "no message"),
    ],
)
def test_words_of_any_body_reach_the_message(body: Any, words: str) -> None:
    assert message_of(json.dumps(body).encode()) == words
    assert fault_of(500, {}, json.dumps(body).encode()).detail == f"HTTP 500: {words}"


def test_words_of_pages_texts_and_other_encodings_are_what_is_seen() -> None:
    assert message_of(PAGE) == "502 Bad Gateway 502 Bad Gateway nginx & co"
    assert message_of(json.dumps({"error": PAGE.decode()}).encode()).endswith("nginx & co")
    assert message_of(b" upstream\n timed  out ") == "upstream timed out"
    assert message_of(b"") == "no message"
    assert message_of(b"\xef\xbb\xbf" + json.dumps({"error": {"message": "太长"}}).encode()) == "太长"
    assert message_of(json.dumps({"message": "请求太长"}, ensure_ascii=False).encode("gbk")) == "请求太长"
    assert message_of(b"a < b and c > d") == "a < b and c > d"


@pytest.mark.fault(
    "a server answers with any bytes",
    "a meaning and words, never a traceback",
    kind="answers",
)
@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(st.sampled_from(["error", "message", "detail", "loc", "code", "x"]), inner)
        ),
        max_leaves=10,
    ),
    st.sampled_from([400, 401, 403, 404, 422, 429, 500]),
)
def test_any_body_has_a_meaning(body: Any, status: int) -> None:
    fault = fault_of(status, {}, json.dumps(body).encode())
    fault.detail.encode()
    assert fault.detail.startswith(f"HTTP {status}: ")
    assert len(fault.detail) <= 420


@pytest.mark.parametrize(
    ("status", "body", "fate", "reason"),
    [
        (
            429,
            {"code": "insufficient_quota", "message": "You exceeded your current quota"},
            "stop",
            "account",
        ),
        (
            429,
            {
                "code": "insufficient_quota",
                "message": "You exceeded your current quota, see https://help.example/error-code#token-limit",
            },
            "again",
            "rate_limited",
        ),
        (429, {"message": "exceeded your current quota: GenerateRequestsPerMinute"}, "again", "rate_limited"),
        (403, {"message": "Your input was flagged.", "code": 403}, "reject", "content_filter"),
        (403, {"message": "m requires moderation on OpenAI.", "code": 403}, "reject", "content_filter"),
        (403, {"message": "You have no access to this model", "code": 403}, "stop", "key"),
        (401, {"message": "Your key was flagged by us"}, "stop", "key"),
        (402, {"message": "rate limit of an empty account"}, "stop", "account"),
    ],
)
def test_one_answer_stops_a_build_only_where_no_other_can_come(
    status: int, body: dict[str, Any], fate: str, reason: str
) -> None:
    found = fault_of(status, {}, json.dumps({"error": body}).encode())
    assert (found.fate, found.reason) == (fate, reason)


def test_pause_is_what_the_server_asks_for_else_grows() -> None:
    assert 7 <= pause_s(Fault("again", "rate_limited", "", 7.0), 0) <= 7.8
    assert [
        round(max(pause_s(Fault("again", "x", ""), tries) for _ in range(200))) for tries in (1, 3, 9)
    ] == [1, 4, 30]
    assert Fault("again", "x", "", LONGEST_WAIT_S).may_pass
    assert not Fault("again", "x", "", LONGEST_WAIT_S + 1).may_pass
    assert not Fault("retry", "x", "").may_pass


@pytest.mark.parametrize(
    ("words", "encoding"),
    [
        ("您的账户余额不足，请充值", "gbk"),
        ("請求太長，請縮短後重試", "big5"),
        ("リクエストが長すぎます", "shift_jis"),
        ("요청이 너무 깁니다", "cp949"),
        ("请求太长", "utf-16"),
        ("Clé d'accès refusée", "latin-1"),
    ],
)
@pytest.mark.parametrize(
    "form", ["{}", "<html><title>400</title><p>{}</p>", '{{"error": {{"message": "{}"}}}}']
)
def test_words_in_an_old_encoding_are_read(words: str, encoding: str, form: str) -> None:
    message = message_of(form.format(words).encode(encoding))
    assert words in message
    assert "\ufffd" not in message


def test_utf8_with_a_broken_sign_stays_utf8() -> None:
    assert message_of("账户余额不足，请充".encode()[:-1]).startswith("账户余额不足，请")


@pytest.mark.parametrize(
    ("error", "fate", "reason"),
    [
        ({"code": "data_inspection_failed", "message": "bad input"}, "reject", "content_filter"),
        ({"code": "invalid_api_key", "message": "Incorrect API key provided"}, "stop", "key"),
        ({"code": "rate_limit_exceeded", "message": "Rate limit reached"}, "again", "rate_limited"),
        ({"code": "insufficient_quota", "message": "You exceeded your current quota"}, "stop", "account"),
        ({"message": "The model `m` does not exist"}, "stop", "model"),
        ({"message": "maximum context length is 10 tokens"}, "retry", "context_too_long"),
        ({"code": "InvalidParameter", "message": "seed"}, "retry", "request_refused"),
        ({"message": "upstream broke"}, "again", "server_error"),
        ("upstream broke", "again", "server_error"),
    ],
)
def test_error_in_the_body_of_a_200_is_told_as_that_and_judged_by_its_words(
    error: Any, fate: str, reason: str
) -> None:
    fault = chat_reply.decode(json.dumps({"error": error}).encode())
    assert isinstance(fault, Fault)
    assert (fault.fate, fault.reason) == (fate, reason)
    assert fault.detail.startswith("HTTP 200 with an error in its body: ")
