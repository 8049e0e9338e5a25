"""A model that sees only what it is sent says where a patch stands, which comes back to the original."""

from __future__ import annotations

import base64
import io
import json
from itertools import product
from pathlib import Path

import pytest
from PIL import Image

import datakit
from datakit.core.box_texts import with_tokens
from datakit.core.pixels import FAMILIES, smart_resize
from datakit.library import build
from tests.support.loopback import Call, Loopback, Reply
from tests.support.served import asked_images, saying

EXIF_ORIENTATION = 0x0112
UPRIGHT, PATCH = (1230, 2665), (240, 1500, 630, 1690)
MODELS = {
    "qwen2_vl": "Qwen/Qwen2-VL-7B-Instruct",
    "qwen2_5_vl": "Qwen/Qwen2.5-VL-7B-Instruct",
    "qwen3_vl": "Qwen/Qwen3-VL-8B-Instruct",
}
RECIPE = """\
name: small
steps:
  - read.jsonl: {{path: ../data.jsonl, image: image, boxes: boxes}}
  - render.grounding: {{boxes: boxes, tasks: [locate]}}
emit: [llamafactory: {emit}]
train: {{model: {model}}}
"""


def made(folder: Path, model: str, emit: str) -> Path:
    """A build of a picture with a red patch, which EXIF turns upright."""
    for name in ("recipes", "data_cards"):
        (folder / name).mkdir()
    image = Image.new("RGB", UPRIGHT, "white")
    image.paste("red", PATCH)
    stored = image.transpose(Image.Transpose.ROTATE_90)
    stored.getexif()[EXIF_ORIENTATION] = 6
    stored.save(folder / "screen.jpg", exif=stored.getexif(), quality=95)
    row = {"id": "a", "image": "screen.jpg", "boxes": [{"bbox": list(PATCH), "label": "红块"}]}
    (folder / "data.jsonl").write_text(json.dumps(row) + "\n")
    (folder / "recipes" / "small.yaml").write_text(RECIPE.format(model=model, emit=emit), "utf-8")
    return build(folder / "recipes" / "small.yaml", card=False, check=False).folder


def seeing(call: Call, family: str) -> Reply:
    """What a model of the family says: its processor resizes what was sent, and it counts in that."""
    (url,) = asked_images(call)
    sent = Image.open(io.BytesIO(base64.b64decode(url.partition(",")[2]))).convert("RGB")
    found = sent.getchannel("G").point(lambda value: 255 * (value < 128)).getbbox()
    assert found is not None
    grid = smart_resize(*sent.size, FAMILIES[family]) if family == "qwen2_5_vl" else (1000, 1000)
    sides = [round(side / sent.size[at % 2] * grid[at % 2]) for at, side in enumerate(found)]
    entries = [{"bbox_2d": sides, "label": "红块"}]
    return saying(with_tokens(entries) if family == "qwen2_vl" else json.dumps(entries, ensure_ascii=False))


@pytest.mark.parametrize("emit", ["{images: link}", "{images: resize, image_max_pixels: 200704}"])
@pytest.mark.parametrize("family", MODELS)
def test_a_place_in_a_resized_picture_comes_back_to_the_original(
    family: str, emit: str, tmp_path: Path, server: Loopback
) -> None:
    folder = made(tmp_path, MODELS[family], emit)
    server.script = lambda call: seeing(call, family)
    with datakit.Classifier.from_build(folder, server.url) as classify:
        found = classify(tmp_path / "screen.jpg", ask_name="红块")
        [box] = classify.boxes(found, tmp_path / "screen.jpg")
    [entry] = found.boxes or ()
    assert entry["label"] == box.label == "红块"
    (url,) = asked_images(server.calls[-1])
    sent = Image.open(io.BytesIO(base64.b64decode(url.partition(",")[2])))
    assert sent.size != UPRIGHT
    assert sent.width < sent.height
    step = 1.5 * UPRIGHT[1] / min(sent.height, 1000)  # a pixel of what was sent, and half a number
    assert entry["box"] == pytest.approx(PATCH, abs=step)
    assert box.sides == pytest.approx(PATCH, abs=step)


TURNED = {
    1: None,
    3: Image.Transpose.ROTATE_180,
    6: Image.Transpose.ROTATE_90,
    8: Image.Transpose.ROTATE_270,
}
PLACES = {(1080, 1920): (91.0, 403.0, 517.0, 1204.0), (733, 1301): (17.0, 900.0, 701.0, 1291.0)}


@pytest.mark.parametrize("family", MODELS)
def test_exact_answers_about_pictures_that_exif_turns_are_within_a_pixel(
    family: str, tmp_path: Path, server: Loopback
) -> None:
    """Of several pictures in turn, each at its own size: a model that is right to half a number."""
    folder = made(tmp_path, MODELS[family], "{images: link}")
    asked: list[tuple[int, int]] = []

    def exact(call: Call) -> Reply:
        (url,) = asked_images(call)
        sent = Image.open(io.BytesIO(base64.b64decode(url.partition(",")[2]))).size
        seen = smart_resize(*sent, FAMILIES[family]) if family == "qwen2_5_vl" else (1000, 1000)
        upright = asked[-1]
        sides = [round(side / upright[at % 2] * seen[at % 2]) for at, side in enumerate(PLACES[upright])]
        entries = [{"bbox_2d": sides, "label": "红块"}]
        text = with_tokens(entries) if family == "qwen2_vl" else json.dumps(entries, ensure_ascii=False)
        return saying(text)

    server.script = exact
    with datakit.Classifier.from_build(folder, server.url) as classify:
        for (upright, place), (orientation, turn) in product(PLACES.items(), TURNED.items()):
            path = tmp_path / f"{upright[0]}-{orientation}.jpg"
            stored = Image.new("RGB", upright, "white")
            stored = stored if turn is None else stored.transpose(turn)
            stored.getexif()[EXIF_ORIENTATION] = orientation
            stored.save(path, exif=stored.getexif())
            asked.append(upright)
            found = classify(path, ask_name="红块")
            [entry] = found.boxes or ()
            assert entry["box"] == pytest.approx(place, abs=1.0)
            assert classify.boxes(found, path)[0].sides == pytest.approx(place, abs=1.0)
