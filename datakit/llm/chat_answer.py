"""The answer in a chat completion, whatever else stands in it: nothing around an answer can void it.

Works on JSON alone, so that a bundle can carry it:

    answer = chat_answer.read(json.load(reply))
    answer.parted.answer, answer.finish_reason, answer.tokens_out, answer.logprobs
"""

from __future__ import annotations

import contextlib
import json
import math
from collections.abc import Iterable
from typing import Any

from datakit.core.message_text import readable
from datakit.llm.answer import Answer

Object = dict[str, Any]

_FINISHED = {
    "stop": ("end_turn", "stop_sequence", "eos", "eos_token", "completed", "complete", "finished"),
    "length": ("max_tokens", "max_output_tokens", "max_completion_tokens", "max_length", "model_length"),
    "content_filter": (
        *("content_filtered", "safety", "image_safety", "recitation", "blocklist", "prohibited_content"),
        *("spii", "sensitive", "refusal"),
    ),
    "tool_calls": ("tool_call", "tool_use", "function_call"),
}
"""OpenAI's word -> the words of Anthropic, Gemini, Mistral, TGI and GLM for it, in small letters."""
_WORDS = {other: word for word, others in _FINISHED.items() for other in (word, *others)}
_REASONING = ("reasoning_content", "reasoning", "thinking")
"""Where vLLM, DeepSeek and DashScope, OpenRouter and newer vLLM, and Ollama put the thinking."""
_TEXTS = ("text", "value", "thinking", "reasoning", "summary", "content", "refusal")
"""Where a part of a content holds its text."""
_MOST_TOKENS = 1 << 40
_DEEPEST = 5


def parse(data: bytes) -> Any:
    """The JSON value of a body. Raises ValueError when it holds none.

    A byte order mark, NaN and Infinity, a text that is JSON itself, and bytes that are not UTF-8 are taken.
    """
    try:
        try:
            value = json.loads(data)
        except UnicodeDecodeError:
            value = json.loads(readable(data))
        if isinstance(value, str):
            with contextlib.suppress(ValueError):
                return json.loads(value)
    except RecursionError:
        raise ValueError("the JSON is nested too deep") from None
    return value


def read(value: Any) -> Answer | None:
    """The answer of a completion; None when it holds no message.

    Contents may be a text, null, a list of parts, or JSON that the server decoded already. Counts may be
    texts; odd ones are 0. Of a message with nothing but thinking that the model ended by itself, the thinking
    is the answer: the server's reasoning parser put it in the wrong place (vLLM does so for a model that was
    told not to think).
    """
    whole = next((item for item in _several(value) if isinstance(item, dict) and "choices" in item), {})
    choices = whole.get("choices")
    choice = next(
        (item for item in _several(choices) if isinstance(item, dict) and _message_in(item) is not None), None
    )
    if choice is None:
        return None
    message = spoken(choice)
    content, reasoning, refusal = message["content"], message["reasoning"], message["refusal"]
    finish_reason = finish_word(choice.get("finish_reason")) or "stop"
    if not content.strip() and finish_reason == "stop" and not refusal.strip():
        content, reasoning = reasoning, ""
    usage = _usage(whole.get("usage")) or _usage(choice.get("usage"))
    tokens_in = count(usage.get("prompt_tokens")) or count(usage.get("input_tokens")) or 0
    details = usage.get("prompt_tokens_details")
    cached = count(details.get("cached_tokens")) if isinstance(details, dict) else 0
    ids = whole.get("prompt_token_ids")
    return Answer(
        content=whole_characters(content),
        refusal=whole_characters(refusal),
        finish_reason=finish_reason,
        model=whole_characters(_text(whole.get("model"))),
        tokens_in=tokens_in,
        tokens_out=count(usage.get("completion_tokens")) or count(usage.get("output_tokens")) or 0,
        cached=min(cached or 0, tokens_in),
        reasoning=whole_characters(reasoning),
        logprobs=choice.get("logprobs"),
        prompt_token_ids=tuple(ids) if isinstance(ids, list) and all(map(_is_int, ids)) else (),
    )


