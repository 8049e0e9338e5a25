"""What a failed call means: try again, give the record up, change the request, or stop at once."""

from __future__ import annotations

import email.utils
import html
import random
import re
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from datakit.core.message_text import readable
from datakit.llm import chat_answer

AGAIN = frozenset({408, 409, 425, 429, 500, 502, 503, 504, 520, 522, 524, 529})
"""Statuses that a later try may turn into an answer. Others of 500 and above count too."""

SAID_200 = "HTTP 200"
"""How the detail of a fault begins that came with the status of an answer."""

LONGEST_WAIT_S = 300.0
"""A longer Retry-After leaves the record to the next run."""
_FIRST_BACKOFF_S, _LONGEST_BACKOFF_S = 0.5, 30.0

Fate = Literal["again", "reject", "adapt", "stop", "retry"]


@dataclass(frozen=True, slots=True)
class Fault:
    """One failed call.

    `again`: wait and repeat; `reject`: the record can never pass; `adapt`: leave out what the server does
    not know and repeat; `stop`: no call can succeed, if others fail so too (`_evidence`); `retry`: leave the
    record to the next run, as the server's settings are no fact about a record.
    """

    fate: Fate
    reason: str
    """For a record: the word counted in the report. To adapt: what to leave out. To stop: key, model …"""
    detail: str
    wait_s: float | None = None
    """What the server asked for with Retry-After."""

    @property
    def may_pass(self) -> bool:
        """Whether waiting for the next try is worth it."""
        return self.fate in ("again", "stop") and (self.wait_s or 0.0) <= LONGEST_WAIT_S

    @property
    def is_far(self) -> bool:
        """Whether the server asks to come back later than a record is waited for."""
        return self.fate == "again" and (self.wait_s or 0.0) > LONGEST_WAIT_S


_CONTEXT = re.compile(
    r"context_length_exceeded|maximum context length|context length|context window|input is too long"
    r"|prompt is too long|range of input length|longer than the maximum model length|max_model_len",
    re.I,
)
_FILTER_WORDS = (
    r"content[_ ]?filter|content[_ ]?policy|content management policy|data_?inspection_?failed"
    r"|inappropriate content|prohibited_content|image_safety|safety system|moderation"
)
_FILTER_CODE = re.compile(rf"(?i:{_FILTER_WORDS})|\bSAFETY\b")
"""Codes and words by which services say that they will not have what was sent."""
_FILTER = re.compile(
    rf"{_FILTER_CODE.pattern}|(?i:(?:unsafe|sensitive|harmful|prohibited) (?:content|information|image|text)"
    r"|(?:violates?|against|breach(?:es)? of) (?:our |the )?(?:\w+ ){0,2}(?:polic|guideline|law)"
    r"|safety (?:filter|polic|check|reason|setting|guideline)"
    r"|(?:blocked|refused|rejected) (?:by|for|due to) (?:\w+ ){0,3}(?:safety|polic|legal))"
    r"|敏感|违规|違規|不安全|不合规|内容安全|内容审核|涉黄|涉政|不当内容|法律法规"
)
"""The same in other words, where nothing but what was sent can be meant."""
_FLAGGED = re.compile(rf"{_FILTER_CODE.pattern}|(?i:input was flagged|flagged_input|flagged (?:as|for|by))")
"""Words of a 403 about what was sent, not about the key (OpenRouter's moderation)."""
_IMAGE = re.compile(
    r"invalid_image|image_parse|image_url|unsupported image|invalid image|cannot identify image"
    r"|failed to (?:load|decode|download) image|image (?:is )?too (?:large|small)"
    r"|\bimages?\b.{0,40}\b(?:invalid|corrupt|unsupported|not supported|exceed|too large|too small"
    r"|failed|illegal)",
    re.I,
)
_STREAM_ONLY = re.compile(r"only supports? stream|stream mode|(?:enable|use|set) (?:the )?stream", re.I)
_FORMAT = re.compile(r"response_format|json_schema|json schema|guided_json|structured output", re.I)
_MODEL = re.compile(
    r"model_not_found|model `?[^`]*`? does not exist|model not exist|unknown model|no such model"
    r"|model.{0,60}not found",
    re.I,
)
_THROTTLED = re.compile(
    r"token-limit|rate.?limit|throttl|too many requests|per.?(?:minute|second)|\b[tr]p[ms]\b", re.I
)
"""Words of a limit by time; DashScope calls one `insufficient_quota` too (error-code#token-limit)."""
_NO_MONEY = re.compile(
    r"insufficient_quota|billing|arrearage|exceeded your current quota|insufficient balance", re.I
)


