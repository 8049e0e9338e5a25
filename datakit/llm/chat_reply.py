"""The body of a chat completion: an answer, or the fault that it tells of. Works on JSON alone."""

from __future__ import annotations

from typing import Any

from datakit.core.message_text import readable
from datakit.llm import chat_answer
from datakit.llm._faults import SAID_200, Fault, fault_within
from datakit.llm.answer import Answer


def decode(data: bytes) -> Answer | Fault:
    """The answer in the body of a 200, however far the server bends the format; else a fault."""
    try:
        value = _value_of(data)
    except (TypeError, AttributeError, LookupError, ValueError):
        value = None
    if isinstance(value, Fault):
        return value
    answer = chat_answer.read(value)
    if answer is not None:
        return answer
    if isinstance(value, dict) and value.get("error"):
        return _fault_within(value, data)
    start = readable(data)[:120]
    return Fault("again", "body_malformed", f"{SAID_200} with no completion: {start!r}")


def _value_of(data: bytes) -> Any:
    """The JSON of a body; a stream of events as one completion."""
    try:
        return chat_answer.parse(data)
    except ValueError:
        return _joined(data)


def _joined(data: bytes) -> dict[str, Any] | Fault:
    """A stream of events as one completion. Raises ValueError when it ends too soon; LookupError or TypeError
    when it is something else."""
    message = dict.fromkeys(("content", "reasoning", "refusal"), "")
    whole: dict[str, Any] = {}
    tokens: list[Any] = []
    finish_reason = None
    for line in data.removeprefix(b"\xef\xbb\xbf").splitlines():
        event = line.removeprefix(b"data:").strip()
        if not line.startswith(b"data:") or event == b"[DONE]":
            continue
        chunk = chat_answer.parse(event)
        if chunk.get("error"):
            return _fault_within(chunk, event)
        whole |= {name: chunk[name] for name in ("model", "usage") if chunk.get(name)}
        for choice in chunk.get("choices") or ():
            for name, text in chat_answer.spoken(choice).items():
                message[name] += text
            found = choice.get("logprobs")
            given = found.get("content") if isinstance(found, dict) else None
            tokens += given if isinstance(given, list) else ()
            finish_reason = choice.get("finish_reason") or finish_reason
    if finish_reason is None:
        raise ValueError("the stream ends before the answer does")
    logprobs = {"content": tokens} if tokens else None
    return {**whole, "choices": [{"message": message, "finish_reason": finish_reason, "logprobs": logprobs}]}


def _fault_within(chunk: dict[str, Any], event: bytes) -> Fault:
    """What an error in a body of 200 means; its code may be a status."""
    error = chunk["error"]
    code = chat_answer.count(error.get("code")) if isinstance(error, dict) else None
    return fault_within(code, event)
