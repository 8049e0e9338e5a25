"""Grounds and grain of photographs: seeded noise as small pictures, which the browser stretches.

The browser's own noise (feTurbulence) makes a photograph take about twice as long.
"""

from __future__ import annotations

import base64
import io

import numpy as np
from PIL import Image

GROUNDS = (
    ((3, 60), "#8a5a34", "#c79a6a"),
    ((120, 200), "#6d7178", "#9aa0a8"),
    ((4, 6), "#c9c2b6", "#e6e0d6"),
    ((14, 160), "#4a5a78", "#7b8caa"),
    ((150, 250), "#5e4a3c", "#8d7560"),
    ((3, 90), "#d3b58b", "#efdcb8"),
    ((6, 9), "#3c4148", "#6b727c"),
    ((50, 60), "#b9ad9a", "#d9d0c0"),
)
"""Waves of the noise across and down, two colours: wood, concrete, stone, cloth, carpet, pine, slate."""
_SIZE = (240, 420)
_GRAIN_PX = 220


def ground(kind: int, seed: int) -> str:
    """A data address of a ground's picture."""
    (across, down), dark, light = GROUNDS[kind]
    rng = np.random.default_rng(seed)
    height = np.zeros(_SIZE[::-1], dtype=np.float32)
    for octave in range(3):
        cells = (min(down << octave, _SIZE[1]), min(across << octave, _SIZE[0]))
        small = Image.fromarray(rng.random(cells, dtype=np.float32), "F")
        height += np.asarray(small.resize(_SIZE, Image.Resampling.BICUBIC)) / 2**octave
    height = (height - height.min()) / (height.max() - height.min())
    low, high = _rgb(dark), _rgb(light)
    return _address(Image.fromarray((low + height[..., None] * (high - low)).astype(np.uint8)))


def grain(seed: int) -> str:
    """A data address of a tile of sensor noise."""
    noise = np.random.default_rng(seed).normal(128, 44, (_GRAIN_PX, _GRAIN_PX))
    return _address(Image.fromarray(noise.clip(0, 255).astype(np.uint8)))


def _rgb(colour: str) -> np.ndarray:
    return np.array([int(colour[at : at + 2], 16) for at in (1, 3, 5)], dtype=np.float32)


def _address(image: Image.Image) -> str:
    stream = io.BytesIO()
    image.save(stream, "PNG", compress_level=1)
    return "data:image/png;base64," + base64.b64encode(stream.getvalue()).decode()
