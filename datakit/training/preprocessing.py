"""How long the trainer prepares its rows before the first step, and how long its processes wait for that."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

from datakit.artifacts.emitted import Emitted, EmittedFile
from datakit.core.regular_files import regular

TEXT_S, IMAGE_S = 0.003, 0.17
"""Of one worker: for a row's texts, and for a picture of 1280 x 960 (LLaMA-Factory 0.9.5, 2026-11-24)."""
TORCH_S = 1800
"""How long torch's processes wait for each other by themselves; 4 workers prepare 42,000 pictures in it."""
_ALLOWANCE = 4
"""Times the reckoned time: for larger pictures, slow disks and cores that others use too."""
_ROUND_S = 600
_PLACE = b"<image>"
_CHUNK = 1 << 22


def prepared_in_s(folder: Path, emitted: Emitted, workers: int) -> float:
    """Seconds that one process needs for all rows of a build, those for validation among them."""
    rows = emitted.rows()
    images = sum(_images(folder / file.file, file) for file in emitted.files.values() if file.pictures)
    return (rows * TEXT_S + images * IMAGE_S) / max(1, workers)


def wait_for_rows(keys: dict[str, Any], seconds: float) -> tuple[int, str]:
    """`ddp_timeout` in seconds, and its reason in words. One that the keys hold stays."""
    minutes = max(1, math.ceil(seconds / 60))
    while_ = f"the others wait while the first process prepares the rows, which takes about {minutes:,} min"
    own = keys.get("ddp_timeout")
    if own is not None:
        short = " Warning: that is longer, so the training may end before its first step." * (own < seconds)
        return own, f"The recipe's own: {while_}.{short}"
    timeout = max(TORCH_S, math.ceil(_ALLOWANCE * seconds / _ROUND_S) * _ROUND_S)
    return timeout, f"In seconds: {while_}. torch alone waits {TORCH_S:,} and then ends the training."


def _images(path: Path, file: EmittedFile) -> int:
    """Pictures that the rows of a data file show; at least one a row."""
    if not path.is_file():  # of a build that holds the account alone
        return file.rows
    count, rest = 0, b""
    with open(path, "rb", opener=regular) as data:
        while chunk := data.read(_CHUNK):
            text = rest + chunk
            count += text.count(_PLACE)
            rest = text[len(text) - len(_PLACE) + 1 :]
    return max(file.rows, count)
