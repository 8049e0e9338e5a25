"""People's own data, small: pictures in folders, tables, chats and boxes as the field's tools write them."""

from __future__ import annotations

import random
from pathlib import Path

from PIL import Image, ImageDraw


def drawn(path: Path, seed: int = 0, size: int = 64) -> Path:
    """A picture of a few rectangles, another for each seed; its path."""
    path.parent.mkdir(parents=True, exist_ok=True)
    chance = random.Random(seed)
    picture = Image.new("RGB", (size, size), (chance.randrange(256), 200, chance.randrange(256)))
    pen = ImageDraw.Draw(picture)
    for _ in range(6):
        left, top = chance.randrange(size - 12), chance.randrange(size - 12)
        colour = tuple(chance.randrange(256) for _ in range(3))
        pen.rectangle((left, top, left + chance.randrange(4, 12), top + chance.randrange(4, 12)), fill=colour)
    picture.save(path)
    return path
