"""One pass over a picture file finds what whole decoding finds, and tells colours and plain ground."""

from __future__ import annotations

import hashlib
import io
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageDraw

from datakit.core.image import ImageProblem, load_rgb
from datakit.core.image_pass import Facts, image_facts

SCREENS = Path(__file__).resolve().parents[2] / "examples" / "ecom" / "images"
KINDS: dict[str, tuple[str, dict[str, Any]]] = {
    "baseline": ("JPEG", {"quality": 80}),
    "full colour": ("JPEG", {"quality": 92, "subsampling": 0}),
    "progressive": ("JPEG", {"quality": 80, "progressive": True}),
    "restarts": ("JPEG", {"quality": 80, "restart_marker_rows": 2}),
    "optimized": ("JPEG", {"quality": 60, "optimize": True}),
    "grey": ("JPEG", {"quality": 80}),
    "ink": ("JPEG", {"quality": 80}),
    "png": ("PNG", {}),
    "webp": ("WEBP", {"quality": 80}),
}


def encoded(kind: str) -> bytes:
    format_, options = KINDS[kind]
    picture = load_rgb(SCREENS / "0001.jpg", max_side_px=1000)
    buffer = io.BytesIO()
    picture.convert({"grey": "L", "ink": "CMYK"}.get(kind, "RGB")).save(buffer, format_, **options)
    return buffer.getvalue()


WHOLE = {kind: encoded(kind) for kind in KINDS}


def verdicts(path: Path) -> tuple[str | None, str | None]:
    """What whole decoding and the pass find wrong."""
    found: list[str | None] = []
    for look in (load_rgb, image_facts):
        try:
            look(str(path))  # type: ignore[operator]
            found.append(None)
        except ImageProblem as problem:
            found.append(problem.reason)
    return found[0], found[1]


@pytest.mark.filterwarnings("ignore::UserWarning")
@settings(max_examples=300, deadline=None)
@given(data=st.data())
def test_nothing_that_whole_decoding_calls_broken_passes(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    kind = data.draw(st.sampled_from(sorted(KINDS)))
    damaged = bytearray(WHOLE[kind])
    for _ in range(data.draw(st.integers(0, 4))):
        damaged[data.draw(st.integers(0, len(damaged) - 1))] ^= data.draw(st.integers(1, 255))
    if data.draw(st.booleans()):
        del damaged[data.draw(st.integers(1, len(damaged) - 1)) :]
    if data.draw(st.booleans()) and len(damaged) > 100:
        start = data.draw(st.integers(2, len(damaged) - 50))
        del damaged[start : start + data.draw(st.integers(1, 40))]
    path = tmp_path_factory.getbasetemp() / "damaged"
    path.write_bytes(damaged)
    whole, reduced = verdicts(path)
    assert whole == reduced


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_a_file_cut_anywhere_is_broken(tmp_path: Path, kind: str) -> None:
    path, data = tmp_path / "cut", WHOLE[kind]
    ends = [*range(len(data) - 20, len(data)), *range(1, len(data) - 20, len(data) // 60)]
    for end in ends:
        path.write_bytes(data[:end])
        whole, reduced = verdicts(path)
        assert whole == reduced, end
        complete = end >= len(data) - (20 if kind == "png" else 8)  # all pixels came, the end mark did not
        assert reduced is not None or complete, end


def drawn(path: Path, colour: tuple[int, int, int], **options: Any) -> Facts:
    """One T-shirt."""
    shape = [(60, 80), (110, 50), (190, 50), (240, 80), (220, 140), (200, 130), (200, 350), (100, 350)]
    picture = Image.new("RGB", (300, 400), (245, 245, 245))
    ImageDraw.Draw(picture).polygon([*shape, (100, 130), (80, 140)], fill=colour)
    picture.save(path, **options)
    return image_facts(str(path))


def test_colours_tell_what_the_hash_does_not(tmp_path: Path) -> None:
    red, orange = drawn(tmp_path / "r.jpg", (220, 30, 40)), drawn(tmp_path / "o.jpg", (200, 90, 20))
    black, grey = drawn(tmp_path / "b.jpg", (10, 10, 10)), drawn(tmp_path / "g.jpg", (128, 128, 128))
    for one, two in ((red, orange), (black, grey)):
        assert (int(one["phash"], 16) ^ int(two["phash"], 16)).bit_count() <= 8
        assert apart(one, two) > 50


def apart(one: Facts, two: Facts) -> int:
    pairs = zip(bytes.fromhex(one["colours"]), bytes.fromhex(two["colours"]), strict=True)
    return max(abs(first - second) for first, second in pairs)


def test_plain_pictures_gradients_and_icons_have_little_detail(tmp_path: Path) -> None:
    gradient = Image.linear_gradient("L").resize((300, 400))
    for name, picture in {
        "plain.png": Image.new("RGB", (300, 400), (200, 30, 40)),
        "down.jpg": gradient,
        "across.jpg": gradient.transpose(Image.Transpose.ROTATE_90),
        "round.jpg": Image.radial_gradient("L").resize((300, 300)),
    }.items():
        picture.save(tmp_path / name)
        assert image_facts(str(tmp_path / name))["detail"] < 0.05, name
    shirt = drawn(tmp_path / "shirt.png", (220, 30, 40))
    assert shirt["detail"] < 0.22
    assert shirt["flat"] > 0.85
    screens = [image_facts(str(path)) for path in sorted(SCREENS.glob("*.jpg"))[::10]]
    assert sum(facts["detail"] > 0.25 or facts["flat"] < 0.6 for facts in screens) >= 0.9 * len(screens)


def test_equal_pixels_have_one_digest_whatever_the_metadata(tmp_path: Path) -> None:
    red = (220, 30, 40)
    plain = drawn(tmp_path / "a.jpg", red, quality=90)
    noted = drawn(tmp_path / "b.jpg", red, quality=90, comment=b"bought in May", dpi=(300, 300))
    assert plain["sha256"] != noted["sha256"]
    assert plain["pixels"] == noted["pixels"]
    assert plain["pixels"] != drawn(tmp_path / "c.jpg", (221, 30, 40), quality=90)["pixels"]
    lossless = {drawn(tmp_path / f"a.{end}", red)["pixels"] for end in ("png", "bmp", "tiff")}
    assert len(lossless) == 1
    assert lossless != {drawn(tmp_path / "d.png", (220, 30, 41))["pixels"]}


def test_an_orientation_is_part_of_the_pixels(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 3
    assert drawn(tmp_path / "a.jpg", (9, 9, 9)) != drawn(tmp_path / "b.jpg", (9, 9, 9), exif=exif)


def test_the_hash_is_that_of_the_bytes(tmp_path: Path) -> None:
    path = SCREENS / "0004.jpg"
    assert image_facts(str(path))["sha256"] == hashlib.sha256(path.read_bytes()).hexdigest()
