"""annotate.image_quality: planted faults are named, clean screens in white and in black are not."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import orjson
import pytest
from PIL import Image, ImageFilter

import datakit as dk
from datakit.annotate.image_quality import ImageQuality
from datakit.core.image import load_rgb
from datakit.core.outcome import Done, Rejected
from datakit.core.step_context import StepContext
from tests.support.looked_at import columns_of

SCREENS = Path(__file__).resolve().parents[2] / "examples" / "ecom" / "images"
WHITE, DARK_THEME, BLANK_DARK = SCREENS / "0001.jpg", SCREENS / "0066.jpg", SCREENS / "0187.jpg"
RECIPE = """version: 1
name: mine
card: {language: en}
steps:
  - read.jsonl: {path: ../rows.jsonl, image: image, label: label}
  - annotate.image_quality: {}
  - render.chat: {prompt: ask.j2, answer: label_only}
emit: [llamafactory]
"""

Look = Callable[..., dict[str, Any]]
Change = Callable[[Image.Image], Image.Image]


@pytest.fixture
def look(make_context: Callable[..., StepContext]) -> Look:
    def run(*paths: Path, **settings: Any) -> dict[str, Any]:
        return columns_of(ImageQuality(**settings), make_context(), paths)

    return run


def exposed(share: float) -> Change:
    return lambda picture: picture.point([round(level * share) for level in range(256)] * 3)


def veiled(share: float) -> Change:
    return lambda picture: picture.point([round(255 - (255 - level) * share) for level in range(256)] * 3)


def blurred(radius: float) -> Change:
    return lambda picture: picture.filter(ImageFilter.GaussianBlur(radius))


def plain(colour: str) -> Change:
    return lambda picture: Image.new("RGB", picture.size, colour)


def gradient(picture: Image.Image) -> Image.Image:
    return Image.linear_gradient("L").resize(picture.size).convert("RGB")


def letterboxed(colour: str, *, beside: bool) -> Change:
    def change(picture: Image.Image) -> Image.Image:
        wide, high = picture.size
        by = (wide // 5, 0) if beside else (0, high // 5)
        whole = Image.new("RGB", (wide + 2 * by[0], high + 2 * by[1]), colour)
        whole.paste(picture, by)
        return whole

    return change


def in_a_viewer(picture: Image.Image) -> Image.Image:
    """Under another phone's status bar, over the buttons of a viewer."""
    wide, high = picture.size
    whole = Image.new("RGB", picture.size, "black")
    whole.paste(load_rgb(DARK_THEME).resize(picture.size).crop((0, 0, wide, high // 20)), (0, 0))
    whole.paste(picture.resize((wide * 3 // 4, high * 3 // 4)), (wide // 8, high // 8))
    return whole


def on_another(picture: Image.Image) -> Image.Image:
    whole = load_rgb(DARK_THEME).resize(picture.size)
    whole.paste(picture.resize((432, 936)), (144, 300))
    return whole


def in_a_chat(picture: Image.Image) -> Image.Image:
    whole = Image.new("RGB", picture.size, "#ededed")
    whole.paste(picture.resize((432, 936)), (144, 300))
    return whole


@pytest.mark.parametrize("name", ["0001", "0004", "0007", "0031", "0066", "0074", "0075", "0095", "0182"])
def test_clean_screens_white_or_black_have_no_fault(look: Look, name: str) -> None:
    assert look(SCREENS / f"{name}.jpg")["picture_faults"] == []


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        (exposed(0.2), "dark"),
        (veiled(0.25), "light"),
        (blurred(2), "blurry"),
        (blurred(4), "blurry"),
        (plain("white"), "low_information"),
        (plain("black"), "low_information"),
        (gradient, "low_information"),
        (lambda picture: picture.resize((150, 325)), "odd_size"),
        (lambda picture: picture.crop((0, 0, 720, 150)), "odd_size"),
        (letterboxed("black", beside=True), "framed"),
        (letterboxed("black", beside=False), "framed"),
        (in_a_viewer, "framed"),
        (in_a_chat, "framed"),
        (on_another, "framed"),
    ],
)
def test_planted_fault_is_named(tmp_path: Path, look: Look, change: Change, fault: str) -> None:
    change(load_rgb(WHITE)).save(tmp_path / "poor.jpg", quality=85)
    assert fault in look(tmp_path / "poor.jpg")["picture_faults"]


@pytest.mark.parametrize(("inner", "outer"), [("0100", "0135"), ("0115", "0150"), ("0190", "0025")])
def test_a_white_screen_on_a_white_screen_is_framed(
    tmp_path: Path, look: Look, inner: str, outer: str
) -> None:
    whole = load_rgb(SCREENS / f"{outer}.jpg").resize((720, 1560))
    whole.paste(load_rgb(SCREENS / f"{inner}.jpg").resize((432, 936)), (144, 312))
    whole.save(tmp_path / "poor.jpg", quality=85)
    assert look(tmp_path / "poor.jpg")["picture_faults"] == ["framed"]


def test_nearly_blank_page_is_neither_light_nor_dark_besides(tmp_path: Path, look: Look) -> None:
    assert look(BLANK_DARK)["picture_faults"] == ["low_information"]
    Image.new("RGB", (400, 800), "white").save(tmp_path / "white.png")
    assert look(tmp_path / "white.png")["picture_faults"] == ["low_information"]


def test_faults_of_all_pictures_stand_once_and_in_one_order(tmp_path: Path, look: Look) -> None:
    for name in ("a", "b"):
        blurred(4)(load_rgb(WHITE)).resize((150, 325)).save(tmp_path / f"{name}.png")
    load_rgb(WHITE).resize((150, 325)).save(tmp_path / "c.png")
    Image.new("RGB", (400, 800)).save(tmp_path / "d.png")
    found = look(*(tmp_path / f"{name}.png" for name in "dcba"))
    assert found["picture_faults"] == ["low_information", "odd_size"]
    assert [measures["width"] for measures in found["picture_measures"]] == [400, 150, 150, 150]


def test_changed_limits_read_the_stored_measures_without_decoding_again(
    make_context: Callable[..., StepContext],
) -> None:
    step, context = ImageQuality(), make_context()
    row = {"id": "r", "images": [str(WHITE)]}
    outcome = step.start(context).answer(row)
    assert isinstance(outcome, Done)
    assert step.key_settings(context) == ImageQuality(max_ratio=1.5).key_settings(context)
    strict = ImageQuality(max_ratio=1.5).columns(outcome.raw, {"id": "r", "images": ["/gone.jpg"]}, context)
    assert isinstance(strict, dict)
    assert strict["picture_faults"] == ["odd_size"]


def test_record_without_picture_has_null_and_one_that_does_not_decode_is_rejected(
    tmp_path: Path, look: Look, make_context: Callable[..., StepContext]
) -> None:
    assert look() == {"picture_faults": None, "picture_measures": None}
    (tmp_path / "cut.jpg").write_bytes(WHITE.read_bytes()[:5000])
    worker = ImageQuality().start(make_context())
    found = worker.answer({"id": "r", "images": [str(tmp_path / "cut.jpg")]})  # type: ignore[union-attr]
    assert isinstance(found, Rejected)
    assert found.reason == "image_truncated"


@pytest.mark.parametrize("size", [(1, 1), (1, 2000), (2000, 1), (13, 5), (16, 16), (5000, 30), (3000, 2400)])
def test_any_size_is_measured(tmp_path: Path, look: Look, size: tuple[int, int]) -> None:
    Image.effect_noise(size, 80).save(tmp_path / "odd.png")
    (measures,) = look(tmp_path / "odd.png")["picture_measures"]
    assert (measures["width"], measures["height"]) == size
    assert all(0 <= measures[name] <= 1 for name in ("filled", "bars", "inset"))


def test_picture_is_measured_upright(tmp_path: Path, look: Look) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    load_rgb(WHITE).transpose(Image.Transpose.ROTATE_90).save(tmp_path / "turned.png", exif=exif)
    load_rgb(WHITE).save(tmp_path / "upright.png")
    assert look(tmp_path / "turned.png") == look(tmp_path / "upright.png")


def test_build_with_a_poor_picture_says_so_at_its_end_on_its_card_and_in_the_review(tmp_path: Path) -> None:
    load_rgb(WHITE).save(tmp_path / "clean.jpg")
    blurred(4)(load_rgb(DARK_THEME)).save(tmp_path / "poor.jpg")
    rows = [{"id": name, "image": f"{name}.jpg", "label": "退货页面"} for name in ("clean", "poor")]
    (tmp_path / "rows.jsonl").write_bytes(b"\n".join(orjson.dumps(row) for row in rows))
    for name in ("recipes", "templates"):
        (tmp_path / name).mkdir()
    (tmp_path / "templates" / "ask.j2").write_text("<image>Which page?")
    (tmp_path / "recipes" / "mine.yaml").write_text(RECIPE, "utf-8")
    result = dk.build(tmp_path / "recipes" / "mine.yaml")
    lines = {line.kind: line for line in result.report.verdict}
    assert (lines["poor_picture"].state, lines["poor_picture"].words) == ("warned", "1 record: blurry 1")
    card = dk.card(result.folder).markdown
    assert "1 of 2 records with pictures have a poor one." in card
    review = dk.review(result.folder, poor_pictures=True, out=tmp_path / "review.html")
    assert review.records == 1
    assert review.page is not None
    assert '"poor_picture"' in review.page.read_text("utf-8")
