"""Records for tests of emitters: one picture, two, none, repeats, general data, awkward files and texts."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import polars as pl
from PIL import Image

from datakit.core.outcome import Reject
from datakit.core.record import COLUMNS
from datakit.core.settings import RunSettings
from datakit.core.step_context import StepContext
from datakit.core.transform import Artifact, Emitter
from datakit.testing import HeldRecords

LINE = pl.Struct({"text": pl.String, "score": pl.Float64, "box": pl.List(pl.Float64), "image": pl.UInt32})
SCHEMA: dict[str, Any] = {
    **COLUMNS,
    "ocr": pl.List(LINE),
    "reason": pl.String(),
    "@3.annotate.ocr": pl.Binary(),
}
HARD = "含“引号”、\n换行、＜image＞、<|im_end|>、\\反斜线和\u2028"


def picture(path: Path, size: tuple[int, int] = (60, 90), **options: Any) -> Path:
    """A picture file whose colour follows from its name."""
    path.parent.mkdir(parents=True, exist_ok=True)
    shade = int(hashlib.sha256(path.name.encode()).hexdigest()[:2], 16)
    Image.new(options.pop("mode", "RGB"), size, options.pop("colour", (shade, 90, 60))).save(path, **options)
    return path


def record(id_: str, *images: Path, **values: Any) -> dict[str, Any]:
    """A record of the part train."""
    return {
        **dict.fromkeys(SCHEMA),
        "id": id_,
        "source_file": "/home/someone/train.jsonl",
        "source_line": 1,
        "images": [str(path) for path in images],
        "label": "购物车页面",
        "messages": [
            {"role": "user", "content": f"{'<image>' * len(images)}这是什么“页面”？\n{id_}"},
            {"role": "assistant", "content": "购物车页面"},
        ],
        "split": "train",
        "repeat": 1,
        "set": "",
    } | values


def several(folder: Path) -> list[dict[str, Any]]:
    """All kinds of records together: the first is text only, so that types cannot be guessed from it."""
    one, two = picture(folder / "一 号.jpg"), picture(folder / "2.png", (200, 40))
    lying = Image.Exif()
    lying[0x0112] = 6
    turned = picture(folder / "turned.jpg", (120, 80), exif=lying)
    inside = [
        {"role": "system", "content": "你是专家。"},
        {"role": "user", "content": f"比较<image>和<image>。{HARD}"},
        {"role": "assistant", "content": "第一张"},
        {"role": "user", "content": "为什么？"},
        {"role": "assistant", "content": "有按钮"},
    ]
    return [
        record("text"),
        record("plain", one, repeat=3, reason="有结算按钮"),
        record("dialogue", one, two, messages=inside),
        record("turned", turned, split="val"),
        record("val-text", split="val"),
        record("general", set="general", label=None),
    ]


def tools_in(folder: Path) -> StepContext:
    """A project in a folder."""
    return StepContext(base=folder, project=folder, name="shop", run=RunSettings(workers=1))


def emit(
    emitter: Emitter,
    folder: Path,
    rows: list[dict[str, Any]],
    left_out: list[Reject] | None = None,
    further: Mapping[str, Any] = {},
) -> tuple[Path, list[Artifact]]:
    """The build's folder and what the emitter says it wrote; nothing hidden is left behind.

    Every record is written unless `left_out` takes those that are not. `further`: columns' types.
    """
    target = folder / "build"
    target.mkdir()
    frame = pl.DataFrame(rows, schema={**SCHEMA, **further})
    context = tools_in(folder)
    artifacts = emitter.write(HeldRecords(frame), target, context)
    assert left_out is not None or context.left_out == []
    if left_out is not None:
        left_out += context.left_out
    assert [path for path in target.rglob(".*") if path.name.startswith(".")] == []
    assert {item.path for item in artifacts} <= {
        path.relative_to(target).as_posix() for path in target.rglob("*")
    }
    return target, artifacts
