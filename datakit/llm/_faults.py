"""What a failed call means: try again, give the record up, change the request, or stop at once."""

from __future__ import annotations

import email.utils
import re
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import orjson

AGAIN = frozenset({408, 409, 425, 429, 500, 502, 503, 504, 520, 522, 524, 529})
"""Statuses that a later try may turn into an answer. Others of 500 and above count too."""

Fate = Literal["again", "reject", "adapt", "stop", "retry"]


@dataclass(frozen=True, slots=True)
class Fault:
    """One failed call.

    `again`: wait and repeat; `reject`: the record can never pass; `adapt`: leave out what the server does
    not know and repeat; `stop`: no call can succeed; `retry`: leave the record to the next run.
    """

    fate: Fate
    reason: str
    """For a record: the word counted in the report. To adapt: what to leave out. To stop: key, model …"""
    detail: str
    wait_s: float | None = None
    """What the server asked for with Retry-After."""


_CONTEXT = re.compile(
    r"context_length_exceeded|maximum context length|context length|context window|input is too long"
    r"|prompt is too long|range of input length|longer than the maximum model length|max_model_len",
    re.I,
)
_FILTER = re.compile(
    r"content_filter|content_policy|content management policy|data_inspection_failed|inappropriate content"
    r"|safety system|moderation",
    re.I,
)
_IMAGE = re.compile(
    r"invalid_image|image_parse|image_url|unsupported image|invalid image|cannot identify image"
    r"|failed to (?:load|decode|download) image|image (?:is )?too (?:large|small)"
    r"|\bimages?\b.{0,40}\b(?:invalid|corrupt|unsupported|not supported|exceed|too large|too small"
    r"|failed|illegal)|at most \d+ image",
    re.I,
)
_STREAM_ONLY = re.compile(r"only supports? stream|stream mode|(?:enable|use|set) (?:the )?stream", re.I)
_FORMAT = re.compile(r"response_format|json_schema|json schema|guided_json|structured output", re.I)
_MODEL = re.compile(
    r"model_not_found|model `?[^`]*`? does not exist|model not exist|unknown model|no such model"
    r"|model.{0,60}not found",
    re.I,
)
_NO_MONEY = re.compile(
    r"insufficient_quota|billing|arrearage|exceeded your current quota|insufficient balance", re.I
)


def fault_of(status: int, headers: Mapping[str, str], body: bytes) -> Fault:
    """The meaning of an answer that is not 200."""
    message = message_of(body)
    detail = f"HTTP {status}: {message}"
    if status in (401, 403):
        return Fault("stop", "key", detail)
    if status == 402 or (status in (400, 429) and _NO_MONEY.search(message)):
        return Fault("stop", "account", detail)
    if status in AGAIN or status >= 500:
        reason = "rate_limited" if status == 429 else "timed_out" if status == 408 else "server_error"
        return Fault("again", reason, detail, retry_after(headers))
    if status in (400, 404) and _MODEL.search(message):
        return Fault("stop", "model", detail)
    if status in (404, 405):
        return Fault("stop", "address", detail)
    if status == 413:
        return Fault("reject", "request_too_large", detail)
    return _refused(message, detail)


def _refused(message: str, detail: str) -> Fault:
    """The meaning of a 400 or 422: something about this request."""
    if _CONTEXT.search(message):
        return Fault("reject", "context_too_long", detail)
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
    if re.search(r"\btemperature\b", message):
        return Fault("adapt", "temperature", detail)
    if _IMAGE.search(message):
        return Fault("reject", "image_refused", detail)
    return Fault("retry", "request_refused", detail)


def message_of(body: bytes) -> str:
    """The server's own words, with its error code, at most 400 characters."""
    try:
        value = orjson.loads(body)
    except orjson.JSONDecodeError:
        return " ".join(body.decode("utf-8", "replace").split())[:400] or "no message"
    error = value.get("error", value) if isinstance(value, dict) else value
    if isinstance(error, dict):
        words = [str(error[name]) for name in ("code", "type", "param", "message") if error.get(name)]
        return ": ".join(words)[:400] or "no message"
    return str(error)[:400]


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
