"""annotate.image_facts: true sizes and hashes, and a perceptual hash that tells copies from other screens."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from datakit.annotate.image_facts import ImageFacts, perceptual_hash
from datakit.core.image import load_rgb
from datakit.core.outcome import Done, Rejected
from datakit.core.step_context import StepContext

SCREENS = Path(__file__).resolve().parents[2] / "examples" / "ecom" / "images"
COPY_BITS, OTHER_BITS = 8, 12
"""Most bits between a screen and its copies; fewest between two different screens (class docstring)."""
CARD = {"0083", "0175", "0187"}
"""Three screens that show one greeting card, so they are near-duplicates in truth."""


@pytest.fixture
def facts(make_context: Callable[..., StepContext]) -> Callable[..., dict[str, Any]]:
    def run(*paths: Path) -> dict[str, Any]:
        step, context = ImageFacts(), make_context()
        row = {"id": "r", "images": [str(path) for path in paths]}
        outcome = step.start(context).answer(row)
        assert isinstance(outcome, Done), outcome
        columns = step.columns(outcome.raw, row, context)
        assert isinstance(columns, dict)
        assert set(columns) == set(step.outputs(context))
        return columns

    return run


def bits(first: str, second: str) -> int:
    assert len(first) == len(second)
    return (int(first, 16) ^ int(second, 16)).bit_count()


def test_facts_are_those_of_the_file(facts: Callable[..., dict[str, Any]]) -> None:
    path = SCREENS / "0001.jpg"
    found = facts(path)
    with Image.open(path) as picture:
        assert (found["width"], found["height"]) == picture.size
    assert found["bytes"] == path.stat().st_size
    assert found["sha256"] == hashlib.sha256(path.read_bytes()).hexdigest()
    assert len(found["phash"]) == 64
    assert int(found["phash"], 16).bit_count() == pytest.approx(128, abs=2)


def test_turned_photo_has_the_size_and_hash_of_the_upright_one(
    tmp_path: Path, facts: Callable[..., dict[str, Any]]
) -> None:
    upright = load_rgb(SCREENS / "0001.jpg")
    exif = Image.Exif()
    exif[0x0112] = 6
    upright.transpose(Image.Transpose.ROTATE_90).save(tmp_path / "turned.png", exif=exif)
    found = facts(tmp_path / "turned.png")
    assert (found["width"], found["height"]) == upright.size
    assert found["phash"] == perceptual_hash(upright)


def test_two_pictures_give_one_digest_and_a_hash_of_both(facts: Callable[..., dict[str, Any]]) -> None:
    first, second = SCREENS / "0001.jpg", SCREENS / "0004.jpg"
    both, one, two = facts(first, second), facts(first), facts(second)
    assert both["phash"] == one["phash"] + two["phash"]
    assert both["bytes"] == one["bytes"] + two["bytes"]
    assert both["width"] == one["width"]
    assert both["sha256"] not in (one["sha256"], two["sha256"], facts(second, first)["sha256"])


def test_text_only_record_gets_nulls(facts: Callable[..., dict[str, Any]]) -> None:
    assert set(facts().values()) == {None}


def test_broken_picture_is_rejected_with_its_name(
    tmp_path: Path, make_context: Callable[..., StepContext]
) -> None:
    broken = tmp_path / "broken.png"
    broken.write_bytes(b"\x89PNG\r\n\x1a\n" + b"0" * 99)
    outcome = ImageFacts().start(make_context()).answer({"id": "r", "images": [str(broken)]})
    assert isinstance(outcome, Rejected)
    assert outcome.reason.startswith("image_")
    assert str(broken) in outcome.detail


def test_copies_are_near_and_other_screens_far(tmp_path: Path) -> None:
    paths = sorted(SCREENS.glob("*.jpg"))
    assert len(paths) == 200
    hashes = {path.stem: perceptual_hash(load_rgb(path)) for path in paths}
    for first in hashes:
        for second in hashes:
            if first < second and not {first, second} <= CARD:
                assert bits(hashes[first], hashes[second]) >= OTHER_BITS, (first, second)
    for path in paths[::25]:
        picture = load_rgb(path)
        picture.save(tmp_path / "copy.jpg", quality=50)
        half = (picture.width // 2, picture.height // 2)
        picture.resize(half, Image.Resampling.LANCZOS).save(tmp_path / "half.jpg", quality=85)
        for name in ("copy.jpg", "half.jpg"):
            near = perceptual_hash(load_rgb(tmp_path / name))
            assert bits(hashes[path.stem], near) <= COPY_BITS, (path, name)


def test_plain_pictures_have_one_hash_on_every_machine() -> None:
    hashes = {perceptual_hash(Image.new("RGB", (90, 160), (grey,) * 3)) for grey in (1, 85, 170, 255)}
    assert hashes == {"8" + "0" * 63}
