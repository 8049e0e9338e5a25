"""A service that answers in a JSON of its own."""

from __future__ import annotations

from typing import Any

import orjson

from datakit.llm.provider import Answer, Fault, Provider, Question


class Parrot(Provider):
    """`POST <base_url>/say` with `{"text"}` is answered with `{"said"}`; it takes no key and no pictures."""

    name = "parrot"
    base_url_env = "PARROT_URL"
    structured = ("none",)

    @property
    def url(self) -> str:
        return f"{self.base_url}/say"

    def encode(self, question: Question) -> dict[str, Any]:
        return {"text": question.request.text}

    def decode(self, data: bytes) -> Answer | Fault:
        try:
            return Answer(orjson.loads(data)["said"])
        except (orjson.JSONDecodeError, KeyError, TypeError):
            return Fault("again", "body_malformed", "it said nothing")
