"""Dialogues as data sets write them -> turns of `role` and `content` as the trainer reads them."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

import orjson

from datakit.core.training_columns import WEIGHTS, is_trained
from datakit.read._content_parts import is_picture, picture_of, text_of
from datakit.read._json_values import json_value
from datakit.read._kinds import as_json

PLACE = "<image>"
ROLES = {
    **dict.fromkeys(("user", "human", "prompter", "用户"), "user"),
    **dict.fromkeys(("assistant", "gpt", "model", "bot", "ai", "chatgpt", "助手"), "assistant"),
    **dict.fromkeys(("system", "developer", "系统"), "system"),
    **dict.fromkeys(("observation", "tool", "tool_response", "function"), "observation"),
    **dict.fromkeys(("function_call", "tool_call"), "function_call"),
}
"""What a turn's role is called in data -> its role in `messages`."""
_TAGGED_CALL = re.compile(r"<tool_call>(.*?)</tool_call>", re.DOTALL)
_THOUGHT = re.compile(r"<think>.*?</think>", re.DOTALL)
_NO_ANSWER = ("", "nan", "null", "<na>", "#n/a")
"""What programs write for no value. None, N/A and 无 are answers that people write."""
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
    value = unpacked(value)
    if value is None:
        return None
    if not isinstance(value, list) or not value:
        raise DialogueFault("messages_format", "the messages are not a list of turns")
    turns = [_turn(turn, at, roles, role_key, content_key) for at, turn in enumerate(value, 1)]
    check_order(turns)
    return turns


def unpacked(value: Any) -> Any:
    """A cell of turns as a list: out of JSON text, or out of one list for each key, as tables pack them.

    Null for a cell without turns. Raises DialogueFault for a text that is no JSON.
    """
    if value is None or value == "":
        return None
    if isinstance(value, str):
        try:
            value = json_value(value)[0]
        except orjson.JSONDecodeError as error:
            raise DialogueFault("messages_format", f"the messages are no JSON: {error}") from None
    if isinstance(value, dict) and value and all(isinstance(inner, list) for inner in value.values()):
        if len({len(inner) for inner in value.values()}) > 1:
            raise DialogueFault("messages_format", "the messages are lists of different lengths")
        return [dict(zip(value, cells, strict=True)) for cells in zip(*value.values(), strict=True)]
    return value


def pictures_in(value: Any) -> list[Any]:
    """The pictures that a cell of turns names inside its contents, in order, as they stand there."""
    try:
        value = unpacked(value)
    except DialogueFault:
        return []
    turns = [turn for turn in value if isinstance(turn, dict)] if isinstance(value, list) else []
    cells = [
        turn[name] for turn in turns for name in ("content", "value") if isinstance(turn.get(name), list)
    ]
    pictures = [picture_of(part) for cell in cells for part in cell if is_picture(part)]
    return [picture for picture in pictures if picture is not None]


def losses_in(value: Any, turns: list[dict[str, str]]) -> list[bool | None] | None:
    """For each turn whether it is trained on, as `loss`, `weight` and others (WEIGHTS) say; None without.

    Raises DialogueFault for a weight between 0 and 1.
    """
    cells = [turn for turn in unpacked(value) or () if isinstance(turn, dict)]
    losses: list[bool | None] = [None] * (len(turns) - len(cells))  # a system turn of another column
    for at, turn in enumerate(cells, 1):
        trained = {key: is_trained(key, turn[key]) for key in WEIGHTS if turn.get(key) is not None}
        for key in (key for key, loss in trained.items() if loss is None):
            words = f"turn {at}: `{key}` is {turn[key]!r}; only 0 and 1 are read"
            raise DialogueFault("messages_format", words)
        losses.append(all(trained.values()) if trained else None)
    return losses if any(loss is not None for loss in losses) else None


def chat_of(cell: Any) -> Any:
    """The turns of a cell; of several columns that make a dialogue together, the one that holds turns."""
    if isinstance(cell, dict) and not all(isinstance(inner, list) for inner in cell.values()):
        return next((inner for inner in cell.values() if isinstance(inner, list)), None)
    if isinstance(cell, dict) and len(cell) == 1:
        return next(iter(cell.values()))
    return cell


def joined_chat(start: Any, rest: Any) -> Any:
    """The turns of two cells; null where both are."""
    if start is None and rest is None:
        return None
    return [*start, *rest] if isinstance(start, list) and isinstance(rest, list) else [start, rest]


