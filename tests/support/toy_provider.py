"""A service that speaks a JSON of its own: all that a further provider needs, in one file."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

import orjson

from datakit.llm.images import picture_bytes
from datakit.llm.provider import Answer, Fault, Headers, Price, Provider, Question


class Toy(Provider):
    """Knows no structured output, has a price, counts 10 tokens a picture."""

    name = "toy"
    key_env = "TOY_KEY"
    base_url_env = "TOY_URL"
    structured = ("none",)
    prices = MappingProxyType({"toy-1": Price(1.0, 2.0, 0.5)})

    @property
    def url(self) -> str:
        return f"{self.base_url}/say"

    def headers(self) -> dict[str, str]:
        return {"x-toy-key": self.key}

    def encode(self, question: Question) -> dict[str, Any]:
        request = question.request
        pictures = [picture_bytes(path, question.max_image_pixels) for path in request.images]
        turns = [turn["content"] for turn in question.further]
        return {
            "name": question.model,
            "ask": [request.text, *turns],
            "pictures": [base64.b64encode(data).decode() for data in pictures],
            "room": request.max_tokens,
        }

    def decode(self, data: bytes) -> Answer | Fault:
        try:
            value = orjson.loads(data)
            return Answer(value["said"], tokens_in=value["used"][0], tokens_out=value["used"][1])
        except (orjson.JSONDecodeError, KeyError, TypeError):
            return Fault("again", "body_malformed", "nothing was said")

    def fault(self, status: int, headers: Mapping[str, str], data: bytes) -> Fault:
        words = str(orjson.loads(data)["oops"])
        if status == 418:
            return Fault("again", "rate_limited", words, wait_s=0.01)
        return Fault("stop", "key", words) if status == 499 else Fault("retry", "request_refused", words)

    def limits(self, headers: Mapping[str, str]) -> dict[str, Headers | None]:
        return {"requests": Headers(float(headers["x-toy-a-minute"]), None, None)}

    def image_tokens(self, width: int, height: int) -> int:
        return 10

    def thinking(self, on: bool) -> dict[str, Any]:
        return {"ponder": on}
