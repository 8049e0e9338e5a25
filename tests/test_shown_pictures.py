"""What emitters blur is blurred wherever people look at the record: card, review, exports, notebook."""

from __future__ import annotations

import base64
import io
import json
import re
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from PIL import Image, ImageDraw

from datakit.artifacts.build_folder import BuildFolder
from datakit.cards.write import write_card
from datakit.core.blur import BLUR_COLUMN
from datakit.reviewing.chosen import Choice, chosen
from datakit.reviewing.exchange import export
from datakit.reviewing.records import PageRecords
from datakit.reviewing.writing import write_folder, write_page
from datakit.shown_records import table
from tests.support.toy_builds import Toy

SECRET = (20.0, 30.0, 220.0, 50.0)
"""Where the stripes are that nobody may tell apart."""


@pytest.fixture
def blurred_build(tmp_path: Path) -> BuildFolder:
    """Two records for another trainer: the only pictures that there are of them are the originals."""
    toy = Toy(tmp_path, emit="parquet: {}")
    for name in ("a.png", "b.png"):
        picture = Image.new("RGB", (240, 160), "white" if name == "a.png" else "yellow")
        draw = ImageDraw.Draw(picture)
        for left in range(20, 220, 8):
            draw.rectangle((left, 30, left + 3, 49), fill="black")
        picture.save(tmp_path / name)
    build = toy.build([{"image": name, "label": "甲", "text": name} for name in ("a.png", "b.png")])
    boxes = pl.Series("blur", [[{"image": 0, "box": list(SECRET)}]] * 2, dtype=BLUR_COLUMN)
    path = build.path / "records.parquet"
    pl.read_parquet(path).with_columns(boxes).write_parquet(path)
    return BuildFolder.open(build.path)


def shows_stripes(data: bytes) -> bool:
    """Whether black and white alternate where the stripes were."""
    picture = Image.open(io.BytesIO(data)).convert("L")
    scale = picture.width / 240
    row = np.asarray(picture).astype(int)[round(40 * scale), round(24 * scale) : round(216 * scale)]
    return int(row.max() - row.min()) > 60


def pictures_in(text: str) -> list[bytes]:
    """The pictures of a page, as data URIs or as bare base64."""
    found = re.findall(r"((?:UklGR|/9j/|iVBORw0K)[A-Za-z0-9+/=]{100,})", text)
    return [base64.b64decode(one) for one in found]


def pictures_under(folder: Path) -> list[bytes]:
    """The files that are pictures."""
    files = [path.read_bytes() for path in folder.rglob("*") if path.is_file()]
    return [data for data in files if data[:4] in (b"RIFF", b"\x89PNG") or data[:2] == b"\xff\xd8"]


@pytest.mark.fault(
    "guard.personal_data blurs lines of pictures, and only emitters other than LLaMA-Factory's write them",
    "card, review, its exports and the notebook show the pictures blurred too, never the originals",
    kind="pages",
)
def test_no_page_shows_what_emitters_blur(blurred_build: BuildFolder, tmp_path: Path) -> None:
    write_card(blurred_build.path, tmp_path / "cards")
    records = PageRecords(blurred_build, chosen(blurred_build, Choice())[0])
    write_page(records, tmp_path / "review.html")
    write_folder(records, tmp_path / "review")
    export(records, "argilla", tmp_path / "argilla")
    export(records, "label-studio", tmp_path / "studio")
    seen = {
        "card": pictures_in((tmp_path / "cards" / "toy.html").read_text("utf-8")),
        "page": pictures_in((tmp_path / "review.html").read_text("utf-8")),
        "folder": pictures_under(tmp_path / "review"),
        "argilla": pictures_in((tmp_path / "argilla" / "records.json").read_text("utf-8")),
        "label-studio": [path.read_bytes() for path in (tmp_path / "studio" / "images").iterdir()],
        "notebook": pictures_in(table(blurred_build.records.collect(), "")),
    }
    assert {name: len(own) > 1 for name, own in seen.items()} == dict.fromkeys(seen, True)
    assert {name: sum(map(shows_stripes, own)) for name, own in seen.items()} == dict.fromkeys(seen, 0)
    assert shows_stripes((tmp_path / "a.png").read_bytes())
    assert json.loads((tmp_path / "studio" / "tasks.json").read_text("utf-8"))


def test_other_places_of_a_shown_picture_stay_as_they_are(blurred_build: BuildFolder, tmp_path: Path) -> None:
    [first, _] = pictures_in(table(blurred_build.records.collect(), ""))
    shown = np.asarray(Image.open(io.BytesIO(first)).convert("L")).astype(int)
    assert shown[-40:].min() > 240
