"""Pictures that are written with places blurred: in a batch, the path of one has those places behind it."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import orjson
import polars as pl

from datakit.core.blur import BLUR, VERSION, Sides, blurred, boxes_by_image
from datakit.core.files import FileDigests
from datakit.core.image import read_header, save_upright
from datakit.core.record import digest

BLURRED = "\0blurred:"
"""Stands between a path and its places; no path holds it."""


def with_blurred(batch: pl.DataFrame) -> pl.DataFrame:
    """The records with the places behind the paths of pictures that are to be blurred."""
    if BLUR not in batch.columns or not (batch[BLUR].list.len() > 0).any():
        return batch
    rows = zip(batch["images"].to_list(), batch[BLUR].to_list(), strict=True)
    images = [_marked(paths, column) for paths, column in rows]
    return batch.with_columns(pl.Series("images", images, dtype=batch.schema["images"]))


def _marked(paths: list[str] | None, column: Any) -> list[str] | None:
    boxes = boxes_by_image(column)
    if not paths or not boxes:
        return paths
    return [
        f"{path}{BLURRED}{orjson.dumps(boxes[image]).decode()}" if image in boxes else path
        for image, path in enumerate(paths)
    ]


def source_of(path: str) -> str:
    """The path of the picture itself."""
    return path.partition(BLURRED)[0]


def content_of(path: str, files: FileDigests) -> str:
    """What decides the file that is written: the picture's content, and its places where it has some."""
    source, _, boxes = path.partition(BLURRED)
    sha256 = files.sha256(source)
    return digest([VERSION, sha256, boxes], size=32).hex() if boxes else sha256


def save_blurred(path: str, target: Path, *, max_pixels: int | None, memory_mb: int) -> Path:
    """The file written, as `save_upright` writes it. Raises ImageProblem."""
    source, _, text = path.partition(BLURRED)
    header = read_header(source)
    boxes: list[Sides] = [(left, top, right, bottom) for left, top, right, bottom in orjson.loads(text)]
    change = partial(blurred, boxes=boxes, size=(header.width, header.height))
    return save_upright(source, target, max_pixels=max_pixels, memory_mb=memory_mb, change=change)
