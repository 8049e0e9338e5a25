"""How one endpoint wants its requests: what it refuses is left out for the rest of the run."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import orjson

from datakit.core.settings import Structured
from datakit.llm._faults import Fault
from datakit.llm.provider import Provider, Question
from datakit.llm.request import Request, Turn

_SWITCHED_ON = "stream"
"""The one fault whose remedy is to ask for more: an endpoint that only streams."""
_LIMITS = frozenset({"max_tokens", "max_completion_tokens"})


class Dialect:
    """The bodies of requests as the endpoint takes them, for calls and for batch files."""

    def __init__(self, provider: Provider, note: Callable[[str], None], *, stream: bool = False) -> None:
        settings = provider.settings
        self.provider, self._note = provider, note
        ways = provider.structured
        self.structured: Structured = settings.structured if settings.structured in ways else ways[0]
        self.left_out: set[str] = set()
        self.version = 0
        """Goes up whenever something is left out."""
        self._stream = stream
        thinking = settings.thinking
        self._extra = {} if thinking == "default" else provider.thinking(thinking == "enabled")
        self._extra = merged(self._extra, settings.extra_body)

    def body(self, request: Request, further: Sequence[Turn] = ()) -> bytes:
        """The JSON body of a request. Reads the pictures. Raises ImageProblem."""
        settings = self.provider.settings
        question = Question(
            request,
            settings.model,
            self.structured,
            settings.max_image_pixels,
            further,
            self.left_out,
            self._stream,
        )
        body = self.provider.encode(question)
        return orjson.dumps(merged(body, self._extra) if self._extra else body)

    def question(self, request: Request) -> dict[str, Any]:
        """The body as it would be sent, without what changes no answer: the limit of its length, streaming
        and the way in which JSON is asked for. Reads the pictures. Raises ImageProblem."""
        settings = self.provider.settings
        strictest = self.provider.structured[0]
        question = Question(request, settings.model, strictest, settings.max_image_pixels)
        body = merged(self.provider.encode(question), self._extra)
        return {name: value for name, value in body.items() if name not in _LIMITS}

    def adapt(self, fault: Fault, version: int) -> bool:
        """Leaves out what a body of this version was refused for; False when nothing is left to leave out.

        When another call has adapted meanwhile, the body is only made anew.
        """
        if version != self.version:
            return True
        if fault.reason == "response_format":
            ways = self.provider.structured
            lower = ways[ways.index(self.structured) + 1 :]
            if not lower:
                return False
            before, self.structured = self.structured, lower[0]
            self._note(
                f"The endpoint refused response_format {before}; went on with {self.structured}. "
                f"Set llm.structured: {self.structured}."
            )
        elif fault.reason == _SWITCHED_ON:
            if self._stream:
                return False
            self._stream = True
            self._note("The endpoint only streams its answers; went on so. Set llm.stream: true.")
        else:
            if fault.reason in self.left_out:
                return False
            self.left_out.add(fault.reason)
            self._note(f"The endpoint refused `{fault.reason}`; went on without it.")
        self.version += 1
        return True


def merged(body: Mapping[str, Any], extra: Mapping[str, Any]) -> dict[str, Any]:
    """A body with further fields; mappings that both have are merged, else the further one stands."""
    both = {
        name: merged(body[name], value)
        for name, value in extra.items()
        if isinstance(value, Mapping) and isinstance(body.get(name), Mapping)
    }
    return {**body, **extra, **both}
