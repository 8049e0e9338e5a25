"""Pictures decode to upright 8-bit RGB, or fail with a reason."""

from __future__ import annotations

import io
import math
import os
import pickle
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from datakit.core.image import (
    ImageProblem,
    is_plain,
    jpeg_within,
    load_rgb,
    read_header,
    save_upright,
)

EXAMPLE = Path(__file__).parents[2] / "examples" / "ecom" / "images" / "0001.jpg"
INVERSE = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_90,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_270,
}


@pytest.fixture(scope="module")
def screen() -> Image.Image:
    """A real screenshot, small: 180 x 390."""
    return Image.open(EXAMPLE).convert("RGB").resize((180, 390))


def difference(one: Image.Image, other: Image.Image) -> float:
    """Mean absolute difference of two pictures of one size."""
    assert one.size == other.size
    return float(np.abs(np.asarray(one, np.int16) - np.asarray(other, np.int16)).mean())


def reason(path: Path) -> str:
    with pytest.raises(ImageProblem) as caught:
        load_rgb(path)
    assert str(path) in caught.value.detail
    return caught.value.reason


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize(
    ("format_", "options"), [("JPEG", {"quality": 95}), ("PNG", {}), ("WEBP", {"quality": 95}), ("TIFF", {})]
)
def test_rotated_file_comes_out_upright(
    tmp_path: Path, screen: Image.Image, orientation: int, format_: str, options: dict[str, int]
) -> None:
    stored = screen.transpose(INVERSE[orientation]) if orientation > 1 else screen
    exif = Image.Exif()
    exif[0x0112] = orientation
    path = tmp_path / f"turned.{format_.lower()}"
    stored.save(path, format_, exif=exif, **options)
    header = read_header(path)
    assert (header.width, header.height) == (180, 390)
    assert difference(load_rgb(path), screen) < 3
    assert load_rgb(path, max_side_px=100).size == (46, 100)
    assert Image.open(io.BytesIO(jpeg_within(path, 10_000))).size == (67, 147)


@pytest.mark.parametrize("mode", ["RGBA", "LA", "P"])
def test_black_text_on_transparency_stays_visible(tmp_path: Path, mode: str) -> None:
    picture = Image.new("LA", (64, 64), (0, 0))
    picture.paste((0, 255), (16, 16, 48, 48))
    path = tmp_path / "clear.png"
    picture.convert("RGBA" if mode == "P" else mode).convert(mode).save(path)
    pixels = np.asarray(load_rgb(path))
    assert pixels[0, 0].tolist() == [255, 255, 255]
    assert pixels[32, 32].tolist() == [0, 0, 0]


def test_half_transparent_red_is_pink_on_white(tmp_path: Path) -> None:
    path = tmp_path / "half.png"
    Image.new("RGBA", (32, 32), (255, 0, 0, 128)).save(path)
    assert np.asarray(load_rgb(path))[0, 0].tolist() == [255, 127, 127]


def test_colour_key_counts_as_transparency(tmp_path: Path) -> None:
    path = tmp_path / "key.png"
    Image.new("RGB", (32, 32), (1, 2, 3)).save(path, transparency=(1, 2, 3))
    assert np.asarray(load_rgb(path))[0, 0].tolist() == [255, 255, 255]
    assert not is_plain(read_header(path))


def test_sixteen_bit_grey_keeps_its_range(tmp_path: Path) -> None:
    ramp = np.tile(np.linspace(0, 65535, 64).astype(np.uint16), (32, 1))
    for name in ("ramp.png", "ramp.tif"):
        Image.fromarray(ramp).save(tmp_path / name)
        pixels = np.asarray(load_rgb(tmp_path / name))
        assert pixels[0, 0, 0] == 0
        assert pixels[0, -1, 0] == 255
        assert 120 < pixels[0, 32, 0] < 136


def test_cmyk_and_palette_and_bitmap_become_rgb(tmp_path: Path, screen: Image.Image) -> None:
    for mode, name in (("CMYK", "ink.jpg"), ("CMYK", "ink.tif"), ("P", "palette.png"), ("1", "bits.png")):
        screen.convert(mode).save(tmp_path / name)
        picture = load_rgb(tmp_path / name)
        assert picture.mode == "RGB"
        assert difference(picture, screen) < (60 if mode == "1" else 12), name
        assert not is_plain(read_header(tmp_path / name))


