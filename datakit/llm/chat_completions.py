"""Chat completions, OpenAI's way to put questions: bodies, answers, streams. Most services speak it."""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING, Any

import orjson

from datakit.llm import chat_answer
from datakit.llm._faults import Fault, fault_of
from datakit.llm.answer import Answer
from datakit.llm.images import picture_bytes
from datakit.llm.provider import Question
from datakit.llm.request import Turn, parts_of

if TYPE_CHECKING:
    from openai import AsyncOpenAI


def encode(question: Question) -> dict[str, Any]:
    """The body: model and limits, the question, further turns, the answer's form. Raises ImageProblem."""
    request, left_out = question.request, question.left_out
    limit = "max_completion_tokens" if "max_tokens" in left_out else "max_tokens"
    body: dict[str, Any] = {"model": question.model, limit: request.max_tokens}
    if "temperature" not in left_out:
        body["temperature"] = request.temperature
    system = [{"role": "system", "content": request.system}] if request.system else []
    body["messages"] = [*system, _user_turn(question), *question.further]
    if question.structured == "json_schema":
        schema = {"name": request.schema.title, "strict": True, "schema": request.schema.json_schema()}
        body["response_format"] = {"type": "json_schema", "json_schema": schema}
    elif question.structured == "json_object":
        body["response_format"] = {"type": "json_object"}
    if question.stream:
        body["stream"] = True
        if "stream_options" not in left_out:
            body["stream_options"] = {"include_usage": True}
    return body


def _user_turn(question: Question) -> Turn:
    """The user's turn, pictures as data addresses."""
    request = question.request
    if not request.images:
        return {"role": "user", "content": request.text}
    content = [
        {"type": "text", "text": part}
        if isinstance(part, str)
        else _picture(request.images[part], question.max_image_pixels)
        for part in parts_of(request)
    ]
    return {"role": "user", "content": content}


def _picture(path: str, max_pixels: int) -> Turn:
    data = base64.b64encode(picture_bytes(path, max_pixels)).decode("ascii")
    return {"type": "image_url", "image_url": {"url": f"data:image/jpeg;base64,{data}"}}


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
    start = data[:120].decode("utf-8", "replace")
    return Fault("again", "body_malformed", f"the endpoint answered 200 with no completion: {start!r}")


def _value_of(data: bytes) -> Any:
    """The JSON of a body; a stream of events as one completion."""
    try:
        value = orjson.loads(data)
        return chat_answer.parse(data) if isinstance(value, str) else value
    except ValueError:
        pass
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
            choice_logprobs = choice.get("logprobs")
            entries = choice_logprobs.get("content") if isinstance(choice_logprobs, dict) else None
            tokens += entries if isinstance(entries, list) else ()
            finish_reason = choice.get("finish_reason") or finish_reason
    if finish_reason is None:
        raise ValueError("the stream ends before the answer does")
    logprobs = {"content": tokens} if tokens else None
    return {**whole, "choices": [{"message": message, "finish_reason": finish_reason, "logprobs": logprobs}]}


def _fault_within(chunk: dict[str, Any], event: bytes) -> Fault:
    """What an error in a body of 200 means: its code may be a status, else the server failed."""
    error = chunk["error"]
    code = chat_answer.count(error.get("code")) if isinstance(error, dict) else None
    return fault_of(code if code is not None and 400 <= code < 600 else 500, {}, event)


def headers_of(face: AsyncOpenAI) -> dict[str, str]:
    """The headers that the `openai` package sends, the key among them."""
    headers = {**face.default_headers, **face.auth_headers}
    return {name: value for name, value in headers.items() if isinstance(value, str)}


async def models_of(face: AsyncOpenAI) -> list[str]:
    """Names of the models that an endpoint lists; empty when it lists none."""
    from openai import OpenAIError

    try:
        models = await face.models.list(timeout=15)
    except (OpenAIError, AttributeError, TypeError, ValueError):
        return []  # the last three: the package makes no list of a body that is none, such as a proxy's page
    return sorted(str(model.id) for model in models.data)[:50]
