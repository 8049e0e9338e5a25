"""A picture is decoded within a bound that its header's claim decides, measured in processes of their own."""

from __future__ import annotations

import io
import json
import os
import struct
import subprocess
import sys
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from datakit.core.image import ImageProblem, jpeg_within, load_rgb, read_bytes
from datakit.core.image_memory import DEFAULT_MB, WORKER_MB, picture_mb, worker_mb
from datakit.core.image_pass import image_facts

SIDE = 2400
SLACK_MB = 12
"""Of allocators and tables: what a picture of one pixel takes as well."""
MEASURE = """
import json, os, sys
from datakit.core import image, image_memory, image_pass

reckoned = []
def reckon(path, opened, memory_mb, *, copies, held=0, size=None):
    held = held or image_memory.coefficient_bytes(opened)
    reckoned.append(image_memory.decoding_bytes(opened, os.path.getsize(path), copies) + held)
image.check_memory = image_pass.check_memory = reckon

def resident(field):
    with open("/proc/self/status") as file:
        return next(int(line.split()[1]) for line in file if line.startswith(field)) / 1000

ways = {
    "facts": lambda path: image_pass.image_facts(path),
    "whole": lambda path: image.load_rgb(path),
    "smaller": lambda path: image.load_rgb(path, max_side_px=int(sys.argv[1])),
}
for path in sys.argv[2:]:
    ways["whole"](path)  # what the decoder loads once
    for way, read in ways.items():
        reckoned.clear()
        with open("/proc/self/clear_refs", "w") as file:
            file.write("5")  # the peak begins anew
        before = resident("VmRSS")
        read(path)
        taken = resident("VmHWM") - before
        print(json.dumps([os.path.basename(path), way, taken, max(reckoned) / 1e6]))
"""