def test_floating_point_pixels_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "float.tif"
    Image.fromarray(np.full((32, 32), 0.5, np.float32)).save(path)
    assert reason(path) == "image_unreadable"


def test_animation_gives_its_first_frame(tmp_path: Path) -> None:
    frames = [Image.new("RGB", (40, 30), colour) for colour in ("red", "green", "blue")]
    for name in ("moving.gif", "moving.png", "moving.webp"):
        frames[0].save(tmp_path / name, save_all=True, append_images=frames[1:], duration=50)
        header = read_header(tmp_path / name)
        assert header.frames == 3
        assert not is_plain(header)
        red, green, blue = np.asarray(load_rgb(tmp_path / name))[10, 10].tolist()
        assert (red > 240, green < 20, blue < 20) == (True, True, True)


@pytest.mark.fault(
    "a picture is cut short anywhere",
    "rejected; no part of it is taken for a picture",
    kind="bounds",
)
@pytest.mark.parametrize(
    ("format_", "options"),
    [
        ("JPEG", {}),
        ("JPEG", {"progressive": True}),
        ("PNG", {}),
        ("WEBP", {}),
        ("WEBP", {"lossless": True}),
        ("GIF", {}),
        ("BMP", {}),
        ("TIFF", {"compression": "tiff_lzw"}),
    ],
)
@pytest.mark.filterwarnings("ignore::UserWarning")
def test_no_part_of_a_shortened_file_is_ever_taken_for_a_picture(
    tmp_path: Path, screen: Image.Image, format_: str, options: dict[str, object]
) -> None:
    path = tmp_path / "whole"
    screen.save(path, format_, **options)
    assert load_rgb(path).size == screen.size
    whole = path.read_bytes()
    reasons = []
    for share in (0.02, 0.1, 0.3, 0.5, 0.7, 0.9, 0.98):
        path.write_bytes(whole[: int(len(whole) * share)])
        reasons.append(reason(path))
    assert set(reasons) <= {"image_truncated", "image_unreadable"}
    if format_ != "TIFF":
        assert reasons[2:] == ["image_truncated"] * 5


def test_detail_of_a_shortened_file_names_its_size(tmp_path: Path) -> None:
    path = tmp_path / "short.jpg"
    path.write_bytes(EXAMPLE.read_bytes()[:4096])
    with pytest.raises(ImageProblem, match=r"short\.jpg: cut short, the file ends after 4,096 bytes"):
        load_rgb(path)


@pytest.mark.fault(
    "a picture's path is a folder, a pipe, empty, or no picture",
    "rejected with a reason",
    kind="bounds",
)
def test_what_is_no_picture_fails_with_a_reason(tmp_path: Path) -> None:
    (tmp_path / "empty.jpg").touch()
    (tmp_path / "text.jpg").write_text("not a picture", encoding="utf-8")
    (tmp_path / "folder.jpg").mkdir()
    os.mkfifo(tmp_path / "pipe.jpg")
    assert reason(tmp_path / "empty.jpg") == "image_empty"
    assert reason(tmp_path / "text.jpg") == "image_unreadable"
    assert reason(tmp_path / "folder.jpg") == "image_path_is_folder"
    assert reason(tmp_path / "none.jpg") == "image_missing"
    assert reason(tmp_path / "text.jpg" / "below.jpg") == "image_missing"
    assert reason(tmp_path / "pipe.jpg") == "image_unreadable"
    assert reason(tmp_path / f"{'x' * 300}.jpg") == "image_no_access"


