"""Picture sizes and picture tokens as the trainer and the model make them, from width and height alone.

In training a picture is resized twice: by LLaMA-Factory to its own limits, then by the model's processor to
a grid. At serving only the processor works. Read in LLaMA-Factory 0.9.5 (`Qwen2VLPlugin._preprocess_image`)
and transformers 5.6 (`smart_resize`), and compared with both by tests/trainer/test_check_differential.py.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from functools import lru_cache

MAX_ASPECT = 200
"""The processor refuses pictures that are longer than this many times their width, or wider."""
_SQUEEZED_ASPECT = 180
_MIN_SIDE_PX = 28
FRAME_TOKENS = 2
"""`<|vision_start|>` and `<|vision_end|>` around each picture; not part of the counts here."""


@dataclass(frozen=True, slots=True)
class Family:
    """The grid and the pixel limits of a model family's processor."""

    factor: int
    """Pixels of a token's side: patch size times merge size."""
    min_pixels: int
    max_pixels: int

    def within(self, *, min_pixels: int | None = None, max_pixels: int | None = None) -> Family:
        """The same grid with other limits, as a server gets them through its processor's settings."""
        return replace(
            self,
            min_pixels=self.min_pixels if min_pixels is None else min_pixels,
            max_pixels=self.max_pixels if max_pixels is None else max_pixels,
        )


FAMILIES = {
    "qwen2_vl": Family(28, 3_136, 12_845_056),
    "qwen2_5_vl": Family(28, 3_136, 12_845_056),
    "qwen3_vl": Family(32, 65_536, 16_777_216),
}
"""Family -> what its published preprocessor_config.json says."""


@dataclass(frozen=True, slots=True)
class TrainerLimits:
    """LLaMA-Factory's `image_max_pixels` and `image_min_pixels`, with its defaults."""

    max_pixels: int = 589_824
    min_pixels: int = 1_024


TRAINER = TrainerLimits()


def trainer_size(width: int, height: int, limits: TrainerLimits = TRAINER) -> tuple[int, int]:
    """Width and height after LLaMA-Factory's own resize, before the model's.

    The size is that of the stored pixels: the trainer applies no EXIF rotation. Sides are cut to whole
    pixels (never rounded), a side under 28 becomes 28, and a picture of an aspect over 200 is squeezed to
    180. Raises ValueError where the trainer fails: a side that shrinks to nothing.
    """
    if width * height > limits.max_pixels:
        width, height = _scaled(width, height, math.sqrt(limits.max_pixels / (width * height)))
    if width * height < limits.min_pixels:
        width, height = _scaled(width, height, math.sqrt(limits.min_pixels / (width * height)))
    width, height = max(width, _MIN_SIDE_PX), max(height, _MIN_SIDE_PX)
    if width / height > MAX_ASPECT:
        width = height * _SQUEEZED_ASPECT
    if height / width > MAX_ASPECT:
        height = width * _SQUEEZED_ASPECT
    return width, height


def _scaled(width: int, height: int, by: float) -> tuple[int, int]:
    size = int(width * by), int(height * by)
    if 0 in size:
        raise ValueError(f"{width}x{height} pixels shrink to {size[0]}x{size[1]}")
    return size


def shrunk_size(width: int, height: int, max_pixels: int) -> tuple[int, int]:
    """Width and height of a picture that an emitter scales down to at most so many pixels in all."""
    if width * height <= max_pixels:
        return width, height
    scale = math.sqrt(max_pixels / (width * height))
    return scaled_down(width, scale), scaled_down(height, scale)


def scaled_down(side: int, scale: float) -> int:
    """A side of a picture that is scaled down, in whole pixels."""
    return max(1, math.floor(side * scale + 1e-6))


def smart_resize(width: int, height: int, family: Family) -> tuple[int, int]:
    """Width and height after the processor's resize: multiples of the family's factor.

    Sides round half to even. Raises ValueError for an aspect over 200, as the processor does.
    """
    if max(width, height) / min(width, height) > MAX_ASPECT:
        raise ValueError(f"{width}x{height} has an aspect over {MAX_ASPECT}")
    factor = family.factor
    wide, high = round(width / factor) * factor, round(height / factor) * factor
    if wide * high > family.max_pixels:
        shrink = math.sqrt((height * width) / family.max_pixels)
        wide = max(factor, math.floor(width / shrink / factor) * factor)
        high = max(factor, math.floor(height / shrink / factor) * factor)
    elif wide * high < family.min_pixels:
        grow = math.sqrt(family.min_pixels / (height * width))
        wide = math.ceil(width * grow / factor) * factor
        high = math.ceil(height * grow / factor) * factor
    return wide, high


@lru_cache(maxsize=1 << 16)
def image_tokens(width: int, height: int, family: Family, trainer: TrainerLimits | None = TRAINER) -> int:
    """Tokens of a picture: after both resizes (training), or after the processor's alone (`trainer=None`).

    The two frame tokens around the picture come on top. Raises ValueError where the picture is refused.
    """
    if trainer is not None:
        width, height = trainer_size(width, height, trainer)
    wide, high = smart_resize(width, height, family)
    return (wide // family.factor) * (high // family.factor)
