"""A row as LLaMA-Factory's converters turn it into a dialogue, or drop it, or stop at it.

A value that a row lacks is null here, as it is in the trainer's table once another row has it.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any

from datakit.checking.data_set import DataSet

USER, ASSISTANT, SYSTEM = "user", "assistant", "system"
OBSERVATION, FUNCTION = "observation", "function"


class Dropped(Exception):
    """The trainer leaves the row out with no more than a warning in its log."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


class Stops(Exception):
    """The trainer ends with an error at this row."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


@dataclass(slots=True)
class Dialogue:
    """What the trainer makes of a row."""

    turns: list[tuple[str, Any]]
    """Role and content, questions and answers in turn."""
    system: Any = ""
    tools: Any = ""
    images: list[Any] = field(default_factory=list)
    videos: list[Any] = field(default_factory=list)
    audios: list[Any] = field(default_factory=list)


def dialogue_of(row: dict[str, Any], data_set: DataSet) -> Dialogue:
    """The dialogue. Raises Dropped or Stops."""
    columns = data_set.columns

    def value(key: str) -> Any:
        name = columns[key]
        return row.get(name) if name else None

    system: Any = ""
    if data_set.formatting == "alpaca":
        turns = _alpaca(value, ranking=data_set.ranking)
        system = value("system") if columns["system"] else ""
    else:
        turns, system = _shared(value, data_set)
    if not turns:
        raise Dropped("no_messages", "there is no dialogue")
    return Dialogue(
        turns,
        system,
        _tools(value, data_set),
        _medias(value("images")),
        _medias(value("videos")),
        _medias(value("audios")),
    )


def _tools(value: Any, data_set: DataSet) -> Any:
    tools = value("tools") if data_set.columns["tools"] else ""
    if data_set.formatting == "openai" and isinstance(tools, dict | list):
        return json.dumps(tools, ensure_ascii=False)
    return tools


def _medias(value: Any) -> list[Any]:
    if value is None:
        return []
    return value if isinstance(value, list) else [value]


def _alpaca(value: Any, *, ranking: bool) -> list[tuple[str, Any]]:
    turns: list[tuple[str, Any]] = []
    history = value("history")
    if isinstance(history, list):
        for pair in history:
            if not isinstance(pair, list) or len(pair) != 2:
                raise Stops("not_text", "`history` must hold pairs of question and answer")
            turns += [(USER, pair[0]), (ASSISTANT, pair[1])]
    query = [piece for piece in (value("prompt"), value("query")) if piece]
    if not all(isinstance(piece, str) for piece in query):
        raise Stops("not_text", "the question is no string")
    turns.append((USER, "\n".join(query)))
    if isinstance(mark := value("kto_tag"), bool):
        raise Dropped("marked", _marked(mark))
    if ranking:
        raise Dropped("ranked", "two answers stand side by side")
    answer = value("response")
    if not isinstance(answer, str):
        raise Dropped("answer_not_text", f"the answer is {_word(answer)}")
    return [*turns, (ASSISTANT, answer)]


def _shared(value: Any, data_set: DataSet) -> tuple[list[tuple[str, Any]], Any]:
    tags = data_set.tags
    role_tag, content_tag = tags["role_tag"], tags["content_tag"]
    messages = value("messages")
    if not isinstance(messages, list):
        raise Stops("not_text", f"the dialogue is {_word(messages)}")
    if not all(isinstance(message, dict) for message in messages):
        raise Stops("not_text", "a turn is no object")
    if messages and tags["system_tag"] and messages[0].get(role_tag) == tags["system_tag"]:
        system = messages[0].get(content_tag)
        messages = messages[1:]
    else:
        system = value("system") if data_set.columns["system"] else ""
    if data_set.formatting == "openai":
        turns = _openai(messages, tags)
        system = _openai_system(system, _tools(value, data_set))
    else:
        turns = [(message.get(role_tag), message.get(content_tag)) for message in messages]
    ordered = _in_order(turns, tags, openai=data_set.formatting == "openai")
    if ordered and isinstance(mark := value("kto_tag"), bool):
        raise Dropped("marked", _marked(mark))
    return ordered, system


def _marked(wanted: bool) -> str:
    return f"the answer is marked as {'wanted' if wanted else 'unwanted'}"


def _in_order(
    turns: list[tuple[Any, Any]], tags: dict[str, str | None], *, openai: bool
) -> list[tuple[str, Any]]:
    names = {
        tags["user_tag"]: USER,
        tags["assistant_tag"]: ASSISTANT,
        tags["observation_tag"]: OBSERVATION,
        tags["function_tag"]: FUNCTION,
        tags["system_tag"]: SYSTEM,
    }
    odd = (tags["user_tag"], tags["observation_tag"])
    even = (tags["assistant_tag"], tags["function_tag"])
    ordered = []
    for number, (role, content) in enumerate(turns):
        if role not in (even if number % 2 else odd):
            is_named = isinstance(role, str) and role in names
            known = ", ".join(f"`{name}`" for name in names if name)
            unnamed = "" if is_named else f", which is none of the tags {known}"
            if openai and not is_named:
                raise Stops("role_order", f"turn {number + 1} has the unknown role {_quoted(role)}{unnamed}")
            raise Dropped("role_order", f"turn {number + 1} is that of {_quoted(role)}{unnamed}")
        ordered.append((names[role], content))
    if len(ordered) % 2:
        raise Dropped("turn_count", f"{len(ordered)} turns, the last one a question")
    return ordered


def _openai(messages: list[dict[str, Any]], tags: dict[str, str | None]) -> list[tuple[Any, Any]]:
    """Tool calls become JSON, and answers of several tools one turn."""
    turns: list[tuple[Any, Any]] = []
    replies: list[Any] = []
    for number, message in enumerate(messages, 1):
        role, content = message.get(tags["role_tag"] or ""), message.get(tags["content_tag"] or "")
        if role in (tags["assistant_tag"], tags["function_tag"]) and (calls := message.get("tool_calls")):
            content = _calls(calls, number)
            role = tags["function_tag"]
        if role == tags["observation_tag"]:
            if not isinstance(content, str):
                raise Stops("not_text", f"the answer of a tool in turn {number} is {_word(content)}")
            replies.append(content)
            continue
        if replies:
            joined = "\n</tool_response>\n<tool_response>\n".join(replies)
            turns.append((tags["observation_tag"], joined))
            replies = []
        turns.append((role, content))
    return turns


def _calls(calls: Any, number: int) -> str:
    """The JSON of tool calls. Raises Stops for what is no list of objects with a `function`."""
    is_list = isinstance(calls, list)
    if not is_list or not all(isinstance(call, dict) and "function" in call for call in calls):
        raise Stops("not_text", f"`tool_calls` of turn {number} is no list of objects with a `function`")
    return json.dumps([call["function"] for call in calls], ensure_ascii=False)


def _openai_system(system: Any, tools: Any) -> Any:
    if system and not isinstance(system, str):
        raise Stops("not_text", f"the system turn is {_word(system)}")
    off = "detailed thinking off"
    if not system:
        return system if tools else off
    if tools:
        return system + "\n"
    return system if "detailed thinking on" in system or off in system else f"{system}\n{off}"


def _quoted(role: Any) -> str:
    return f"`{role}`" if isinstance(role, str) else _word(role)


def _word(value: Any) -> str:
    return {"NoneType": "null", "dict": "an object", "list": "a list", "bool": "true or false"}.get(
        type(value).__name__, "a number" if isinstance(value, int | float) else f"a {type(value).__name__}"
    )