def check_order(turns: list[dict[str, str]]) -> None:
    """Raises DialogueFault unless user and assistant speak in turn, an answer last, and none is blank."""
    if not _ORDER.fullmatch("".join(turn["role"][0] for turn in turns)):
        order = ", ".join(turn["role"] for turn in turns[:8]) + (" …" if len(turns) > 8 else "")
        raise DialogueFault(
            "messages_order",
            f"the turns are {order}; user and assistant must take turns, an answer last{_form_of(turns)}",
        )
    for at, turn in enumerate(turns, 1):
        if turn["role"] == "assistant" and turn["content"].strip().casefold() in _NO_ANSWER:
            words = f"`{turn['content'].strip()}`" if turn["content"].strip() else "blank"
            raise DialogueFault(
                "answer_empty", f"turn {at}: the answer is {words}, so there is nothing to learn"
            )


def _form_of(turns: list[dict[str, str]]) -> str:
    """What chats are that only one side speaks in; "" for others."""
    speakers = {turn["role"] for turn in turns} - {"system"}
    if speakers == {"user"}:
        return ": this is a prompt without an answer, as GRPO and preference data have them"
    return ": this is a text as pre-training takes it" if speakers == {"assistant"} else ""


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
        role = role.strip().casefold()
    if not isinstance(role, str) or role not in roles:
        allowed = ", ".join(dict.fromkeys(roles))
        raise DialogueFault("messages_format", f"turn {at}: `{role_key}` is {role!r}, not one of {allowed}")
    if isinstance(content, list):
        content = "".join(_part(part, at) for part in content)
    if roles[role] == "assistant" and (calls := turn.get("tool_calls") or turn.get("function_call")):
        if content and not (isinstance(content, str) and not content.strip()):
            raise DialogueFault(
                "messages_format", f"turn {at} has a text and a call of a tool; a turn holds one of them"
            )
        return {"role": "function_call", "content": _calls(calls, at)}
    if not isinstance(content, str):
        raise DialogueFault(
            "messages_format", f"turn {at}: `{content_key}` is {type(content).__name__}, not text"
        )
    if roles[role] == "function_call" and not _is_call(content):
        raise DialogueFault(
            "messages_format", f"turn {at}: a call of a tool is no JSON with `name` and `arguments`"
        )
    return {"role": roles[role], "content": content}


def _is_call(content: str) -> bool:
    """Whether the trainer can read a call: it stops at any other."""
    tagged = _TAGGED_CALL.search(content)
    try:
        calls = orjson.loads(tagged[1] if tagged else _THOUGHT.sub("", content))
    except orjson.JSONDecodeError:
        return False
    calls = calls if isinstance(calls, list) else [calls]
    return all(isinstance(call, dict) and {"name", "arguments"} <= call.keys() for call in calls)


def _calls(calls: Any, at: int) -> str:
    """OpenAI's calls of tools as the trainer reads them: `name` and `arguments`, several as a list."""
    plain = []
    for call in calls if isinstance(calls, list) else [calls]:
        function = call.get("function", call) if isinstance(call, dict) else None
        if not isinstance(function, dict) or not isinstance(function.get("name"), str):
            raise DialogueFault("messages_format", f"turn {at}: a call of a tool names no function")
        arguments = function.get("arguments")
        if isinstance(arguments, str):
            try:
                arguments = json_value(arguments or "{}")[0]
            except orjson.JSONDecodeError:
                raise DialogueFault(
                    "messages_format", f"turn {at}: the arguments of {function['name']} are no JSON"
                ) from None
        plain.append({"name": function["name"], "arguments": {} if arguments is None else arguments})
    return as_json(plain[0] if len(plain) == 1 else plain) or ""


def _part(part: Any, at: int) -> str:
    """One part of a content list: its text, or a place for a picture."""
    if is_picture(part):
        return PLACE
    text = text_of(part)
    if text is None:
        kind = part.get("type") if isinstance(part, dict) else type(part).__name__
        raise DialogueFault(
            "messages_format", f"turn {at}: a part of its content is neither text nor image, but `{kind}`"
        )
    return text


def check_places(parts: dict[str, Sequence[Any]], faults: dict[int, tuple[str, str]]) -> None:
    """Rejects dialogues whose `<image>` places are not as many as their pictures."""
    dialogues = parts.get("messages") or [None] * len(parts["images"])
    texts = parts["text"]
    for at, (images, turns) in enumerate(zip(parts["images"], dialogues, strict=True)):
        if turns is not None:
            places = places_in(turns)
        else:
            text = texts[at]
            places = text.count(PLACE) if text else 0
            if not places:
                continue
        if places != len(images):
            words = f"the dialogue has {places} {PLACE} places for {len(images)} pictures"
            faults.setdefault(at, ("image_places", words))
