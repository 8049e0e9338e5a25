"""Chat completions, OpenAI's way to put questions, which most services speak; `chat_reply` reads them."""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING, Any

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
    if request.body:
        refused = {*left_out, *(("top_logprobs",) if "logprobs" in left_out else ())}
        body |= {name: value for name, value in request.body.items() if name not in refused}
        return body | ({"stream": True} if question.stream else {})
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


async def models_of(face: AsyncOpenAI) -> list[str]:
    """Names of the models that an endpoint lists; empty when it lists none."""
    from openai import OpenAIError

    try:
        models = await face.models.list(timeout=15)
    except (OpenAIError, AttributeError, TypeError, ValueError):
        return []  # the last three: the package makes no list of a body that is none, such as a proxy's page
    return sorted(str(model.id) for model in models.data)[:50]
