"""Boxes in the numbers of each family, and back: the sizes are those of the trainer and the real processor.

seen_sizes.json was written by LLaMA-Factory 0.9.5 and transformers 5.6: form, width, height, the limit,
and what the model sees. tests/trainer/test_boxes.py compares with them directly.
"""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from datakit.core.box_forms import FORMS, BoxForm, SeenPictures
from datakit.core.boxes import Box
from datakit.core.pixels import FAMILIES, TrainerLimits

ROWS = json.loads(Path(__file__).with_name("seen_sizes.json").read_bytes())
SIDES = st.integers(30, 6_000)
SHARES = st.floats(0, 1, allow_nan=False)


def seen(form: BoxForm, most: int = 589_824, emitted: int | None = None) -> SeenPictures:
    return SeenPictures(form, FAMILIES[form], TrainerLimits(most), emitted)


@pytest.mark.parametrize("form", FORMS)
def test_sizes_are_those_of_the_trainer_and_the_processor(form: BoxForm) -> None:
    rows = [row for row in ROWS if row[0] == form]
    assert len(rows) == 100
    for _, width, height, most, *size in rows:
        assert list(seen(form, most).size((width, height))) == size


def test_numbers_of_a_known_picture() -> None:
    size, sides = (1080, 2340), (108.0, 234.0, 540.0, 2340.0)  # seen as 532 x 1120 by Qwen2.5-VL
    assert seen("qwen2_vl").numbers(sides, size) == (100, 100, 500, 1000)
    assert seen("qwen3_vl").numbers(sides, size) == (100, 100, 500, 1000)
    assert seen("qwen2_5_vl").size(size) == (532, 1120)
    assert seen("qwen2_5_vl").numbers(sides, size) == (53, 112, 266, 1120)
    assert seen("qwen2_5_vl").pixels((53, 112, 266, 1120), size) == pytest.approx(
        (107.6, 234, 540, 2340), abs=0.01
    )


@given(
    form=st.sampled_from(FORMS),
    width=SIDES,
    height=SIDES,
    across=st.tuples(SHARES, SHARES),
    down=st.tuples(SHARES, SHARES),
)
def test_a_box_comes_back_within_half_a_step(
    form: BoxForm, width: int, height: int, across: tuple[float, float], down: tuple[float, float]
) -> None:
    (left, right), (top, bottom) = sorted(across), sorted(down)
    if right - left < 1e-3 or bottom - top < 1e-3:
        return
    forms, size = seen(form), (width, height)
    sides = (left * width, top * height, right * width, bottom * height)
    numbers = forms.numbers(sides, size)
    assert numbers[0] < numbers[2]
    assert numbers[1] < numbers[3]
    back = forms.pixels(numbers, size)
    for at, (side, other) in enumerate(zip(sides, back, strict=True)):
        step = size[at % 2] / forms.grid(size)[at % 2]
        thin = abs(sides[at % 2] - sides[at % 2 + 2]) <= step
        assert abs(side - other) <= (1 if thin else 0.5) * step + 1e-6


def test_a_box_thinner_than_a_step_keeps_an_area() -> None:
    assert seen("qwen3_vl").numbers((1000.0, 10.0, 1001.0, 14.0), (5000, 5000)) == (200, 2, 201, 3)
    assert seen("qwen3_vl").numbers((4999.0, 4999.0, 5000.0, 5000.0), (5000, 5000)) == (999, 999, 1000, 1000)


def test_numbers_outside_are_clamped_to_the_picture() -> None:
    assert seen("qwen2_vl").numbers((-5.0, 0.0, 120.0, 50.0), (100, 50)) == (0, 0, 1000, 1000)
    assert seen("qwen2_vl").pixels((-10, 0, 1200, 500), (100, 50)) == (0, 0, 100, 25)


def test_pictures_that_the_emitter_scales_down_are_counted_as_they_are_then() -> None:
    size = (4000, 3000)
    assert seen("qwen2_5_vl", 589_824, 200_704).size(size) == (504, 392)
    assert seen("qwen2_5_vl", 589_824).size(size) == (896, 672)


def test_entries_hold_the_name_where_there_is_one() -> None:
    boxes = [Box(0, (0, 0, 50, 50), "按钮"), Box(1, (0, 0, 50, 50))]
    assert seen("qwen3_vl").written(boxes, [(100, 100), (50, 100)]) == [
        {"bbox_2d": [0, 0, 500, 500], "label": "按钮"},
        {"bbox_2d": [0, 0, 1000, 500]},
    ]
