"""Turns of tools as OpenAI and TRL write them: calls in `tool_calls` of the assistant, results as `tool`."""

from __future__ import annotations

import json
from typing import Any

import orjson

from datakit.emit._faults import RowFault

_CALL = frozenset(("name", "arguments", "id", "type"))
"""What a call may hold. Ids are given anew, the type is always function."""


class ToolTurns:
    """The turns of one record in order; a result belongs to the call before it."""

    def __init__(self, *, arguments_as_text: bool, content_of_calls: Any) -> None:
        """`arguments_as_text`: as OpenAI has them; chat templates of models take them as objects.

        `content_of_calls` is the content of a turn that is a call, and so has no text.
        """
        self._as_text, self._calls = arguments_as_text, 0
        self._content_of_calls = content_of_calls

    def turn(self, turn: dict[str, Any], content: Any) -> dict[str, Any]:
        """The turn with its content. Raises RowFault for several calls at once, or none that can be read."""
        if turn["role"] == "observation":
            return {"role": "tool", "tool_call_id": f"call_{self._calls}", "content": content}
        if turn["role"] != "function_call":
            return {"role": turn["role"], "content": content}
        self._calls += 1
        name, arguments = self._call(turn["content"])
        function = {"name": name, "arguments": _compact(arguments) if self._as_text else arguments}
        tool_call = {"id": f"call_{self._calls}", "type": "function", "function": function}
        return {"role": "assistant", "content": self._content_of_calls, "tool_calls": [tool_call]}

    def _call(self, text: str) -> tuple[str, dict[str, Any]]:
        call = _value(text)
        call = call[0] if isinstance(call, list) and len(call) == 1 else call
        if isinstance(call, dict) and isinstance(call.get("name"), str) and call.keys() <= _CALL:
            arguments = call.get("arguments")
            if isinstance(arguments, str):
                arguments = _value(arguments or "{}")
            elif arguments is None:
                arguments = {}
            if isinstance(arguments, dict):
                return call["name"], arguments
        raise RowFault(
            "tool_call_form",
            "the record has a turn of tools that is not one call with `name` and an object of `arguments` "
            f"alone, as emit.llamafactory and emit.ms_swift take it: {text[:60]}",
        )


def json_line(row: Any) -> bytes:
    """A row as JSON. Whole numbers beyond 64 bits, which arguments may hold, keep every digit."""
    try:
        return orjson.dumps(row)
    except TypeError:
        return _compact(row).encode()


def _value(text: str) -> Any:
    """The value of a JSON text, whole numbers with every digit; None for a text that is none."""
    try:
        orjson.loads(text)  # Python's reader takes NaN too, which is no JSON
        return json.loads(text)
    except ValueError:
        return None


def _compact(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))
