"""The bytes of a request: pictures are read here, and live no longer than the call."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from typing import Any

import orjson

from datakit.core.image import ImageProblem, jpeg_within, read_header
from datakit.llm.request import Request, parts_of

_PIXELS_BEGIN = b"\xff\xda"

Turn = dict[str, Any]
"""A message of the chat, as the endpoint takes it."""


def body_of(
    request: Request, options: dict[str, Any], structured: str, max_pixels: int, further: Sequence[Turn] = ()
) -> bytes:
    """The JSON body: model and limits of `options`, the question, then further turns (for a repair).

    Raises ImageProblem.
    """
    system = [{"role": "system", "content": request.system}] if request.system else []
    body: dict[str, Any] = {**options, "messages": [*system, _question(request, max_pixels), *further]}
    if structured == "json_schema":
        asked = request.schema
        schema = {"name": asked.title, "strict": True, "schema": asked.json_schema()}
        body["response_format"] = {"type": "json_schema", "json_schema": schema}
    elif structured == "json_object":
        body["response_format"] = {"type": "json_object"}
    return orjson.dumps(body)


def _question(request: Request, max_pixels: int) -> Turn:
    """The user's turn, pictures as data addresses."""
    if not request.images:
        return {"role": "user", "content": request.text}
    content = [
        {"type": "text", "text": part}
        if isinstance(part, str)
        else _picture(request.images[part], max_pixels)
        for part in parts_of(request)
    ]
    return {"role": "user", "content": content}


def _picture(path: str, max_pixels: int) -> Turn:
    data = base64.b64encode(picture_bytes(path, max_pixels)).decode("ascii")
    return {"type": "image_url", "image_url": {"url": f"data:image/jpeg;base64,{data}"}}


def picture_bytes(path: str, max_pixels: int) -> bytes:
    """The picture as JPEG within `max_pixels`, upright, without metadata. Raises ImageProblem.

    A JPEG that is all that already is sent byte for byte: decoding and encoding it would cost 15 times the
    CPU of the whole call.
    """
    if fits_as_it_is(path, max_pixels):
        try:
            with open(path, "rb") as file:
                data = file.read()
        except OSError as error:
            raise ImageProblem("image_no_access", f"{path}: {error.strerror}") from error
        head = data[: data.find(_PIXELS_BEGIN)]  # of an EXIF preview, at the latest, which tells as well
        private = b"Exif\0" in head or b"ns.adobe.com" in head
        if not private and data.rstrip(b"\0").endswith(b"\xff\xd9"):
            return data
    return jpeg_within(path, max_pixels)


def fits_as_it_is(path: str, max_pixels: int) -> bool:
    """Whether a file may be sent without decoding it, by its header. Raises ImageProblem."""
    header = read_header(path)
    fits = header.width * header.height <= max_pixels
    return fits and header.format == "JPEG" and header.mode in ("RGB", "L") and header.exif_orientation == 1
