"""Boxes on cards stand where the picture has what they are of, in every form."""

from __future__ import annotations

import base64
import io
import json
from pathlib import Path

import pytest
from PIL import Image

from datakit.artifacts.build_folder import BuildFolder
from datakit.cards.pictures import Pictures
from datakit.cards.tiles import Tiles
from datakit.core.box_forms import FORMS, BoxForm
from datakit.core.boxes import Box
from datakit.library import build
from datakit.pages.drawn_boxes import draw_boxes

SIZE, SIDES = (1200, 1600), (300, 400, 900, 800)
RECIPE = """\
name: places
steps:
  - read.jsonl: {{path: ../data.jsonl, image: image, boxes: where}}
  - {step}
emit: [llamafactory: {{images: resize, image_max_pixels: 200704}}]
train: {{model: {model}}}
"""
STEPS = {
    "lines": "render.grounding: {tasks: [lines]}",
    "read": "render.grounding: {tasks: [read]}",
    "chat": "render.chat: {prompt: ask.j2, answer: {fields: [boxes]}}",
}
MODELS = {
    "qwen2_vl": "Qwen/Qwen2-VL-2B-Instruct",
    "qwen2_5_vl": "Qwen/Qwen2.5-VL-3B-Instruct",
    "qwen3_vl": "Qwen/Qwen3-VL-4B-Instruct",
}


def test_a_frame_lies_around_its_box_and_the_picture_stays_as_it_was() -> None:
    picture = Image.new("RGB", (200, 100), "white")
    drawn = draw_boxes(picture, [Box(0, (50, 20, 150, 80))], numbered=False)
    assert picture.getcolors() == [(20_000, (255, 255, 255))]
    inside = drawn.crop((51, 21, 150, 80))
    assert inside.getcolors() == [(inside.width * inside.height, (255, 255, 255))]
    assert drawn.getpixel((100, 18)) == drawn.getpixel((48, 50)) == (220, 30, 60)


def test_numbers_stand_beside_their_boxes_and_never_outside() -> None:
    picture = Image.new("RGB", (400, 300), "white")
    boxes = [Box(0, (0, 0, 100, 50)), Box(0, (200, 100, 300, 200))]
    drawn = draw_boxes(picture, boxes)
    plain = draw_boxes(picture, boxes, numbered=False)
    assert drawn.size == picture.size
    assert drawn.tobytes() != plain.tobytes()


@pytest.mark.parametrize("task", STEPS)
@pytest.mark.parametrize("form", FORMS)
def test_the_frame_on_a_card_is_around_what_the_answer_means(
    form: BoxForm, task: str, tmp_path: Path
) -> None:
    """A blue patch fills the frame to within three pixels of the page's picture."""
    for name in ("recipes", "data_cards", "templates"):
        (tmp_path / name).mkdir()
    (tmp_path / "templates" / "ask.j2").write_text("<image>{{ answer_format }}")
    picture = Image.new("RGB", SIZE, "white")
    picture.paste((0, 0, 255), SIDES)
    picture.save(tmp_path / "screen.png")
    row = {"id": "a", "image": "screen.png", "where": [{"bbox": SIDES, "text": "蓝色"}]}
    (tmp_path / "data.jsonl").write_text(json.dumps(row) + "\n")
    recipe = tmp_path / "recipes" / "places.yaml"
    recipe.write_text(RECIPE.format(step=STEPS[task], model=MODELS[form]), "utf-8")
    folder = BuildFolder(build(recipe, check=False).folder)
    [screen] = Tiles(folder, ["a"], Pictures(folder, 1)).tile("a").screens
    [frame] = screen.frames
    assert frame.is_evidence
    across, down = screen.width / SIZE[0], screen.height / SIZE[1]
    left, top, right, bottom = SIDES
    assert frame.sides == pytest.approx((left * across, top * down, right * across, bottom * down), abs=2)
    shown = Image.open(io.BytesIO(base64.b64decode(screen.picture.uri.partition(",")[2]))).convert("RGB")
    scale = shown.width / screen.width
    middle = round((frame.sides[1] + frame.sides[3]) / 2 * scale)
    blue = [x for x in range(shown.width) if _is_blue(shown, x, middle)]
    assert min(blue) == pytest.approx(frame.sides[0] * scale, abs=3)
    assert max(blue) == pytest.approx(frame.sides[2] * scale, abs=3)


def _is_blue(image: Image.Image, x: int, y: int) -> bool:
    red, green, blue = image.getpixel((x, y))  # type: ignore[misc]
    return bool(red < 128 and green < 128 and blue > 150)
