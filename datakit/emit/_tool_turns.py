"""Turns of tools as OpenAI and TRL write them: calls in `tool_calls` of the assistant, results as `tool`."""

from __future__ import annotations

from typing import Any

import orjson

from datakit.core.errors import UserError


class ToolTurns:
    """The turns of one record in order; a result belongs to the call before it."""

    def __init__(self, record: str, *, arguments_as_text: bool) -> None:
        """`arguments_as_text`: as OpenAI has them; chat templates of models take them as objects."""
        self._record, self._as_text, self._calls = record, arguments_as_text, 0

    def turn(self, turn: dict[str, Any], content: Any) -> dict[str, Any]:
        """The turn with its content. Raises UserError for several calls at once, or none that can be read."""
        if turn["role"] == "observation":
            return {"role": "tool", "tool_call_id": f"call_{self._calls}", "content": content}
        if turn["role"] != "function_call":
            return {"role": turn["role"], "content": content}
        self._calls += 1
        call = self._call(turn["content"])
        arguments = call.get("arguments") or {}
        if self._as_text and not isinstance(arguments, str):
            arguments = orjson.dumps(arguments).decode()
        function = {"name": call["name"], "arguments": arguments}
        tool_call = {"id": f"call_{self._calls}", "type": "function", "function": function}
        return {"role": "assistant", "content": "", "tool_calls": [tool_call]}

    def _call(self, text: str) -> dict[str, Any]:
        try:
            call = orjson.loads(text)
        except orjson.JSONDecodeError:
            call = None
        call = call[0] if isinstance(call, list) and len(call) == 1 else call
        if isinstance(call, dict) and isinstance(call.get("name"), str):
            return call
        raise UserError(
            f"record {self._record} has a turn of tools that is not one call with `name` and `arguments`",
            remedy="Emit such records with emit.llamafactory or emit.ms_swift.",
        )
