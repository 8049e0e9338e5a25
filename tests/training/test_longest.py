"""The tokens of the longest row, reckoned without opening a picture."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from datakit.core.pixels import FAMILIES, TrainerLimits, image_tokens
from datakit.training.longest import NARROW, picture_tokens


@pytest.mark.parametrize("name", ["qwen2_5_vl", "qwen3_vl"])
@given(
    short=st.integers(28, 3000),
    ratio=st.floats(1, NARROW),
    limit=st.integers(100_000, 2_000_000),
    turned=st.booleans(),
)
def test_no_picture_has_more_tokens_than_reckoned(
    name: str, short: int, ratio: float, limit: int, turned: bool
) -> None:
    family = FAMILIES[name]
    size = (short, int(short * ratio))
    tokens = image_tokens(*(reversed(size) if turned else size), family, TrainerLimits(max_pixels=limit))
    assert tokens <= picture_tokens(limit, family.factor)
