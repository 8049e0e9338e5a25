"""annotate.image_facts: true sizes and hashes, and a perceptual hash that tells copies from other screens."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from PIL import Image

from datakit.annotate.image_facts import ImageFacts
from datakit.artifacts.report import StepReport
from datakit.core.image import load_rgb
from datakit.core.image_pass import image_facts, perceptual_hash
from datakit.core.outcome import Rejected
from datakit.core.record import BASE, COLUMNS
from datakit.core.settings import RunSettings
from datakit.core.step_context import StepContext
from datakit.core.transform import Annotator
from datakit.guard.image import Image as ImageGuard
from datakit.recipe.recipe import Step
from datakit.run.engine import Engine
from datakit.run.record_frames import RecordFrames
from datakit.run.store import Store
from tests.support.looked_at import columns_of

SCREENS = Path(__file__).resolve().parents[2] / "examples" / "ecom" / "images"
FIXED = Path(__file__).resolve().parents[2] / "scripts" / "ocr_baseline" / "images"
COPY_BITS, OTHER_BITS = 8, 12
"""Most bits between a screen and its copies; fewest between two different screens (class docstring)."""
CARD = {"0083", "0175", "0187"}
"""Three screens that show one greeting card, so they are near-duplicates in truth."""


@pytest.fixture
def facts(make_context: Callable[..., StepContext]) -> Callable[..., dict[str, Any]]:
    def run(*paths: Path) -> dict[str, Any]:
        return columns_of(ImageFacts(), make_context(), paths)

    return run


def bits(first: str, second: str) -> int:
    assert len(first) == len(second)
    return (int(first, 16) ^ int(second, 16)).bit_count()


def apart(first: dict[str, Any], second: dict[str, Any]) -> int:
    """Levels by which the colours of two pictures differ at the most."""
    pairs = zip(bytes.fromhex(first["colours"]), bytes.fromhex(second["colours"]), strict=True)
    return max(abs(one - two) for one, two in pairs)


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
    upright.save(tmp_path / "upright.png")
    straight = facts(tmp_path / "upright.png")
    assert bits(found["phash"], straight["phash"]) <= 2  # resized along the other side first
    assert apart(found["looks"][0], straight["looks"][0]) <= 1
    assert found["looks"][0]["pixels"] == image_facts(str(tmp_path / "turned.png"))["pixels"]


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


@pytest.fixture
def reports(tmp_path: Path, make_context: Callable[..., StepContext]) -> Callable[..., list[StepReport]]:
    """Runs steps over screens with one store, and gives their reports."""
    count = 0

    def run(*steps: Annotator) -> list[StepReport]:
        nonlocal count
        count += 1
        schema = {name: COLUMNS[name] for name in BASE}
        given = RecordFrames(tmp_path / f"given{count}", schema)
        paths = [str(SCREENS / f"{number:04d}.jpg") for number in (1, 4, 7)]
        rows = [{"id": f"r{at}", "images": [path]} for at, path in enumerate(paths)]
        given.append(pl.DataFrame([*rows, {"id": "two", "images": paths[:2]}], schema=schema))
        store = Store(tmp_path / "store")
        try:
            engine = Engine(make_context(run=RunSettings(workers=1)), store, tmp_path / f"work{count}")
            out = engine.run([Step(at, step, "r.yaml:1:1") for at, step in enumerate(steps, 1)], given)
            assert out.lazy().collect().height == 4
            return engine.reports
        finally:
            store.close()

    return run


@pytest.mark.parametrize("steps", [(ImageGuard(), ImageFacts()), (ImageFacts(), ImageGuard())])
def test_guard_and_facts_decode_a_picture_once(
    reports: Callable[..., list[StepReport]], steps: tuple[Annotator, Annotator]
) -> None:
    first, second = reports(*steps)
    assert (first.calls, first.new) == (4, 4)
    assert (second.calls, second.new, second.cached) == (0, 0, 4)
    assert [report.calls for report in reports(*steps)] == [0, 0]


def test_results_of_datakit_0_1_hold_too_little_to_be_taken_over() -> None:
    old = [{"width": 720, "height": 1560}]
    assert ImageFacts().take_over(old) is None
    assert ImageFacts().take_over([{"reason": "image_missing", "words": "there is no such file"}]) is None


def test_stored_facts_of_datakit_0_1_are_read_without_looks(make_context: Callable[..., StepContext]) -> None:
    old = {"width": 720, "height": 1560, "bytes": 9, "sha256": "ab", "phash": "0" * 64}
    columns = ImageFacts().columns([old], {"id": "r", "images": ["/a.jpg"]}, make_context())
    assert columns == {**old, "looks": None}


def test_copies_are_near_and_other_screens_far(tmp_path: Path) -> None:
    paths = sorted(FIXED.glob("*.jpg"))
    assert len(paths) == 200
    hashes = {path.stem: image_facts(str(path))["phash"] for path in paths}
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
            near = image_facts(str(tmp_path / name))["phash"]
            assert bits(hashes[path.stem], near) <= COPY_BITS, (path, name)


def test_plain_pictures_have_one_hash_on_every_machine() -> None:
    hashes = {perceptual_hash(Image.new("RGB", (90, 160), (grey,) * 3)) for grey in (1, 85, 170, 255)}
    assert hashes == {"8" + "0" * 63}