@pytest.mark.fault("a picture is a PostScript program", "rejected; no interpreter is started", kind="bounds")
def test_postscript_is_never_handed_to_its_interpreter(tmp_path: Path) -> None:
    path = tmp_path / "program.jpg"
    path.write_bytes(b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 10 10\n%%EndComments\nshowpage\n")
    assert reason(path) == "image_unreadable"


@pytest.mark.fault(
    "a small file claims hundreds of millions of pixels",
    "rejected from its header",
    kind="bounds",
)
def test_decompression_bomb_is_refused_from_its_header(tmp_path: Path) -> None:
    path = tmp_path / "bomb.png"
    Image.new("1", (14_000, 14_000)).save(path)
    assert path.stat().st_size < 100_000
    assert reason(path) == "image_too_large"


def test_problem_survives_the_way_out_of_a_worker_process() -> None:
    problem = pickle.loads(pickle.dumps(ImageProblem("image_empty", "a.jpg: the file is empty (0 bytes)")))
    assert (problem.reason, problem.detail) == ("image_empty", "a.jpg: the file is empty (0 bytes)")


def test_header_of_a_plain_screenshot() -> None:
    header = read_header(EXAMPLE)
    assert (header.width, header.height, header.format, header.mode) == (720, 1560, "JPEG", "RGB")
    assert header.bytes == EXAMPLE.stat().st_size
    assert is_plain(header)


def test_header_is_read_without_decoding_pixels(tmp_path: Path) -> None:
    for name in ("short.jpg", "short.png"):
        Image.open(EXAMPLE).save(tmp_path / name)
        (tmp_path / name).write_bytes((tmp_path / name).read_bytes()[:2000])
        assert read_header(tmp_path / name).height == 1560


@pytest.mark.filterwarnings("ignore::UserWarning")
def test_broken_exif_does_not_lose_the_picture(tmp_path: Path, screen: Image.Image) -> None:
    path = tmp_path / "exif.jpg"
    screen.save(path, exif=b"Exif\x00\x00II*\x00\xff\xff\xff\x7f", quality=95)
    assert difference(load_rgb(path), screen) < 3


def test_saved_picture_is_upright_small_enough_and_always_the_same(
    tmp_path: Path, screen: Image.Image
) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    screen.transpose(INVERSE[6]).save(tmp_path / "photo.jpg", exif=exif, quality=95)
    first = save_upright(tmp_path / "photo.jpg", tmp_path / "one", max_pixels=20_000)
    second = save_upright(tmp_path / "photo.jpg", tmp_path / "two", max_pixels=20_000)
    assert first == tmp_path / "one.jpg"
    assert first.read_bytes() == second.read_bytes()
    header = read_header(first)
    assert is_plain(header)
    assert header.width * header.height <= 20_000
    assert header.height / header.width == pytest.approx(390 / 180, rel=0.02)


def test_picture_is_scaled_down_to_the_pixels_that_the_trainer_makes_of_it(
    tmp_path: Path, screen: Image.Image
) -> None:
    """LLaMA-Factory: `image.resize((int(width * factor), int(height * factor)))`, factor √(most / pixels)."""
    screen.save(tmp_path / "screen.png")
    written = load_rgb(save_upright(tmp_path / "screen.png", tmp_path / "small", max_pixels=20_000))
    factor = math.sqrt(20_000 / (screen.width * screen.height))
    trained = screen.resize((int(screen.width * factor), int(screen.height * factor)))
    assert written.size == trained.size
    assert difference(written, trained) == 0


def test_lossless_source_is_saved_without_loss(tmp_path: Path, screen: Image.Image) -> None:
    for name, options in (("a.png", {}), ("a.bmp", {}), ("a.webp", {"lossless": True})):
        screen.save(tmp_path / name, **options)
        written = save_upright(tmp_path / name, tmp_path / "copy.v2")
        assert written == tmp_path / "copy.v2.png"
        assert difference(load_rgb(written), screen) == 0
    screen.save(tmp_path / "lossy.webp")
    assert save_upright(tmp_path / "lossy.webp", tmp_path / "copy").suffix == ".jpg"


def test_request_picture_keeps_within_its_pixels_and_drops_metadata(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x010E] = "taken at home"
    Image.open(EXAMPLE).save(tmp_path / "photo.jpg", exif=exif)
    data = jpeg_within(tmp_path / "photo.jpg", 200_000)
    assert b"taken at home" not in data
    with Image.open(io.BytesIO(data)) as small:
        assert small.format == "JPEG"
        assert 190_000 < small.width * small.height <= 200_000
    with Image.open(io.BytesIO(jpeg_within(EXAMPLE, 10_000_000))) as whole:
        assert whole.size == (720, 1560)


def test_one_pixel_high_picture_can_be_downscaled(tmp_path: Path) -> None:
    Image.new("RGB", (2000, 1)).save(tmp_path / "line.png")
    assert load_rgb(tmp_path / "line.png", max_side_px=100).size == (100, 1)
