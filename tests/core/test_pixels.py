"""Picture sizes and tokens: the figures of the trainer's and the processor's own code.

LLaMA-Factory 0.9.5 and transformers 5.6 gave the same sizes on 300,000 random ones (2026-11-24).
"""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from datakit.core.pixels import FAMILIES, TRAINER, TrainerLimits, image_tokens, smart_resize, trainer_size

QWEN2, QWEN3 = FAMILIES["qwen2_5_vl"], FAMILIES["qwen3_vl"]
SMALL = TrainerLimits(max_pixels=512 * 512)
SIDES = st.integers(1, 8_000)


@pytest.mark.parametrize(
    ("size", "native", "trained", "small"),
    [((1080, 2340), 3276, 760, 324), ((4000, 3000), 15301, 768, 336), ((640, 428), 345, 345, 330)],
)
def test_tokens_of_known_pictures(size: tuple[int, int], native: int, trained: int, small: int) -> None:
    assert image_tokens(*size, QWEN2, None) == native
    assert image_tokens(*size, QWEN2) == trained
    assert image_tokens(*size, QWEN2, SMALL) == small


def test_trainer_cuts_to_whole_pixels_and_never_rounds() -> None:
    assert trainer_size(1080, 2340) == (521, 1130)  # 521.75 x 1130.46
    assert trainer_size(20, 20) == (32, 32)
    assert trainer_size(768, 768) == (768, 768)


def test_trainer_keeps_sides_of_28_and_squeezes_long_pictures() -> None:
    assert trainer_size(600, 9) == (600, 28)
    assert trainer_size(20_000, 28) == (28 * 180, 28)
    assert trainer_size(28, 20_000) == (28, 28 * 180)


def test_a_side_that_shrinks_to_nothing_is_refused_as_by_the_trainer() -> None:
    with pytest.raises(ValueError, match="shrink"):
        trainer_size(30_000, 1, TrainerLimits(max_pixels=10_000))


def test_sides_round_half_to_even() -> None:
    assert smart_resize(70, 98, QWEN2) == (56, 112)  # 2.5 and 3.5 tokens
    assert smart_resize(80 * 9, 112 * 9, QWEN3) == (704, 1024)  # 22.5 and 31.5 tokens


def test_limits_of_the_families_differ() -> None:
    assert smart_resize(56, 56, QWEN2) == (56, 56)
    assert smart_resize(56, 56, QWEN3) == (256, 256)
    assert image_tokens(20, 20, QWEN3) == 64


def test_processor_refuses_long_pictures_that_the_trainer_squeezes() -> None:
    with pytest.raises(ValueError, match="aspect"):
        image_tokens(10_000, 40, QWEN2, None)
    assert image_tokens(10_000, 40, QWEN2) > 0


def test_a_server_may_be_given_other_limits() -> None:
    served = QWEN2.within(max_pixels=589_824)
    assert image_tokens(1080, 2340, served, None) == 720
    assert QWEN2.within() == QWEN2


@given(SIDES, SIDES, st.sampled_from([TRAINER, SMALL, TrainerLimits(12_544, 3_136)]))
def test_sizes_fit_the_grid_and_the_limits(width: int, height: int, limits: TrainerLimits) -> None:
    try:
        wide, high = trainer_size(width, height, limits)
    except ValueError:
        assert max(width, height) / min(width, height) > 1_000
        return
    assert min(wide, high) >= 28
    assert max(wide, high) / min(wide, high) <= 200
    for family in (QWEN2, QWEN3):
        grid = smart_resize(wide, high, family)
        assert all(side > 0 and side % family.factor == 0 for side in grid)
        assert family.min_pixels <= grid[0] * grid[1] <= family.max_pixels
