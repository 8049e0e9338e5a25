"""Parts of a turn's content as OpenAI, Qwen, Hugging Face and Anthropic write them: texts and pictures."""

from __future__ import annotations

from typing import Any

_PICTURES = ("image", "image_url", "input_image")
_TEXTS = ("text", "input_text", "output_text")
_PLACES = ("image", "image_url", "path", "url", "file", "value", "data", "source", "content")
"""Where a picture part names its picture."""


def is_picture(part: Any) -> bool:
    """Whether a part is a picture, by its `type` or, without one, by naming one."""
    if not isinstance(part, dict):
        return False
    kind = part.get("type")
    if kind is None:
        return any(part.get(name) is not None for name in _PICTURES) and part.get("text") is None
    return kind in _PICTURES


def picture_of(part: dict[str, Any]) -> Any:
    """What a picture part names: a path, a data URI, bytes or `{bytes, path}`; None for a mere place.

    Qwen writes `{"type": "image", "image": path}`, OpenAI
    `{"type": "image_url", "image_url": {"url": path}}`, Anthropic
    `{"type": "image", "source": {"media_type": …, "data": base64}}`.
    """
    picture = next((part[name] for name in _PLACES if part.get(name) is not None), None)
    if isinstance(picture, dict):
        if picture.get("url") is not None:
            picture = picture["url"]
        elif isinstance(picture.get("data"), str):
            picture = f"data:{picture.get('media_type', 'image')};base64,{picture['data']}"
    return picture or None


def text_of(part: Any) -> str | None:
    """The text of a part: a plain string, or an object that has one; None for anything else."""
    if isinstance(part, str):
        return part
    if not isinstance(part, dict) or part.get("type", "text") not in _TEXTS:
        return None
    texts = [part[name] for name in ("text", "value", "content") if part.get(name) is not None]
    return texts[0] if texts and isinstance(texts[0], str) else None
