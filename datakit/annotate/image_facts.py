"""annotate.image_facts: size, content hash and looks of a record's pictures."""

from __future__ import annotations

import hashlib
from typing import Any, ClassVar

import polars as pl

from datakit.core.image import ImageProblem
from datakit.core.image_pass import are_whole, image_facts, other_keys
from datakit.core.outcome import Done, Outcome, Rejected
from datakit.core.step_context import StepContext
from datakit.core.transform import Annotator, Columns, Executor, Row, RowWorker

LOOKS = {
    "pixels": pl.String(),
    "phash": pl.String(),
    "colours": pl.String(),
    "detail": pl.Float64(),
    "flat": pl.Float64(),
    "brightness": pl.Float64(),
    "contrast": pl.Float64(),
}


class ImageFacts(Annotator):
    """Columns `width`, `height`, `bytes`, `sha256`, `phash` and `looks` of a record's pictures.

    Null for a record without picture.

    - `width`, `height`: pixels of the first picture, upright.
    - `bytes`: size of all picture files together.
    - `sha256`: hex digest of the file; of several pictures, the digest of their digests in order.
    - `phash`: 64 hex digits (256 bits) per picture, one picture after the other.
    - `looks`: per picture what curate.duplicates compares, and its quality. `pixels`, a digest that is equal
      for files which differ in metadata alone; `phash`; `colours`, the mean red, green and blue of 8 x 8
      places; `detail`, the share of the picture that is neither plain nor evenly shaded, and `flat`, the
      share of its two commonest greys (0 to 1); `brightness` and `contrast`, mean and standard deviation of
      grey (0 to 255).

    All of it comes from one read and one decode of the file, which guard.image shares. JPEG is decoded at a
    fraction of its size, to its last byte all the same.

    The perceptual hash says which of the 256 lowest frequencies of the grey picture (64 x 64, DCT-II) are
    above their median (Zauner 2010, "Implementation and Benchmarking of Perceptual Image Hash Functions",
    with 16 x 16 instead of 8 x 8 frequencies). Measured 2026-11-26 on scripts/ocr_baseline: copies saved
    again (JPEG of quality 50 to 95, WebP) or resized to 0.33 to 1.3 times the size are 0 to 8 bits apart,
    screens that show one greeting card 4 to 10, all other pairs 12 or more. With the usual 64 bits, copies
    are up to 6 bits apart and so are 94 of the 200 screens from another one.

    Results that datakit 0.1 stored stay: their `phash` was made of the whole picture (0 to 6 bits away from
    today's), and `looks` is null, by which curate.duplicates keeps the two apart.
    """

    reading: ClassVar[int] = 2
    needs_images: ClassVar[bool] = True
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
            "looks": pl.List(pl.Struct(LOOKS)),
        }

    def start(self, context: StepContext) -> RowWorker:
        return _Reader(context.run.image_memory_mb)

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
            "looks": [{name: facts[name] for name in LOOKS} for facts in raw] if are_whole(raw) else None,
        }

    def other_keys(self, row: Row, context: StepContext) -> list[bytes]:
        return other_keys(self.name(), self.key_fields(row, context)["images"])

    def take_over(self, raw: Any) -> Done | None:
        return Done(raw) if are_whole(raw) else None


def _digest_of(digests: list[str]) -> str:
    return hashlib.sha256("".join(digests).encode()).hexdigest()


class _Reader(RowWorker):
    def __init__(self, memory_mb: int) -> None:
        self._memory_mb = memory_mb

    def answer(self, row: Row) -> Outcome:
        try:
            return Done([image_facts(path, self._memory_mb) for path in row["images"]])
        except ImageProblem as problem:
            return Rejected(problem.reason, problem.detail)
