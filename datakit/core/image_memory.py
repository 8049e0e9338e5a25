"""What decoding a picture takes, reckoned from its header before any pixel is decoded.

A file of some kilobytes can claim a picture of gigabytes, so the claim decides. Reckoned are what the decoder
of the format holds, the picture as Pillow keeps it, and the copies that the caller makes of it.
tests/core/test_image_memory.py measures each kind in a process of its own and holds it against this.
"""

from __future__ import annotations

from contextlib import suppress
from typing import IO, TYPE_CHECKING, Any

if TYPE_CHECKING:
    from PIL import Image  # settings know this module, and no command needs Pillow to start

RGB_BYTES = 4
"""Of a pixel in Pillow's memory, for all modes of three and four channels."""
WORKER_MB = 400
"""What a worker holds besides a picture: Python, packages and an OCR engine (310 MB, measured 2026-11-26)."""
DEFAULT_MB = 1100
"""Of one picture, where no recipe says how much a worker may hold."""
_SMALL_MODES = {"1": 1, "L": 1, "P": 1, "I;16": 2, "I;16B": 2, "I;16L": 2, "I;16N": 2}
_DECODER_BYTES = {"WEBP": 16, "AVIF": 24, "PPM": 8, "BMP": 4, "GIF": 8}
"""Bytes a pixel that a decoder holds besides the picture: frames, canvases, the picture as plain bytes."""
_WIDTH, _HEIGHT, _BITS, _SAMPLES, _ROWS, _TILE_WIDTH, _TILE_HEIGHT = 256, 257, 258, 277, 278, 322, 323
"""Tags of a TIFF."""
_TAG_BYTES = 48
"""Of one number of a TIFF's tag, once Pillow has read it."""
_START_OF_SCAN, _END = 0xDA, 0xD9


def picture_mb(worker_memory_mb: int) -> int:
    """What one picture may take where a worker may hold `worker_memory_mb`, in MB of 1,000,000 bytes."""
    return max(worker_memory_mb - WORKER_MB, 100)


def worker_mb(needed: int) -> int:
    """The `worker_memory_mb` that lets a picture in whose decoding takes `needed` bytes."""
    return -(-needed // 1_000_000) + WORKER_MB


def decoding_bytes(image: Image.Image, file_bytes: int, copies: int) -> int:
    """Bytes that it takes at the most to decode an opened picture and to make `copies` of it.

    `copies` are bytes a pixel of the picture as it will be decoded: for JPEG, after `draft`. Call this before
    `draft` for the claim of the file, or after it for the smaller picture that is decoded then.
    """
    pixels = image.width * image.height
    kept = _SMALL_MODES.get(image.mode, RGB_BYTES)
    if image.has_transparency_data:
        copies = max(copies, 4 * RGB_BYTES)  # as RGBA, the white ground, both laid together, and as RGB
    decoder = pixels * _DECODER_BYTES.get(str(image.format), 0)
    if image.format == "TIFF":
        decoder = _tiff_bytes(image, file_bytes)
    return file_bytes + decoder + pixels * (kept + copies)


def coefficient_bytes(image: Image.Image) -> int:
    """Bytes that an opened JPEG of several scans takes besides its pixels, at whatever scale it is decoded.

    Such a file (a progressive one, or with a scan for each colour) is held whole as coefficients of 2 bytes.
    """
    file: IO[bytes] | None = getattr(image, "fp", None)
    if image.format != "JPEG" or file is None:
        return 0
    layers = int(getattr(image, "layers", 3))
    if not image.info.get("progressive") and _first_scan(file) >= layers:
        return 0
    return 2 * layers * image.width * image.height


def _first_scan(file: IO[bytes]) -> int:
    """How many colours the first scan of a JPEG holds; 0 where none is found. The file stays where it is."""
    at = file.tell()
    try:
        file.seek(2)
        while (head := file.read(4)) and len(head) == 4 and head[0] == 0xFF and head[1] != _END:
            if head[1] == 0xFF:  # fill bytes
                file.seek(-3, 1)
                continue
            if head[1] == _START_OF_SCAN:
                return (file.read(1) or b"\0")[0]
            file.seek(max(int.from_bytes(head[2:], "big") - 2, 0), 1)
        return 0
    finally:
        file.seek(at)


def _tiff_bytes(image: Image.Image, file_bytes: int) -> int:
    """A strip or tile, whole and unpacked, the picture turned upright, and tags, which list every strip."""
    tags: Any = getattr(image, "tag_v2", {})
    samples = max(1, _number(tags, _SAMPLES, 1))
    with suppress(TypeError, ValueError):
        samples = max(samples, len(tags.get(_BITS, ())))
    bits = _number(tags, _BITS, 8)
    width, height = image.width, image.height
    if _TILE_WIDTH in tags:
        width, height = _number(tags, _TILE_WIDTH, width), _number(tags, _TILE_HEIGHT, height)
    else:
        height = min(_number(tags, _ROWS, height), height)
    block = width * height * samples * max(bits, 8) // 8
    turned = image.width * image.height * _SMALL_MODES.get(image.mode, RGB_BYTES)
    return 2 * block + turned + min(_tag_numbers(tags), file_bytes) * _TAG_BYTES


def _number(tags: Any, tag: int, otherwise: int) -> int:
    """The largest number of a tag."""
    try:
        value = tags.get(tag, otherwise)
        return max(int(number) for number in (value if isinstance(value, tuple) else (value,)))
    except (TypeError, ValueError, OverflowError):
        return otherwise


def _tag_numbers(tags: Any) -> int:
    """How many bytes the tags hold that are not made to numbers yet."""
    return sum(len(data) for data in getattr(tags, "_tagdata", {}).values()) // 2
