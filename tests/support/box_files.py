"""Pictures with boxes, in files that readers read."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from PIL import Image

WIDE = (400, 200)
EXIF_ORIENTATION = 0x0112


def picture(folder: Path, name: str, size: tuple[int, int] = WIDE, orientation: int = 1) -> None:
    image = Image.new("RGB", size, "white")
    exif = image.getexif()
    exif[EXIF_ORIENTATION] = orientation
    image.save(folder / name, exif=exif)


def rows(folder: Path, *rows: dict[str, Any]) -> None:
    picture(folder, "1.jpg")
    picture(folder, "2.jpg", (100, 100))
    text = "".join(json.dumps({"image": "1.jpg", **row}, ensure_ascii=False) + "\n" for row in rows)
    (folder / "rows.jsonl").write_text(text, "utf-8")


def box(*sides: float, label: str | None = None, text: str | None = None, image: int = 0) -> dict[str, Any]:
    return {"image": image, "box": [float(side) for side in sides], "label": label, "text": text}


SAME = [box(40, 20, 200, 100, label="结算按钮")]
