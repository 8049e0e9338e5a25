"""Boxes in the numbers that each family of Qwen-VL was trained on, and back to pixels of the picture.

| form | numbers | source |
|---|---|---|
| qwen2_vl | 0 to 1000 of each side, between special tokens | Qwen2-VL's paper (arXiv 2409.12191, 3.1) |
| qwen2_5_vl | pixels of the picture as the model sees it, JSON | QwenLM/Qwen3-VL issues 676 and 1161 |
| qwen3_vl | 0 to 1000 of each side, JSON | QwenLM/Qwen3-VL issues 1486 and 1623, cookbooks/2d_grounding |

Numbers are rounded and clamped as in qwen-vl-finetune/tools/process_bbox.ipynb of that repository, but for
the right and lower edge in pixels: they may be the side itself, which is where a box that ends with the
picture ends (the notebook takes one less, and loses up to a step there).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

from datakit.core.boxes import Box, Sides, Size
from datakit.core.pixels import (
    FAMILIES,
    TRAINER,
    Family,
    TrainerLimits,
    shrunk_size,
    smart_resize,
    trainer_size,
)

BoxForm = Literal["qwen2_vl", "qwen2_5_vl", "qwen3_vl"]
FORMS: tuple[BoxForm, ...] = ("qwen2_vl", "qwen2_5_vl", "qwen3_vl")
PARTS = 1000
"""Of a side, in the forms that are relative."""
Numbers = tuple[int, int, int, int]


@dataclass(frozen=True, slots=True)
class SeenPictures:
    """How pictures reach a model in training: what their boxes are counted in."""

    form: BoxForm
    family: Family
    """The processor's grid and limits."""
    trainer: TrainerLimits | None = TRAINER
    """The trainer's own limits; None where the processor alone resizes."""
    emitted_max_pixels: int | None = None
    """What the emitter scales pictures down to before; None where it leaves them."""

    @classmethod
    def by(cls, form: BoxForm, trainer: TrainerLimits | None = TRAINER) -> SeenPictures:
        """With the published limits of the form's family."""
        return cls(form, FAMILIES[form], trainer)

    @classmethod
    def of_document(cls, document: Mapping[str, Any]) -> SeenPictures:
        """What `document` wrote. Raises ValueError, KeyError or TypeError for what is none."""
        form, trainer, emitted = document["form"], document["trainer"], document["emitted_max_pixels"]
        if form not in FORMS:
            raise ValueError(f"no form of boxes is called {form!r}")
        limits = None if trainer is None else TrainerLimits(**trainer)
        return cls(form, Family(**document["family"]), limits, emitted)

    def document(self) -> dict[str, Any]:
        """All of it, for a file that says what the numbers of a build are."""
        return asdict(self)

    def size(self, size: Size) -> Size:
        """Width and height of a picture as the model sees it. Raises ValueError for one that is refused."""
        if self.emitted_max_pixels is not None:
            size = shrunk_size(*size, self.emitted_max_pixels)
        if self.trainer is not None:
            size = trainer_size(*size, self.trainer)
        return smart_resize(*size, self.family)

    def grid(self, size: Size) -> Size:
        """The largest numbers that boxes on a picture may have. Raises ValueError as `size` does."""
        return self.size(size) if self.form == "qwen2_5_vl" else (PARTS, PARTS)

    def numbers(self, sides: Sequence[float], size: Size) -> Numbers:
        """A box in pixels of a picture of this size, in the form's numbers.

        Each is within half a step of the true place; of a box thinner than a step, which would have no area,
        within one.
        """
        wide, high = self.grid(size)
        left, right = _span(sides[0], sides[2], size[0], wide)
        top, bottom = _span(sides[1], sides[3], size[1], high)
        return left, top, right, bottom

    def point(self, place: tuple[float, float], size: Size) -> tuple[int, int]:
        """A point in pixels of a picture of this size, in the form's numbers, within half a step."""
        across, down = (
            min(max(round(pixel / side * parts), 0), parts)
            for pixel, side, parts in zip(place, size, self.grid(size), strict=True)
        )
        return across, down

    def pixels(self, numbers: Sequence[float], size: Size) -> Sides:
        """The form's numbers as a box in pixels of a picture of this size, within the picture."""
        wide, high = self.grid(size)
        left, top, right, bottom = (
            min(max(number / side, 0.0), 1.0) * pixels
            for number, side, pixels in zip(numbers, (wide, high) * 2, size * 2, strict=True)
        )
        return left, top, right, bottom

    def written(self, boxes: Sequence[Box], sizes: Sequence[Size]) -> list[dict[str, object]]:
        """Boxes as the entries of an answer's JSON: `bbox_2d` in the form's numbers, and `label`."""
        return [
            {
                "bbox_2d": list(self.numbers(box.sides, sizes[box.image])),
                **({"label": box.name} if box.name else {}),
            }
            for box in boxes
        ]


def _span(start: float, end: float, pixels: int, parts: int) -> tuple[int, int]:
    """Where a side starts and ends, as whole numbers of `parts`."""
    first, last = start / pixels * parts, end / pixels * parts
    places = round(first), round(last)
    if places[0] == places[1]:  # thinner than a step
        places = math.floor(first), math.ceil(last)
    low, high = (min(max(place, 0), parts) for place in places)
    return low, high
