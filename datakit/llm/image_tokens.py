"""How many input tokens a picture counts for, by each provider's rule."""

from __future__ import annotations

import math
from dataclasses import dataclass

from datakit.core.pixels import FAMILIES, FRAME_TOKENS, image_tokens
from datakit.llm.prices import family_of


@dataclass(frozen=True, slots=True)
class _Tiles:
    """OpenAI's rule for larger models, at `detail: high`: fit into 2048 x 2048, bring the shorter side down
    to 768, count tiles of 512 x 512 (platform.openai.com/docs/guides/images-vision, read 2026-06)."""

    base: int
    tile: int

    def tokens(self, width: int, height: int) -> int:
        scale = min(1.0, 2048 / max(width, height))
        scale *= min(1.0, 768 / (min(width, height) * scale))
        wide, high = math.ceil(width * scale / 512 - 1e-9), math.ceil(height * scale / 512 - 1e-9)
        return self.base + self.tile * wide * high


@dataclass(frozen=True, slots=True)
class _Patches:
    """OpenAI's rule for its small models: patches of 32 x 32, at most 1,536, times a factor of the model."""

    factor: float
    most: int = 1536

    def tokens(self, width: int, height: int) -> int:
        count = math.ceil(width / 32) * math.ceil(height / 32)
        if count > self.most:
            shrink = math.sqrt(32 * 32 * self.most / (width * height))
            wide, high = width * shrink / 32, height * shrink / 32
            shrink *= min(math.floor(wide) / wide, math.floor(high) / high)
            count = math.ceil(width * shrink / 32 - 1e-9) * math.ceil(height * shrink / 32 - 1e-9)
        return math.ceil(min(count, self.most) * self.factor)


@dataclass(frozen=True, slots=True)
class _Grid:
    """Qwen's rule: sides rounded to multiples of 28 (of 32 from Qwen3-VL on), a token for each square.

    Servers have limits of their own; pictures are scaled to `llm.max_image_pixels` before they are sent.
    """

    family: str

    def tokens(self, width: int, height: int) -> int:
        try:
            return FRAME_TOKENS + image_tokens(width, height, FAMILIES[self.family], None)
        except ValueError:  # an aspect over 200: the server will refuse it
            return FRAME_TOKENS


_OPENAI: dict[str, _Tiles | _Patches] = {
    "gpt-4o": _Tiles(85, 170),
    "gpt-4o-mini": _Tiles(2833, 5667),
    "gpt-4.1": _Tiles(85, 170),
    "gpt-4.1-mini": _Patches(1.62),
    "gpt-4.1-nano": _Patches(2.46),
    "gpt-5": _Tiles(70, 140),
    "gpt-5-mini": _Patches(1.62),
    "gpt-5-nano": _Patches(2.46),
}


def picture_tokens(model: str, width: int, height: int) -> int:
    """Input tokens of one picture of this size, as it is sent."""
    return _rule(model).tokens(max(width, 1), max(height, 1))


def _rule(model: str) -> _Tiles | _Patches | _Grid:
    rule = _OPENAI.get(family_of(model.partition(":")[0]))  # OpenRouter's `:free` and the like
    if rule is not None:
        return rule
    return _Grid("qwen3_vl" if "qwen3" in model.lower() else "qwen2_5_vl")
