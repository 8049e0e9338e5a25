"""annotate.image_facts: size, content hash and perceptual hash of a record's pictures."""

from __future__ import annotations

import hashlib
from functools import cache
from typing import Any, ClassVar

import numpy as np
import polars as pl
from PIL import Image

from datakit.core.image import ImageProblem, load_rgb, read_header
from datakit.core.outcome import Done, Outcome, Rejected
from datakit.core.step_context import StepContext
from datakit.core.transform import Annotator, Columns, Executor, Row, RowWorker

HASH_SIDE = 16
"""The hash has HASH_SIDE squared bits."""
_GREY_SIDE = 64
_DECODED_SIDE_PX = 2048
"""Larger pictures are hashed from a reduced one: JPEG decodes straight to it, in a fraction of the time."""


class ImageFacts(Annotator):
    """Columns `width`, `height`, `bytes`, `sha256` and `phash` of a record's pictures; nulls without picture.

    - `width`, `height`: pixels of the first picture, upright.
    - `bytes`: size of all picture files together.
    - `sha256`: hex digest of the file; of several pictures, the digest of their digests in order.
    - `phash`: 64 hex digits (256 bits) per picture, one picture after the other. Similar pictures differ in
      few bits, so records with equally many pictures are compared by Hamming distance.

    The perceptual hash says which of the 256 lowest frequencies of the grey picture (64 x 64, DCT-II) are
    above their median (Zauner 2010, "Implementation and Benchmarking of Perceptual Image Hash Functions",
    with 16 x 16 instead of 8 x 8 frequencies). Measured 2026-11-24 on the 200 screens in examples/ecom:
    copies saved again (JPEG of quality 50 to 95, WebP) or resized to 0.33 to 1.3 times the size are 0 to 8
    bits apart, three screens that show one greeting card 4 to 6 bits, all other pairs 12 or more. With the
    usual 64 bits, copies are up to 6 bits apart and so are 94 of the 200 screens from another one.
    """

    executor: ClassVar[Executor] = "process"

    def inputs(self, context: StepContext) -> tuple[str, ...]:
        return ("images",)

    def outputs(self, context: StepContext) -> Columns:
        return {
            "width": pl.Int64(),
            "height": pl.Int64(),
            "bytes": pl.Int64(),
            "sha256": pl.String(),
            "phash": pl.String(),
        }

    def start(self, context: StepContext) -> RowWorker:
        return _Reader(context)

    def columns(self, raw: Any, row: Row, context: StepContext) -> Row | Rejected:
        if not raw:
            return dict.fromkeys(self.outputs(context))
        digests = [facts["sha256"] for facts in raw]
        return {
            "width": raw[0]["width"],
            "height": raw[0]["height"],
            "bytes": sum(facts["bytes"] for facts in raw),
            "sha256": digests[0] if len(digests) == 1 else _digest_of(digests),
            "phash": "".join(facts["phash"] for facts in raw),
        }


def _digest_of(digests: list[str]) -> str:
    return hashlib.sha256("".join(digests).encode()).hexdigest()


class _Reader(RowWorker):
    def __init__(self, context: StepContext) -> None:
        self._context = context

    def answer(self, row: Row) -> Outcome:
        try:
            return Done([self._facts(path) for path in row["images"]])
        except ImageProblem as problem:
            return Rejected(problem.reason, problem.detail)

    def _facts(self, path: str) -> dict[str, Any]:
        header = read_header(path)
        return {
            "width": header.width,
            "height": header.height,
            "bytes": header.bytes,
            "sha256": self._context.files.sha256(path),
            "phash": perceptual_hash(load_rgb(path, max_side_px=_DECODED_SIDE_PX)),
        }


def perceptual_hash(image: Image.Image) -> str:
    """256 bits as 64 hex digits: which low frequencies of the grey picture are above their median."""
    small = image.convert("L").resize((_GREY_SIDE, _GREY_SIDE), Image.Resampling.LANCZOS)
    waves = _cosines()
    frequencies = waves @ np.asarray(small, dtype=np.float64) @ waves.T
    # Rounded, because a plain area gives zeros with noise in the last digits, which differs between machines.
    low = np.round(frequencies.ravel(), 3)
    bits = low > np.median(low[1:])  # the first is the mean brightness, far from all others
    return np.packbits(bits).tobytes().hex()


@cache
def _cosines() -> np.ndarray[Any, np.dtype[np.float64]]:
    """The first rows of the DCT-II matrix, unscaled."""
    rows, places = np.arange(HASH_SIDE)[:, None], np.arange(_GREY_SIDE)[None, :]
    return np.cos(np.pi * (2 * places + 1) * rows / (2 * _GREY_SIDE))