_SPOKEN = (
    (
        re.compile(r"invalid_api_key|(?:incorrect|invalid) (?:api )?key|unauthori[sz]ed|authenticat", re.I),
        401,
    ),
    (_NO_MONEY, 402),
    (_THROTTLED, 429),
    (_MODEL, 404),
    (re.compile(r"invalid.?(?:request|parameter)|bad request", re.I), 400),
)
"""Words of an error that came with 200 -> the status that it should have had."""

_SAYING = (
    *("code", "error_code", "type", "param", "loc", "message", "error_msg", "msg", "detail", "details"),
    *("error", "errors", "error_description", "description", "title", "reason", "reasons", "metadata", "raw"),
)
"""Names under which services put the words of an error."""
_DEEPEST = 5
_READ_CHARS, _SHOWN_CHARS = 4000, 400
_PAGE = re.compile(r"<(?:!doctype|html|head|body|h1|title)\b", re.I)
_UNSEEN = re.compile(r"<(script|style)\b.*?(?:</\1\s*>|\Z)|<!--.*?(?:-->|\Z)", re.I | re.S)
"""One that is never closed goes on to the end, as in a browser."""
_TAG = re.compile(r"<[^<>]*>")


_OF_SERVER = re.compile(
    r"at most \d+ image|unknown variant|unexpected keyword|not a multimodal model|limit.mm.per.prompt|mmproj"
    r"|multimodal (?:inputs?|content)|text.only|only (?:accepts?|supports?) text|expected `?(?:text|str)"
    r"|\b(?:images?|image_url|vision)\b.{0,30}\b(?:disabled"
    r"|(?:is|are) not (?:supported|enabled|allowed|available))"
    r"|(?:does not|doesn't|do not|cannot|can't) (?:support|accept|process|handle|take|see) (?:\w+ ){0,2}"
    r"(?:image|vision|picture|multimodal)|no (?:support for|endpoints found that support) (?:image|vision)",
    re.I,
)
"""Words about a server that takes no pictures, or fewer: true of how it was started, not of a picture."""


def of_server(reason: str, detail: str) -> bool:
    """Whether a reason is a fact about the server and its settings, which another start of it may change.

    Stored results of earlier versions hold such reasons as rejects of their records.
    """
    if reason == "image_refused":
        return _OF_SERVER.search(detail) is not None
    return reason in ("context_too_long", "request_too_large", "images_off")


def fault_of(status: int, headers: Mapping[str, str], body: bytes) -> Fault:
    """The meaning of an answer that is not 200."""
    message = message_of(body)
    return _meaning(status, message, f"HTTP {status}: {message[:_SHOWN_CHARS]}", retry_after(headers))


def fault_within(code: int | None, body: bytes) -> Fault:
    """The meaning of an error that the body of a 200 holds; `code` is its own where that may be a status.

    Its words say what it is about; where they do not, the server failed.
    """
    message = message_of(body)
    detail = f"{SAID_200} with an error in its body: {message[:_SHOWN_CHARS]}"
    if code is not None and 400 <= code < 600:
        return _meaning(code, message, detail, None)
    if (refused := _refused(message, detail)).reason != "request_refused":
        return refused
    status = next((status for words, status in _SPOKEN if words.search(message)), 500)
    return _meaning(status, message, detail, None)


def _meaning(status: int, message: str, detail: str, wait_s: float | None) -> Fault:
    if status == 403 and _FLAGGED.search(message):
        return Fault("reject", "content_filter", detail)
    if status in (401, 403):
        return Fault("stop", "key", detail)
    is_limit = status == 429 and _THROTTLED.search(message)
    if status == 402 or (status in (400, 429) and _NO_MONEY.search(message) and not is_limit):
        return Fault("stop", "account", detail)
    if status in AGAIN or status >= 500:
        reason = "rate_limited" if status == 429 else "timed_out" if status == 408 else "server_error"
        return Fault("again", reason, detail, wait_s)
    if status in (400, 404) and _MODEL.search(message):
        return Fault("stop", "model", detail)
    if status == 404 and of_server("image_refused", message):  # OpenRouter's, for a model that sees nothing
        return Fault("retry", "images_off", detail)
    if status in (404, 405):
        return Fault("stop", "address", detail)
    if status == 407:
        return Fault("stop", "proxy", detail)
    if status == 413:
        return Fault("retry", "request_too_large", detail)
    return _refused(message, detail)


