"""All that is known of a picture file, from one read and one decode.

Header, content hash, whole-file verification, what the picture looks like and how good it is come from the
same bytes. JPEG is decoded at the least of its own scales (1, 1/2, 1/4, 1/8) that leaves REDUCED_SIDE_PX: the
file is still read to its last byte, only the inverse transform works on fewer frequencies. So what whole
decoding calls broken is broken here too, at two to three times the speed (scripts/bench_images.py).
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from functools import cache
from typing import Any

import numpy as np
from PIL import Image

from datakit.core.image import check_memory, header_of, opened, read_bytes, rgb, upright
from datakit.core.image_memory import DEFAULT_MB, RGB_BYTES, coefficient_bytes
from datakit.core.record import record_key, step_print

REDUCED_SIDE_PX = 90
"""Least shorter side of a reduced decode: 1/8 for screens of 720 pixels and more. Hashes of copies (of other
JPEG quality, WebP, 0.33 to 1.3 times the size) are 8 bits apart at the most, as after whole decoding, and as
at 128 and 160 (68 pictures, 2026-11-26)."""
HASH_SIDE = 16
"""The hash has HASH_SIDE squared bits."""
GRID = 8
"""Colours are those of GRID by GRID places. Copies differ in each by at most 15 levels of 255, a T-shirt in
red and in orange by 61 (same pictures)."""
_SIDE = 64
_ROWS = 256
_STEP = 6
"""Levels of 255 by which a place must differ from the line through its neighbours to count as detail. Traces
of JPEG compression on plain and evenly shaded ground stay below."""
_NEAR = 2
"""Levels by which compression moves a plain grey."""

Box = tuple[float, float, float, float]
Facts = dict[str, Any]

STEPS = ("guard.image", "annotate.image_facts")
"""Steps whose stored results hold these facts; each takes over those of the other."""


def image_facts(path: str, memory_mb: int = DEFAULT_MB) -> Facts:
    """The facts of one file; raises ImageProblem for one that is not a whole picture, or takes more memory.

    - `width`, `height` (pixels, upright), `bytes`, `sha256` of the file.
    - `pixels`: digest of the decoded picture, for JPEG of the coded one: equal for files that differ in
      metadata only, and in other lossless formats of the same picture.
    - `phash`: 64 hex digits, see `perceptual_hash`.
    - `colours`: hex digits of GRID x GRID x 3 mean levels of red, green and blue, row by row.
    - `detail`: share (0 to 1) of a 64 x 64 grid on which the grey picture is neither plain nor evenly shaded:
      0 for plain pictures and gradients, up to 0.21 for a drawn shape, mostly above 0.35 for screens.
    - `flat`: share of the same grid that has one of the picture's two commonest greys (within 2 levels of
      255): above 0.87 for a drawn shape on plain ground, 0.1 to 0.85 for screens and photographs.
    - `brightness`, `contrast`: mean and standard deviation of the grey picture, levels of 255.
    """
    data = read_bytes(path, memory_mb)
    with opened(path, data) as image:
        header = header_of(image, len(data))
        held, size = coefficient_bytes(image), image.size
        scale = _reduce(image)
        is_rgb = image.mode == "RGB" and not image.has_transparency_data
        copies = 0 if is_rgb else RGB_BYTES
        check_memory(path, image, memory_mb, copies=copies, held=held, size=size)
        image.load()
        picture = image if is_rgb else rgb(image)
        box: Box = (0, 0, *image.size)
        if scale > 1:  # libjpeg rounds the reduced size up: its last column and row reach beyond the picture
            box = (0, 0, header.stored_width / scale, header.stored_height / scale)
        small = upright(_small(picture, box), header.exif_orientation)
        coded = _coded_picture(data) if header.format == "JPEG" else _rows(picture)
        pixels = _digest((*image.size, header.exif_orientation, header.format == "JPEG"), coded)
    grey = np.asarray(small.convert("L"))
    return {
        "width": header.width,
        "height": header.height,
        "bytes": header.bytes,
        "sha256": hashlib.sha256(data).hexdigest(),
        "pixels": pixels,
        "phash": _hash_of(grey),
        "colours": _colours(small),
        "detail": round(_detail(grey), 4),
        "flat": round(_flat(grey), 4),
        "brightness": round(float(grey.mean()), 1),
        "contrast": round(float(grey.std()), 1),
    }


def other_keys(step: str, digests: list[str]) -> list[bytes]:
    """Keys under which the other STEPS store the facts of a record with these pictures (sha256)."""
    return [record_key(step_print(other, 1, {}), {"images": digests}) for other in STEPS if other != step]


def are_whole(raw: Any) -> bool:
    """Whether a stored result holds the facts of every picture; those of datakit 0.1 hold less."""
    return isinstance(raw, list) and all("colours" in facts for facts in raw)


def perceptual_hash(image: Image.Image) -> str:
    """256 bits as 64 hex digits: which low frequencies of the grey picture are above their median."""
    return _hash_of(np.asarray(_small(image, (0, 0, *image.size)).convert("L")))


def _reduce(image: Image.Image) -> int:
    """Sets a JPEG to be decoded at a fraction of its size; gives the divisor."""
    before = image.size
    drafted = image.draft("RGB", (REDUCED_SIDE_PX, REDUCED_SIDE_PX))
    return round(before[0] / image.width) if drafted else 1


def _small(image: Image.Image, box: Box) -> Image.Image:
    """The part in `box`, on the grid that everything is measured on."""
    return image.resize((_SIDE, _SIDE), Image.Resampling.LANCZOS, box=box, reducing_gap=3.0)


def _colours(small: Image.Image) -> str:
    side = _SIDE // GRID
    places = np.asarray(small, dtype=np.float32).reshape(GRID, side, GRID, side, 3)
    levels: np.ndarray[Any, np.dtype[np.uint8]] = np.round(places.mean(axis=(1, 3))).astype(np.uint8)
    return levels.tobytes().hex()


def _hash_of(grey: np.ndarray[Any, np.dtype[np.uint8]]) -> str:
    waves = _cosines()
    frequencies = waves @ grey.astype(np.float64) @ waves.T
    # Rounded, because a plain area gives zeros with noise in the last digits, which differs between machines.
    low = np.round(frequencies.ravel(), 3)
    bits = low > np.median(low[1:])  # the first is the mean brightness, far from all others
    return np.packbits(bits).tobytes().hex()


@cache
def _cosines() -> np.ndarray[Any, np.dtype[np.float64]]:
    """The first rows of the DCT-II matrix, unscaled."""
    rows, places = np.arange(HASH_SIDE)[:, None], np.arange(_SIDE)[None, :]
    return np.cos(np.pi * (2 * places + 1) * rows / (2 * _SIDE))


def _detail(grey: np.ndarray[Any, np.dtype[np.uint8]]) -> float:
    """Share of the places where brightness bends, across or down: zero on plain ground and in gradients."""
    levels = grey.astype(np.int16)
    across = np.abs(2 * levels[1:-1, 1:-1] - levels[1:-1, :-2] - levels[1:-1, 2:])
    down = np.abs(2 * levels[1:-1, 1:-1] - levels[:-2, 1:-1] - levels[2:, 1:-1])
    return float((across + down > _STEP).mean())


def _flat(grey: np.ndarray[Any, np.dtype[np.uint8]]) -> float:
    """Share of the two commonest greys, each with its neighbours."""
    counts, share = np.bincount(grey.ravel(), minlength=256), 0
    for _ in range(2):
        near = np.convolve(counts, np.ones(2 * _NEAR + 1, dtype=np.int64), "same")
        top = int(near.argmax())
        share += int(near[top])
        counts[max(top - _NEAR, 0) : top + _NEAR + 1] = 0
    return share / grey.size


def _rows(picture: Image.Image) -> Iterator[bytes]:
    """The bytes of a picture, some rows at a time: as a whole they would be there three times."""
    for top in range(0, picture.height, _ROWS):
        yield picture.crop((0, top, picture.width, min(top + _ROWS, picture.height))).tobytes()


def _digest(kind: Any, parts: Iterable[bytes | memoryview]) -> str:
    state = hashlib.sha256(repr(kind).encode())
    for part in parts:
        state.update(part)
    return state.hexdigest()[:32]


def _coded_picture(data: bytes) -> list[memoryview]:
    """The segments of a JPEG file that decide its pixels: all but metadata and comments."""
    view, kept, at = memoryview(data), [], 2
    while at + 4 <= len(data) and data[at] == 0xFF and data[at + 1] != 0xDA:
        end = at + 2 + int.from_bytes(data[at + 2 : at + 4], "big")
        # APP14 (0xEE) says how the colours are coded; the other APPn and comments say nothing of pixels.
        if data[at + 1] == 0xEE or not (0xE0 <= data[at + 1] <= 0xEF or data[at + 1] == 0xFE):
            kept.append(view[at:end])
        at = end
    return [*kept, view[at:]]
