"""What a picture looks like, as numbers: colours and edges by place, from a reduced decode."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from PIL import Image

from datakit.core.image import ImageProblem, load_rgb

_SIDE = 64
_COLOURS = 8
_EDGES = 8
_ANGLES = 6
SIZE = _COLOURS**2 * 3 + _EDGES**2 * _ANGLES + 64 + 2
"""Numbers per picture."""


def picture_features(images: Sequence[Sequence[str]], memory_mb: int) -> tuple[npt.NDArray[np.float32], int]:
    """(n, SIZE) per record, the mean of its pictures; NaN for a record without one. And how many pictures
    cannot be read."""
    out = np.full((len(images), SIZE), np.nan, dtype=np.float32)
    broken = 0
    for row, paths in enumerate(images):
        seen = []
        for path in paths:
            try:
                seen.append(_features(load_rgb(path, max_side_px=4 * _SIDE, memory_mb=memory_mb)))
            except ImageProblem:
                broken += 1
        if seen:
            out[row] = np.mean(seen, axis=0)
    return out, broken


def _features(image: Image.Image) -> npt.NDArray[np.float32]:
    """Mean colours of 8 x 8 places, edges of 8 x 8 places by direction, shares of 64 colours, shape."""
    small = np.asarray(image.resize((_SIDE, _SIDE), Image.Resampling.BOX), dtype=np.float32) / 255
    step = _SIDE // _COLOURS
    colours = small.reshape(_COLOURS, step, _COLOURS, step, 3).mean(axis=(1, 3))
    down, across = np.gradient(small.mean(axis=2))
    strength = np.hypot(down, across)
    angle = ((np.arctan2(down, across) % np.pi) / np.pi * _ANGLES).astype(np.int64) % _ANGLES
    place = np.arange(_SIDE) * _EDGES // _SIDE
    bins = (place[:, None] * _EDGES + place[None, :]) * _ANGLES + angle
    edges = np.bincount(bins.ravel(), strength.ravel(), minlength=_EDGES**2 * _ANGLES)
    levels = np.minimum((small * 4).astype(np.int64), 3)
    shades = np.bincount((levels @ np.array([16, 4, 1])).ravel(), minlength=64) / _SIDE**2
    shape = [image.height / (image.width + image.height), float(strength.mean())]
    return np.concatenate([colours.ravel(), np.sqrt(edges), np.sqrt(shades), shape]).astype(np.float32)
