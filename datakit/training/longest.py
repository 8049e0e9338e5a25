"""The longest row of a build in tokens, for the memory plan: an upper bound, without opening a picture."""

from __future__ import annotations

import heapq
import math
from typing import Any

import orjson

from datakit.artifacts.build_folder import BuildFolder
from datakit.core.pixels import TRAINER
from datakit.core.qwen_models import chat_layout
from datakit.core.regular_files import regular
from datakit.core.tokens import TokenCounter

NARROW = 16
"""How long a picture is reckoned with, its short side being 1."""
_CANDIDATES = 16
"""Rows counted exactly: those of most bytes. A row outside them is shorter in all but odd scripts."""


def picture_tokens(max_pixels: int, token_px: int = 28) -> int:
    """The most tokens of a picture that the trainer has scaled to `max_pixels`, up to `NARROW`:1.

    The processor rounds each side to whole tokens, up to half a token more: (w + 1/2)(h + 1/2), w h = area.

    Examples:
        >>> picture_tokens(768 * 768)
        812
    """
    area = max_pixels / token_px**2
    sides = math.sqrt(area * NARROW) + math.sqrt(area / NARROW)
    return math.ceil(area + sides / 2 + 1 / 4)


def longest_row(build: BuildFolder, keys: dict[str, Any], token_px: int = 28) -> tuple[int, int]:
    """Tokens of the longest training row, and those of its pictures, as large as the pixel limit allows.

    A picture's token covers `token_px` pixels square.
    """
    most = picture_tokens(int(keys.get("image_max_pixels") or TRAINER.max_pixels), token_px) + 2
    lines: list[tuple[int, bytes]] = []
    for name in str(keys["dataset"]).split(","):
        with open(build.path / build.entries[name], "rb", opener=regular) as file:
            for line in file:  # one row a line, see emit.llamafactory
                heap = heapq.heappush if len(lines) < _CANDIDATES else heapq.heappushpop
                heap(lines, (len(line) + 4000 * line.count(b"<image>"), line))
    layout = chat_layout(str(keys.get("model_name_or_path", "")), keys.get("template"), build.path)
    counter = TokenCounter(template=layout)
    best = (0, 0)
    for _, line in lines:
        row = line.strip().rstrip(b",")
        if not row.startswith(b"{"):
            continue
        record = orjson.loads(row)
        images = most * len(record.get("images") or ())
        best = max(best, (counter.chat(record["messages"]).total + images, images))
    return best
