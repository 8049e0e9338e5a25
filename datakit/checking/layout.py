"""A dialogue as LLaMA-Factory's template lays it out: the texts before each answer, and the answers."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import Any, NamedTuple

from datakit.checking.convert import ASSISTANT, FUNCTION, OBSERVATION, USER, Dialogue, Stops
from datakit.core.pixels import FAMILIES, Family
from datakit.core.tokens import DEFAULT_SYSTEM, IMAGE, Vocabulary

START, END = "<|vision_start|>", "<|vision_end|>"
EMPTY_THOUGHT = "<think>\n\n</think>\n\n"
_THOUGHT = re.compile(r"<think>\n(.*?)\n</think>\n\n", re.DOTALL)
_TOOL_CALL = re.compile(r"<tool_call>(.*?)</tool_call>", re.DOTALL)
_TOOLS = (
    "\n\n# Tools\n\nYou may call one or more functions to assist with the user query.\n\n"
    "You are provided with function signatures within <tools></tools> XML tags:\n<tools>{}"
    "\n</tools>\n\nFor each function call, return a json object with function name and arguments within "
    '<tool_call></tool_call> XML tags:\n<tool_call>\n{{"name": <function-name>, '
    '"arguments": <args-json-object>}}\n</tool_call>'
)
_FRAMES = {
    USER: "<|im_start|>user\n{}<|im_end|>\n<|im_start|>assistant\n",
    ASSISTANT: "{}<|im_end|>\n",
    FUNCTION: "{}<|im_end|>\n",
    OBSERVATION: (
        "<|im_start|>user\n<tool_response>\n{}\n</tool_response><|im_end|>\n<|im_start|>assistant\n"
    ),
}


@dataclass(frozen=True)
class Layout:
    """One of the trainer's templates, all of which frame turns in `<|im_start|>` and `<|im_end|>`."""

    vocabulary: Vocabulary
    family: Family | None = None
    """The grid of pictures; None for templates of text models."""
    default_system: str = ""
    thinks: bool = False
    """Whether an answer without a thought gets an empty one in front."""


LAYOUTS = {
    "qwen2_vl": Layout("qwen2_5", FAMILIES["qwen2_5_vl"], DEFAULT_SYSTEM),
    "qwen3_vl": Layout("qwen3", FAMILIES["qwen3_vl"], thinks=True),
    "qwen3_vl_nothink": Layout("qwen3", FAMILIES["qwen3_vl"]),
    "qwen": Layout("qwen2_5", None, "You are Qwen, created by Alibaba Cloud. You are a helpful assistant."),
    "qwen3": Layout("qwen3", thinks=True),
    "qwen3_nothink": Layout("qwen3"),
}


class Turn(NamedTuple):
    """A question with all that stands before it, and its answer. Pieces are turned into tokens apart."""

    source: tuple[str, ...]
    target: tuple[str, ...]


@dataclass(frozen=True)
class Habits:
    """Settings that change the layout."""

    default_system: str | None = None
    enable_thinking: bool | None = True
    drops_thoughts: bool = False
    """Thoughts of all answers but the last are taken out (`mask_history` without `preserve_thinking`)."""


PLAIN = Habits()
FRAME = START + END


def turns_of(dialogue: Dialogue, layout: Layout, habits: Habits = PLAIN, image: str = FRAME) -> list[Turn]:
    """The turns, with `picture` in place of each `<image>`. Raises Stops for what is no text."""
    turns = []
    default = layout.default_system if habits.default_system is None else habits.default_system
    system = dialogue.system or default
    if not isinstance(system, str):
        raise Stops("not_text", "the system turn is no string")
    image = image if layout.family is not None else IMAGE  # for a text model the place is text
    head = system + _tool_text(dialogue.tools)
    opens = bool(system or dialogue.tools)  # tools that are an empty list open a system turn too
    last = len(dialogue.turns) - 2
    for number in range(0, last + 1, 2):
        (asker, question), (answerer, answer) = dialogue.turns[number], dialogue.turns[number + 1]
        early = habits.drops_thoughts and number < last
        if layout.thinks and (habits.enable_thinking is False or early):
            answer = _THOUGHT.sub("", answer).lstrip("\n")
        source = _framed(asker, question, image)
        if asker == USER:  # the trainer puts the turn's number in, once
            source = source.replace("{{idx}}", str(number // 2), 1)
        pieces: tuple[str, ...] = (_system(head), source) if opens and number == 0 else (source,)
        target: tuple[str, ...] = (_framed(answerer, answer, image),)
        if layout.thinks and not early and "<think>" not in answer and "</think>" not in answer:
            if habits.enable_thinking:
                target = (EMPTY_THOUGHT, *target)
            else:
                pieces = (*pieces, EMPTY_THOUGHT)
        turns.append(Turn(pieces, target))
    return turns


def _system(content: str) -> str:
    return f"<|im_start|>system\n{content}<|im_end|>\n"


def _framed(role: str, content: str, image: str) -> str:
    if role == FUNCTION:
        content = _calls(content)
    before, after = _FRAMES[role].split("{}")
    return f"{before}{content.replace(IMAGE, image)}{after}"


def _tool_text(tools: Any) -> str:
    if not tools:
        return ""
    try:
        listed = json.loads(tools)
        lines = [
            json.dumps(
                tool if tool.get("type") == "function" else {"type": "function", "function": tool},
                ensure_ascii=False,
            )
            for tool in listed
        ]
    except (TypeError, ValueError, AttributeError):
        raise Stops("not_text", "`tools` is no JSON list of functions") from None
    return _TOOLS.format("".join(f"\n{line}" for line in lines)) if listed else ""


def _calls(content: str) -> str:
    """Tool calls in Qwen's form."""
    inside = _TOOL_CALL.search(content) or _THOUGHT.search(content)
    is_call = inside is not None and inside.group(0).startswith("<tool_call>")
    thought = (
        content.replace(inside.group(0), "") if inside and is_call else inside.group(0) if inside else ""
    )
    body = inside.group(1) if inside and is_call else content.replace(thought, "") if thought else content
    try:
        calls = json.loads(body)
        texts = [
            json.dumps({"name": call["name"], "arguments": call["arguments"]}, ensure_ascii=False)
            for call in (calls if isinstance(calls, list) else [calls])
        ]
    except (ValueError, TypeError, KeyError):
        raise Stops("not_text", "a tool call is no JSON with `name` and `arguments`") from None
    return thought + "\n".join(f"<tool_call>\n{call}\n</tool_call>" for call in texts)
