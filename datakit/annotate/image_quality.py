"""annotate.image_quality: which of a record's pictures are too poor to learn from, and why."""

from __future__ import annotations

from typing import Any, ClassVar

from pydantic import Field

from datakit.annotate._picture_measures import Measures, measure
from datakit.core.image import ImageProblem
from datakit.core.outcome import Done, Outcome, Rejected
from datakit.core.picture_faults import FAULTS, MEASURES, PICTURE_FAULTS, QUALITY_COLUMNS
from datakit.core.step_context import StepContext
from datakit.core.transform import Annotator, Columns, Executor, Row, RowWorker


class ImageQuality(Annotator):
    """Columns `picture_faults`, what is wrong with a record's pictures, and `picture_measures`, how it shows.

    No record is dropped: the verdict and the card name the poor ones, `datakit review --poor-pictures` shows
    them, and `guard.where` drops them if somebody wants that.

    - `picture_faults`: list of the words below, each once, over all pictures of the record; empty where
      nothing is wrong, null for a record without picture.
    - `picture_measures`: per picture what limits are compared with. `width`, `height` (pixels, upright);
      `darkest`, `brightest`, grey (0 to 255) that a two-hundredth of the pixels lie below and above;
      `sharpness` (0 to 1), the share of its levels that a steep edge takes in one pixel, null for a picture
      without edges; `filled` (0 to 1), the share of its places of 16 x 16 pixels that show something; `bars`
      (0 to 1), the share of its width or height that plain bars at two opposite sides take; `inset` (0 to 1),
      the share of its height along which the sides of a picture within it stand, or all of that picture's
      where its upper and lower end show besides.

    The words: `dark`, `light`, `blurry`, `low_information`, `odd_size`, `framed` (letterboxed, or a
    screenshot inside another one).

    White shop pages and dark themes are neither light nor dark, for each has some of the other in it: the
    ends of the levels count, not their mean. A page that is all but blank is `low_information` and no more,
    white or black. Pictures of more than 4 million pixels are measured at that size.
    Changed limits are applied to stored measures, without decoding again. A picture that does not decode is
    rejected.
    """

    version: ClassVar[int] = 2
    needs_images: ClassVar[bool] = True
    executor: ClassVar[Executor] = "process"

    dark_below: float = Field(default=96, ge=0, le=255)
    """`dark`: a picture whose `brightest` is below this level."""
    light_above: float = Field(default=160, ge=0, le=255)
    """`light`: a picture whose `darkest` is above this level."""
    blurry_below: float = Field(default=0.35, ge=0, le=1)
    """`blurry`: a picture whose `sharpness` is below this share. X-rays and other pictures that are soft by
    nature want less."""
    filled_below: float = Field(default=0.02, ge=0, le=1)
    """`low_information`: a picture that shows something on less than this share of its places."""
    min_side_px: int = Field(default=200, ge=1)
    """`odd_size`: a picture with a shorter side than this."""
    max_ratio: float = Field(default=4.0, ge=1)
    """`odd_size`: a picture that is more than this many times as long as wide, or as wide as long. Trainers
    scale it down as a whole, so that its text becomes too small to read."""
    bars_above: float = Field(default=0.15, ge=0, le=1)
    """`framed`: a picture of which bars take more than this share. White cards on the page of an app leave
    up to 0.07."""
    inset_above: float = Field(default=0.5, ge=0, le=1)
    """`framed`: a picture with one within it that is higher than this share of the height. Columns of an
    app's page reach 0.47."""

    def inputs(self, context: StepContext) -> tuple[str, ...]:
        return ("images",)

    def outputs(self, context: StepContext) -> Columns:
        return QUALITY_COLUMNS

    def start(self, context: StepContext) -> RowWorker:
        return _Measurer(context.run.image_memory_mb)

    def columns(self, raw: Any, row: Row, context: StepContext) -> Row | Rejected:
        if not raw:
            return dict.fromkeys(QUALITY_COLUMNS)
        found = {fault for measures in raw for fault in self._faults(measures)}
        return {FAULTS: [fault for fault in PICTURE_FAULTS if fault in found], MEASURES: raw}

    def _faults(self, of: Measures) -> set[str]:
        shorter, longer = sorted((of["width"], of["height"]))
        is_blank = of["filled"] < self.filled_below
        holds = {
            "dark": of["brightest"] < self.dark_below and not is_blank,
            "light": of["darkest"] > self.light_above and not is_blank,
            "blurry": of["sharpness"] is not None and of["sharpness"] < self.blurry_below,
            "low_information": is_blank,
            "odd_size": shorter < self.min_side_px or longer > self.max_ratio * shorter,
            "framed": of["bars"] > self.bars_above or of["inset"] > self.inset_above,
        }
        return {fault for fault, is_so in holds.items() if is_so}


class _Measurer(RowWorker):
    def __init__(self, memory_mb: int) -> None:
        self._memory_mb = memory_mb

    def answer(self, row: Row) -> Outcome:
        try:
            return Done([measure(path, self._memory_mb) for path in row["images"]])
        except ImageProblem as problem:
            return Rejected(problem.reason, problem.detail)
