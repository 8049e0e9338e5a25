"""Pictures count by each provider's rule."""

from __future__ import annotations

import pytest

from datakit.llm.image_tokens import picture_tokens


@pytest.mark.parametrize(
    ("model", "width", "height", "tokens"),
    [
        # OpenAI's own examples: 1024 x 1024 makes 4 tiles, 2048 x 4096 makes 6 tiles.
        ("gpt-4o", 1024, 1024, 85 + 4 * 170),
        ("gpt-4o", 2048, 4096, 85 + 6 * 170),
        ("gpt-4o-2024-08-06", 512, 512, 85 + 170),
        ("gpt-4o-mini", 1024, 1024, 2833 + 4 * 5667),
        ("gpt-4.1", 512, 513, 85 + 2 * 170),
        # 1024 x 1024 makes 1,024 patches; 1800 x 2400 is shrunk to 1,452.
        ("gpt-4.1-mini", 1024, 1024, 1659),
        ("gpt-4.1-nano", 1800, 2400, 3572),
        # Qwen: squares of 28 or 32 pixels, and two frame tokens.
        ("qwen2.5-vl-72b-instruct", 1120, 896, 40 * 32 + 2),
        ("Qwen/Qwen3-VL-8B-Instruct", 1280, 960, 40 * 30 + 2),
        # The model behind a gateway's name.
        ("openai/gpt-4o-mini", 1024, 1024, 2833 + 4 * 5667),
        ("openai/gpt-4.1-mini:nitro", 1024, 1024, 1659),
        ("gpt-4o-mini-latest", 1024, 1024, 2833 + 4 * 5667),
        ("my-own-model", 280, 280, 100 + 2),
        ("my-own-model", 10_000, 10, 2),
    ],
)
def test_tokens_of_a_picture(model: str, width: int, height: int, tokens: int) -> None:
    assert picture_tokens(model, width, height) == tokens
