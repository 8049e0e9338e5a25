"""How one endpoint wants its requests: what it refuses is left out for the rest of the run."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from datakit.core.settings import LlmSettings
from datakit.llm._faults import Fault
from datakit.llm._payload import Turn, body_of
from datakit.llm.request import Request

_STEPS_DOWN = {"json_schema": "json_object", "json_object": "none"}


class Dialect:
    """The bodies of requests as the endpoint takes them, for calls and for batch files."""

    def __init__(self, settings: LlmSettings, note: Callable[[str], None]) -> None:
        self._settings, self._note = settings, note
        self.structured: str = settings.structured
        self.left_out: set[str] = set()
        self.version = 0
        """Goes up whenever something is left out."""

    def body(self, request: Request, further: Sequence[Turn] = ()) -> bytes:
        """The JSON body of a request. Reads the pictures. Raises ImageProblem."""
        options, most = self._options(request), self._settings.max_image_pixels
        return body_of(request, options, self.structured, most, further)

    def adapt(self, fault: Fault, version: int) -> bool:
        """Leaves out what a body of this version was refused for; False when nothing is left to leave out.

        When another call has adapted meanwhile, the body is only made anew.
        """
        if version != self.version:
            return True
        if fault.reason == "response_format":
            if self.structured not in _STEPS_DOWN:
                return False
            before, self.structured = self.structured, _STEPS_DOWN[self.structured]
            self._note(
                f"The endpoint refused response_format {before}; went on with {self.structured}. "
                f"Set llm.structured: {self.structured}."
            )
        else:
            if fault.reason in self.left_out:
                return False
            self.left_out.add(fault.reason)
            self._note(f"The endpoint refused `{fault.reason}`; went on without it.")
        self.version += 1
        return True

    def _options(self, request: Request) -> dict[str, Any]:
        limit = "max_completion_tokens" if "max_tokens" in self.left_out else "max_tokens"
        options: dict[str, Any] = {"model": self._settings.model, limit: request.max_tokens}
        if "temperature" not in self.left_out:
            options["temperature"] = request.temperature
        return options