def _noise(mode: str) -> Image.Image:
    channels = len(Image.new(mode, (1, 1)).getbands())
    levels = np.random.default_rng(7).integers(0, 255, (SIDE // 8, SIDE // 8, channels), np.uint8)
    small = Image.fromarray(levels.squeeze(), "L" if channels == 1 else {3: "RGB", 4: "RGBA"}[channels])
    return small.resize((SIDE, SIDE))


def _saved(format_: str, mode: str = "RGB", **options: object) -> Callable[[Path], None]:
    return lambda path: _noise(mode).save(path, format_, **options)


def _turned(path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    _noise("RGB").save(path, "JPEG", exif=exif)


def _frames(format_: str) -> Callable[[Path], None]:
    def save(path: Path) -> None:
        frames = [Image.new("RGB", (SIDE, SIDE), (n * 20, 9, 9)) for n in range(6)]
        frames[0].save(path, format_, save_all=True, append_images=frames[1:])

    return save


def _grey(levels: str) -> Callable[[Path], None]:
    values = {"I;16": np.uint16, "I": np.int32}[levels]
    return lambda path: Image.fromarray(np.full((SIDE, SIDE), 9000, values)).save(path, "TIFF")


def _palette(path: Path) -> None:
    fast = Image.Quantize.FASTOCTREE
    _noise("RGB").quantize(64, fast).save(path, "PNG", transparency=3, compress_level=1)


KINDS: dict[str, Callable[[Path], None]] = {
    "JPEG": _saved("JPEG"),
    "JPEG, progressive": _saved("JPEG", progressive=True, subsampling=0),
    "JPEG, turned by EXIF": _turned,
    "PNG": _saved("PNG", compress_level=1),
    "PNG with transparency": _saved("PNG", "RGBA", compress_level=1),
    "PNG with a palette and transparency": _palette,
    "PNG of grey": _saved("PNG", "L", compress_level=1),
    "APNG of six frames": _frames("PNG"),
    "GIF of six frames": _frames("GIF"),
    "WebP": _saved("WEBP", method=0),
    "WebP without a loss": _saved("WEBP", "RGBA", lossless=True, quality=0, method=0),
    "WebP of six frames": _frames("WEBP"),
    "AVIF": _saved("AVIF", speed=10),
    "BMP": _saved("BMP"),
    "PPM": _saved("PPM"),
    "TIFF": _saved("TIFF"),
    "TIFF in LZW": _saved("TIFF", compression="tiff_lzw"),
    "TIFF of 16 bits": _grey("I;16"),
    "TIFF of 32 bits": _grey("I"),
    "TIFF of six pages": _frames("TIFF"),
}


@pytest.mark.skipif(not os.path.exists("/proc/self/clear_refs"), reason="measured as Linux shows it")
def test_no_picture_takes_more_memory_than_was_reckoned(tmp_path: Path) -> None:
    for kind, save in KINDS.items():
        save(tmp_path / kind)
    result = subprocess.run(
        [sys.executable, "-c", MEASURE, str(SIDE - 300), *(str(tmp_path / kind) for kind in KINDS)],
        capture_output=True,
        text=True,
        env={
            **os.environ,
            "MALLOC_MMAP_THRESHOLD_": "1000000",  # what is let go of goes back at once
        },
    )
    assert result.returncode == 0, result.stderr
    lines = [json.loads(line) for line in result.stdout.splitlines()]
    assert len(lines) == 3 * len(KINDS)
    over = [line for line in lines if line[2] > line[3] + SLACK_MB]
    assert not over, over
    idle = [line for line in lines if line[1] == "whole" and line[2] < line[3] / 8]
    assert not idle, f"measured too little to say anything: {idle}"


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def _png_claim(width: int, height: int, colour: int = 2, depth: int = 8) -> bytes:
    head = struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + _chunk(b"IHDR", head)
        + _chunk(b"IDAT", zlib.compress(bytes(1 << 20)))
        + _chunk(b"IEND", b"")
    )


def _bytes_of(format_: str, size: tuple[int, int], mode: str = "RGB", **options: object) -> bytearray:
    buffer = io.BytesIO()
    Image.new(mode, size).save(buffer, format_, **options)
    return bytearray(buffer.getvalue())


def _jpeg_claim(progressive: bool) -> bytes:
    data = _bytes_of("JPEG", (64, 64), progressive=progressive)
    at = data.find(b"\xff\xc2" if progressive else b"\xff\xc0")
    data[at + 5 : at + 9] = struct.pack(">HH", 13_000, 13_000)
    return bytes(data)


CLAIMS: dict[str, bytes] = {
    "PNG of 60,000 x 60,000": _png_claim(60_000, 60_000),
    "PNG of 13,000 x 13,000 and transparency": _png_claim(13_000, 13_000, 6),
    "PNG of 13,000 x 13,000 with 16 bits": _png_claim(13_000, 13_000, 6, 16),
    "progressive JPEG of 13,000 x 13,000": _jpeg_claim(progressive=True),
}


@pytest.mark.fault(
    "a small file claims a picture of gigabytes",
    "rejected by its claim, with the setting that lets it in",
    kind="bounds",
)
@pytest.mark.parametrize("kind", CLAIMS)
def test_a_claim_over_the_bound_is_rejected_before_a_pixel_is_decoded(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "claim"
    path.write_bytes(CLAIMS[kind])
    for read in (image_facts, load_rgb):
        with pytest.raises(ImageProblem) as caught:
            read(str(path), memory_mb=1000)
        assert caught.value.reason in ("image_over_memory", "image_too_large")
        assert str(path) in caught.value.detail
        if caught.value.reason == "image_over_memory":
            assert "13,000 x 13,000" in caught.value.detail
            assert "run.worker_memory_mb: " in caught.value.detail


def test_the_value_that_is_named_lets_the_picture_in(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    Image.new("RGB", (3000, 3000)).save(path)
    with pytest.raises(ImageProblem) as caught:
        load_rgb(path, memory_mb=100)
    named = int(caught.value.detail.split("run.worker_memory_mb: ")[1].split("`")[0])
    assert load_rgb(path, memory_mb=picture_mb(named)).size == (3000, 3000)
    with pytest.raises(ImageProblem):
        load_rgb(path, memory_mb=picture_mb(named - 2))


@pytest.mark.fault(
    "A legitimate picture is so large that its copies would not fit, such as a scan of 100 million pixels",
    "Made smaller before it is copied: within the same bound, it looks the same",
    kind="bounds",
)
@pytest.mark.parametrize(
    ("format_", "mode", "bytes_a_pixel"),
    [("PNG", "L", 3), ("PNG", "RGB", 6), ("TIFF", "1", 8), ("TIFF", "L", 8), ("WEBP", "RGB", 22)],
)
def test_large_scans_are_made_smaller_before_they_are_copied(
    tmp_path: Path, format_: str, mode: str, bytes_a_pixel: int
) -> None:
    path = tmp_path / "scan"
    waves = np.sin(np.arange(SIDE) / 200)[:, None] * np.cos(np.arange(SIDE) / 300)[None, :]
    levels = ((waves + 1) * 127).astype(np.uint8)
    Image.fromarray(levels, "L").convert(mode).save(path, format_)
    bound = bytes_a_pixel * SIDE**2 // 1_000_000
    with pytest.raises(ImageProblem) as caught:
        load_rgb(path, memory_mb=bound)
    assert caught.value.reason == "image_over_memory"
    smaller = load_rgb(path, max_side_px=240, memory_mb=bound)
    usual = load_rgb(path, max_side_px=240)
    assert smaller.size == usual.size == (240, 240)
    difference = np.abs(np.asarray(smaller, np.int16) - np.asarray(usual, np.int16))
    assert difference.mean() < 3
    assert len(jpeg_within(path, 240 * 240, memory_mb=bound)) > 1000


def test_a_file_larger_than_the_bound_is_not_read(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    with open(path, "wb") as file:
        file.truncate(5_000_000_000)
    with pytest.raises(ImageProblem, match=r"5,000,000,000 bytes.*run\.worker_memory_mb: 10400"):
        read_bytes(path)


@pytest.mark.parametrize("format_", ["ICO", "ICNS", "JPEG2000", "TGA", "PCX"])
def test_formats_outside_the_closed_list_are_not_decoded(tmp_path: Path, format_: str) -> None:
    path = tmp_path / "a"
    Image.new("RGB", (64, 64)).save(path, format_)
    with pytest.raises(ImageProblem) as caught:
        load_rgb(path)
    assert caught.value.reason == "image_unreadable"


@pytest.mark.parametrize("kind", [b"iTXt", b"zTXt", b"iCCP"])
def test_a_text_that_unpacks_a_thousandfold_does_not_fill_the_memory(tmp_path: Path, kind: bytes) -> None:
    packed = zlib.compress(bytes(400_000_000), 9)
    body = {b"iTXt": b"k\0\1\0\0\0" + packed, b"zTXt": b"k\0\0" + packed, b"iCCP": b"k\0\0" + packed}[kind]
    plain = _bytes_of("PNG", (40, 40))
    path = tmp_path / "a.png"
    path.write_bytes(bytes(plain[:33]) + _chunk(kind, body) + bytes(plain[33:]))
    code = (
        "import sys\nfrom datakit.core.image import *\n"
        "try: load_rgb(sys.argv[1])\nexcept ImageProblem as error: print(error.reason)\n"
        "print(*(line for line in open('/proc/self/status') if line.startswith('VmHWM')))"
    )
    result = subprocess.run([sys.executable, "-c", code, str(path)], capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    assert int(result.stdout.split()[-2]) < 250_000


def test_the_default_of_a_picture_is_that_of_the_recipes_default() -> None:
    from datakit.core.settings import RunSettings

    assert RunSettings().image_memory_mb == DEFAULT_MB
    assert RunSettings().worker_memory_mb == DEFAULT_MB + WORKER_MB
    assert picture_mb(worker_mb(900_000_000)) == 900