def _refused(message: str, detail: str) -> Fault:
    """The meaning of a 400, a 422 or a status without a meaning of its own: something about this request."""
    if _CONTEXT.search(message):
        return Fault("retry", "context_too_long", detail)
    if _FILTER.search(message):
        return Fault("reject", "content_filter", detail)
    if _FORMAT.search(message):
        return Fault("adapt", "response_format", detail)
    if "stream_options" in message:
        return Fault("adapt", "stream_options", detail)
    if _STREAM_ONLY.search(message):
        return Fault("adapt", "stream", detail)
    if "max_completion_tokens" in message:
        return Fault("adapt", "max_tokens", detail)
    if re.search(r"\b(?:top_)?logprobs\b", message):
        return Fault("adapt", "logprobs", detail)
    if re.search(r"\btemperature\b", message):
        return Fault("adapt", "temperature", detail)
    if of_server("image_refused", message):
        return Fault("retry", "images_off", detail)
    if _IMAGE.search(message):
        return Fault("reject", "image_refused", detail)
    return Fault("retry", "request_refused", detail)


def message_of(body: bytes) -> str:
    """The server's own words, with its error code, whatever form the body has.

    That may be OpenAI's `error`, FastAPI's `detail`, `message`, `errors`, any other JSON, a page, or text.
    """
    try:
        value = chat_answer.parse(body)
    except ValueError:
        value = readable(body)
    inner = value.get("error") if isinstance(value, dict) else None
    words = (_words(inner) if isinstance(inner, dict) else []) or _words(value)
    if not words and isinstance(value, dict | list) and value:
        words = [chat_answer.as_json(value)]
    return chat_answer.whole_characters(": ".join(words)[:_READ_CHARS]) or "no message"


def _words(value: Any, depth: int = 0) -> list[str]:
    """What a value of an error's body says, in order: codes first, then where, then the message."""
    if isinstance(value, str):
        return [text] if (text := _plain(value)) else []
    if isinstance(value, int | float) and not isinstance(value, bool):
        return [str(value)] if value else []
    if depth > _DEEPEST:
        return []
    if isinstance(value, list):
        return [text for item in value[:5] for text in _words(item, depth + 1)]
    if isinstance(value, dict):
        place = value.get("loc")  # FastAPI's: body, messages, 0
        entry = {**value, "loc": ".".join(map(str, place))} if isinstance(place, list) else value
        return [text for name in _SAYING if name in entry for text in _words(entry[name], depth + 1)]
    return []


def _plain(text: str) -> str:
    """A text on one line; of a page what is seen."""
    if _PAGE.search(text[:1000]):
        text = html.unescape(_TAG.sub(" ", _UNSEEN.sub(" ", text)))
    return " ".join(text.split())


def pause_s(fault: Fault, tries: int) -> float:
    """Seconds before the next try: what the server asks for, else exponential backoff.

    The jitter keeps calls that failed together from coming back together.
    """
    if fault.wait_s is not None:
        return fault.wait_s + random.uniform(0, 0.1 + 0.1 * fault.wait_s)
    return min(_FIRST_BACKOFF_S * 2.0**tries, _LONGEST_BACKOFF_S) * random.uniform(0.5, 1.0)


def retry_after(headers: Mapping[str, str]) -> float | None:
    """Seconds that the server asks to wait: `retry-after-ms`, or Retry-After as seconds or as a date."""
    milliseconds = _number(headers.get("retry-after-ms"))
    if milliseconds is not None:
        return max(milliseconds / 1000, 0.0)
    value = headers.get("retry-after")
    seconds = _number(value)
    if seconds is not None or value is None:
        return None if seconds is None else max(seconds, 0.0)
    try:
        return max(email.utils.parsedate_to_datetime(value).timestamp() - time.time(), 0.0)
    except (ValueError, TypeError):
        return None


def _number(value: str | None) -> float | None:
    try:
        return float(value) if value else None
    except ValueError:
        return None
