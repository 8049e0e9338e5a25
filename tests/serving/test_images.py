"""Pictures reach the server as they reached the model in training."""

from __future__ import annotations

import io
import math
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from datakit.core.image import ImageProblem
from datakit.core.pixels import TrainerLimits
from datakit.serving.images import TrainedView


def drawn(width: int, height: int, mode: str = "RGB") -> Image.Image:
    pixels = np.random.default_rng(7).integers(0, 255, (height, width, 3), dtype=np.uint8)
    return Image.fromarray(pixels).convert(mode)


def as_the_trainer(image: Image.Image, most: int = 589_824, least: int = 1024) -> Image.Image:
    """LLaMA-Factory 0.9.5, `MMPluginMixin._preprocess_image` and that of `Qwen2VLPlugin`, line by line."""
    if (image.width * image.height) > most:
        factor = math.sqrt(most / (image.width * image.height))
        image = image.resize((int(image.width * factor), int(image.height * factor)))
    if (image.width * image.height) < least:
        factor = math.sqrt(least / (image.width * image.height))
        image = image.resize((int(image.width * factor), int(image.height * factor)))
    if image.mode != "RGB":
        image = image.convert("RGB")
    if min(image.width, image.height) < 28:
        image = image.resize((max(image.width, 28), max(image.height, 28)))
    return image


@pytest.mark.parametrize("size", [(720, 1560), (1080, 2340), (300, 200), (52, 64), (589, 1001)])
@pytest.mark.parametrize("mode", ["RGB", "L"])
@pytest.mark.parametrize("kind", ["png", "jpg"])
def test_pixels_are_those_of_the_trainers_own_resize(
    tmp_path: Path, size: tuple[int, int], mode: str, kind: str
) -> None:
    path = tmp_path / f"a.{kind}"
    drawn(*size, mode).save(path)
    sent = Image.open(io.BytesIO(TrainedView(None, TrainerLimits()).png(path)))
    with Image.open(path) as image:
        expected = np.asarray(as_the_trainer(image))
    assert sent.mode == "RGB"
    assert np.array_equal(np.asarray(sent), expected)


def test_picture_that_a_build_would_write_anew_is_written_the_same_way(tmp_path: Path) -> None:
    turned = tmp_path / "turned.jpg"
    exif = Image.Exif()
    exif[0x0112] = 6
    drawn(300, 200).save(turned, exif=exif)
    sent = Image.open(io.BytesIO(TrainedView(None, TrainerLimits()).png(turned)))
    assert sent.size == (200, 300)
    large = tmp_path / "large.png"
    drawn(800, 800).save(large)
    small = Image.open(io.BytesIO(TrainedView(262_144, TrainerLimits(262_144)).png(large)))
    assert small.size == (512, 512)


def test_broken_picture_is_a_typed_error(tmp_path: Path) -> None:
    path = tmp_path / "cut.png"
    drawn(100, 100).save(path)
    path.write_bytes(path.read_bytes()[:500])
    with pytest.raises(ImageProblem):
        TrainedView(None, TrainerLimits()).png(path)