def finish_word(value: Any) -> str:
    """OpenAI's word for why an answer ended, in whatever case and of whatever service; "" for none."""
    if not isinstance(value, str):
        return ""
    word = whole_characters(value).strip().lower().rpartition("finishreason.")[2]
    return _WORDS.get(word, word[:40])


def count(value: Any) -> int | None:
    """A number of tokens, also one written as a text; None for anything else."""
    if isinstance(value, str) and len(value) <= 20:
        try:
            value = float(value)
        except ValueError:
            return None
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return int(value) if 0 <= value <= _MOST_TOKENS else None


def _content(value: Any) -> tuple[str, str, str]:
    """Content, thinking and refusal of a message's `content`, which may be a text or a list of parts."""
    if value is None or isinstance(value, str):
        return value or "", "", ""
    if isinstance(value, bool | int | float) or not _is_parts(value):
        return as_json(value), "", ""
    content = reasoning = refusal = ""
    for part in _several(value):
        kind = str(part.get("type")).lower() if isinstance(part, dict) else ""
        if "think" in kind or "reason" in kind:
            reasoning += _text(part)
        elif kind == "refusal":
            refusal += _text(part)
        elif isinstance(part, str) or (isinstance(part, dict) and "text" in part):
            content += _text(part["text"] if isinstance(part, dict) else part)
    return content, reasoning, refusal


def _text(value: Any, depth: int = 0) -> str:
    """The text that a JSON value is or holds in one of the places for texts; "" when there is none."""
    if isinstance(value, str):
        return value
    if depth > _DEEPEST:
        return ""
    if isinstance(value, list):
        return "".join(_text(item, depth + 1) for item in value)
    if isinstance(value, dict):
        texts = (_text(value[name], depth + 1) for name in _TEXTS if name in value)
        return next(filter(None, texts), "")
    return ""


def spoken(choice: Any) -> dict[str, str]:
    """`content`, `reasoning` and `refusal` of a choice, or of a piece of a streamed one."""
    message = _message_in(choice) if isinstance(choice, dict) else None
    if not isinstance(message, dict):
        return {"content": message or "", "reasoning": "", "refusal": ""}
    content, reasoning, refusal = _content(message.get("content"))
    if not content:
        content = _arguments(message.get("tool_calls"))
    reasoning += next(filter(None, (_text(message.get(name)) for name in _REASONING)), "")
    return {"content": content, "reasoning": reasoning, "refusal": refusal + _text(message.get("refusal"))}


def _arguments(calls: Any) -> str:
    """What the model wrote into a call: some servers have JSON written by one. No tool is ever offered."""
    for call in calls if isinstance(calls, list) else ():
        function = call.get("function") if isinstance(call, dict) else None
        arguments = function.get("arguments") if isinstance(function, dict) else None
        if arguments:
            return arguments if isinstance(arguments, str) else as_json(arguments)
    return ""


def _message_in(choice: Object) -> Object | str | None:
    """The message of a choice; a text for one that is nothing else, None where there is none."""
    places = (choice.get("message"), choice.get("delta"), choice.get("text"))
    return next((place for place in places if isinstance(place, dict | str)), None)


def _several(value: Any) -> Iterable[Any]:
    return value if isinstance(value, list) else (value,)


def _is_parts(value: Any) -> bool:
    """Whether a content is made of parts, not an answer in JSON that the server decoded."""
    if isinstance(value, dict):
        return value.get("type") in ("text", "output_text")
    return not value or any(isinstance(p, str) or (isinstance(p, dict) and "type" in p) for p in value)


def as_json(value: Any) -> str:
    """A value as JSON text; "" for what is nested too deep."""
    try:
        return json.dumps(value, ensure_ascii=False)
    except (RecursionError, ValueError):
        return ""


def _usage(value: Any) -> Object:
    return value if isinstance(value, dict) else {}


def _is_int(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def whole_characters(text: str) -> str:
    """Without halves of characters, which JSON allows and no file can hold."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return text
