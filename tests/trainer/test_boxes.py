"""Boxes are counted in the picture that the model sees: after LLaMA-Factory's resize and the processor's.

10,000 random sizes and boxes for each family. What is written is what the trainer's and the processor's own
sizes give, and comes back to the original picture within half a step of the written numbers, which is within
1 px wherever a step is at most 2 px wide.
"""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import Any

import pytest

from datakit.core.box_forms import FORMS, BoxForm, SeenPictures
from datakit.core.pixels import FAMILIES, TrainerLimits

plugins: Any = pytest.importorskip("llamafactory.data.mm_plugin")
pytestmark = pytest.mark.trainer

COUNT = 10_000


@dataclass
class Sized:
    """A picture as the trainer's resize looks at it: a size, and another when it is resized."""

    width: int
    height: int
    mode: str = "RGB"

    def resize(self, size: tuple[int, int]) -> Sized:
        return Sized(*size)


def really_seen(form: BoxForm, size: tuple[int, int], limits: TrainerLimits) -> tuple[int, int]:
    """Width and height after the trainer's and the processor's own code."""
    from transformers.models.qwen2_vl.image_processing_qwen2_vl import smart_resize

    plugin = object.__new__(plugins.Qwen2VLPlugin)
    picture = plugin._preprocess_image(
        Sized(*size), image_max_pixels=limits.max_pixels, image_min_pixels=limits.min_pixels
    )
    family = FAMILIES[form]
    high, wide = smart_resize(
        picture.height, picture.width, family.factor, family.min_pixels, family.max_pixels
    )
    return wide, high


@pytest.mark.parametrize("form", FORMS)
def test_boxes_are_counted_in_the_picture_that_the_model_sees(form: BoxForm) -> None:
    rng, within_a_pixel, fine = random.Random(form), 0, 0
    for _ in range(COUNT):
        size = int(10 ** rng.uniform(1.5, 3.7)), int(10 ** rng.uniform(1.5, 3.7))
        limits = TrainerLimits(rng.choice([589_824, 262_144, 1_003_520, 12_845_056]))
        seen = SeenPictures(form, FAMILIES[form], limits)
        wide, high = really_seen(form, size, limits)
        assert seen.size(size) == (wide, high)
        grid = (wide, high) if form == "qwen2_5_vl" else (1000, 1000)
        left, right = sorted(rng.uniform(0, size[0]) for _ in range(2))
        top, bottom = sorted(rng.uniform(0, size[1]) for _ in range(2))
        sides = (left, top, right, bottom)
        numbers = seen.numbers(sides, size)
        for at, (side, number, back) in enumerate(
            zip(sides, numbers, seen.pixels(numbers, size), strict=True)
        ):
            step = size[at % 2] / grid[at % 2]
            thin = abs(sides[at % 2 + 2] - sides[at % 2]) < step
            assert thin or number == min(max(round(side / size[at % 2] * grid[at % 2]), 0), grid[at % 2])
            assert abs(side - back) <= (1.0 if thin else 0.5) * step + 1e-6
            if step <= 1 or (step <= 2 and not thin):
                fine += 1
                within_a_pixel += abs(side - back) <= 1 + 1e-6
    assert within_a_pixel == fine > COUNT
