"""Dialogues as data sets write them -> turns of `role` and `content` as the trainer reads them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import orjson

PLACE = "<image>"
ROLES = {
    "user": "user",
    "human": "user",
    "assistant": "assistant",
    "gpt": "assistant",
    "model": "assistant",
    "bot": "assistant",
    "system": "system",
    "observation": "observation",
    "tool": "observation",
    "function_call": "function_call",
}
"""What a turn's role is called in data -> its role in `messages`."""
_PICTURES = ("image", "image_url")
_ORDER = re.compile(r"(s)?([uo][af])+")


class DialogueFault(Exception):
    """A dialogue that cannot be read: the reason of rejection and the sentence for it."""

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(detail)
        self.reason, self.detail = reason, detail


def turns_of(
    value: Any,
    roles: Mapping[str, str] = ROLES,
    role_key: str | None = None,
    content_key: str | None = None,
) -> list[dict[str, str]] | None:
    """The turns of one cell: null, a list of turns, or its JSON text. Raises DialogueFault.

    Keys are `role` and `content`, or `from` and `value`, when none are given.
    """
    if value is None or value == "":
        return None
    if isinstance(value, str):
        try:
            value = orjson.loads(value)
        except orjson.JSONDecodeError as error:
            raise DialogueFault("messages_format", f"the messages are no JSON: {error}") from None
    if not isinstance(value, list) or not value:
        raise DialogueFault("messages_format", "the messages are not a list of turns")
    turns = [_turn(turn, at, roles, role_key, content_key) for at, turn in enumerate(value, 1)]
    check_order(turns)
    return turns


def pictures_in(value: Any) -> list[Any]:
    """The pictures that a cell of turns names inside its contents, in order, as they stand there.

    Qwen writes `{"type": "image", "image": path}`, OpenAI
    `{"type": "image_url", "image_url": {"url": path}}`.
    """
    if isinstance(value, str):
        try:
            value = orjson.loads(value)
        except orjson.JSONDecodeError:
            return []
    turns = [turn for turn in value if isinstance(turn, dict)] if isinstance(value, list) else []
    cells = [
        turn[name] for turn in turns for name in ("content", "value") if isinstance(turn.get(name), list)
    ]
    parts = [part for cell in cells for part in cell if isinstance(part, dict)]
    pictures = [part.get(str(part.get("type"))) for part in parts if part.get("type") in _PICTURES]
    paths = [item.get("url") if isinstance(item, dict) else item for item in pictures if item]
    return [path.removeprefix("file://") if isinstance(path, str) else path for path in paths]


def check_order(turns: list[dict[str, str]]) -> None:
    """Raises DialogueFault unless user and assistant speak in turn, an answer last."""
    if not _ORDER.fullmatch("".join(turn["role"][0] for turn in turns)):
        order = ", ".join(turn["role"] for turn in turns[:8]) + (" …" if len(turns) > 8 else "")
        raise DialogueFault(
            "messages_order", f"the turns are {order}; user and assistant must take turns, an answer last"
        )


def places_in(turns: list[dict[str, str]]) -> int:
    """How many `<image>` places the turns have."""
    return sum(turn["content"].count(PLACE) for turn in turns)


def _turn(
    turn: Any, at: int, roles: Mapping[str, str], role_key: str | None, content_key: str | None
) -> dict[str, str]:
    if not isinstance(turn, dict):
        raise DialogueFault("messages_format", f"turn {at} is not an object")
    role_key = role_key or ("role" if "role" in turn else "from")
    content_key = content_key or ("content" if "content" in turn else "value")
    role, content = turn.get(role_key), turn.get(content_key)
    if isinstance(role, str) and role not in roles and roles is ROLES:
        role = role.lower()
    if not isinstance(role, str) or role not in roles:
        allowed = ", ".join(dict.fromkeys(roles))
        raise DialogueFault("messages_format", f"turn {at}: `{role_key}` is {role!r}, not one of {allowed}")
    if isinstance(content, list):
        content = "".join(_part(part, at) for part in content)
    if not isinstance(content, str):
        raise DialogueFault(
            "messages_format", f"turn {at}: `{content_key}` is {type(content).__name__}, not text"
        )
    return {"role": roles[role], "content": content}


def _part(part: Any, at: int) -> str:
    """One part of a content list: its text, or a place for a picture."""
    kind = part.get("type") if isinstance(part, dict) else None
    if kind in _PICTURES:
        return PLACE
    if kind in ("text", "input_text", "output_text") and isinstance(part.get("text"), str):
        return str(part["text"])
    raise DialogueFault("messages_format", f"turn {at}: a part of its content is neither text nor image")
