"""Pictures: the one place where they are decoded, so that OCR, hashing, prompts and the trainer see the same.

A decoded picture is upright (EXIF orientation applied), the first frame of an animation, transparency laid
on white, RGB with 8 bits a channel. A file that does not decode to its last byte is an error, never a part
of a picture.
"""

from __future__ import annotations

import io
import math
import os
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from PIL import Image, UnidentifiedImageError

from datakit.core.copied_files import at_hand
from datakit.core.errors import DatakitError
from datakit.core.image_memory import DEFAULT_MB, RGB_BYTES, coefficient_bytes, decoding_bytes, worker_mb
from datakit.core.pixels import scaled_down
from datakit.core.regular_files import read_regular, regular, special_kind

FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "PPM", "AVIF")
"""Formats that are read. A closed list: some of Pillow's other readers start outside programs."""

MAX_PIXELS = 2 * (Image.MAX_IMAGE_PIXELS or 89_478_485)
"""A picture of more pixels (179 million with Pillow's own setting) is refused as a decompression bomb."""

_COPIES = 3 * RGB_BYTES
"""Bytes a pixel of the copies made here: as RGB, turned upright, and what resizing needs."""
_REDUCIBLE = {"RGB": 0, "L": 0, "1": 1}
"""Modes in which a picture, such as a scan of 100 million pixels, is made smaller before it is copied where
the copies would not fit -> bytes a pixel that this takes besides. Others keep the finer way."""
_PLAIN_FORMATS = ("JPEG", "PNG", "WEBP")
_ORIENTATION_TAG = 0x0112
_TRANSPOSE = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


class ImageProblem(DatakitError):
    """A picture that cannot be used. `reason` is a word for the report, `detail` a sentence for the user.

    Reasons: image_missing, image_path_is_folder, image_no_access, image_empty, image_unreadable,
    image_truncated, image_too_large, image_over_memory.
    """

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(reason, detail)
        self.reason, self.detail = reason, detail

    def __str__(self) -> str:
        return self.detail


@dataclass(frozen=True, slots=True)
class ImageHeader:
    """What a picture's header says."""

    width: int
    """Pixels, of the upright picture."""
    height: int
    format: str
    """Pillow's name: JPEG, PNG, WEBP …"""
    mode: str
    """Pillow's name of the stored pixel type: RGB, L, P, CMYK, I;16 …"""
    frames: int
    exif_orientation: int
    """1 to 8; 1 is upright (always for TIFF, which every Pillow program sees turned)."""
    transparent: bool
    bytes: int
    """Size of the file."""

    @property
    def stored_width(self) -> int:
        """Pixels, as the file has them, before it is turned upright."""
        return self.height if self.exif_orientation >= 5 else self.width

    @property
    def stored_height(self) -> int:
        return self.width if self.exif_orientation >= 5 else self.height


def read_header(path: str | Path) -> ImageHeader:
    """The header, without decoding pixels. Raises ImageProblem."""
    with opened(path) as image:
        return header_of(image, os.path.getsize(at_hand(path)))


def header_of(image: Image.Image, size: int) -> ImageHeader:
    """The header of an opened picture; `size` in bytes is that of its file."""
    orientation = _orientation(image)
    width, height = image.size
    if orientation >= 5:
        width, height = height, width
    return ImageHeader(
        width=width,
        height=height,
        format=str(image.format),
        mode=image.mode,
        frames=getattr(image, "n_frames", 1),
        exif_orientation=orientation,
        transparent=image.has_transparency_data,
        bytes=size,
    )


def size_fault(width: int, height: int, min_side_px: int, max_ratio: float) -> tuple[str, str] | None:
    """Reason and words for a picture that is too small or too narrow; None for others."""
    short, long = sorted((width, height))
    if short < min_side_px:
        return "image_too_small", f"a side is below min_side_px ({min_side_px})"
    if long > max_ratio * short:
        return "image_ratio", f"{long / short:.0f} to 1 is above max_ratio ({max_ratio:g})"
    return None


def is_plain(header: ImageHeader) -> bool:
    """Whether a trainer reads the file as it is and sees what datakit sees.

    Trainers apply no EXIF orientation and make transparent pixels black, so those files need writing anew.
    """
    return (
        header.format in _PLAIN_FORMATS
        and header.mode in ("RGB", "L")
        and header.frames == 1
        and header.exif_orientation == 1
        and not header.transparent
    )


def load_rgb(
    path: str | Path, *, max_side_px: int | None = None, memory_mb: int = DEFAULT_MB, copies: int = 0
) -> Image.Image:
    """The picture, decoded to its last byte; downscaled when its longer side exceeds `max_side_px`.

    `memory_mb` is what decoding and the caller's own `copies` (bytes a pixel) may take. Raises ImageProblem.
    """
    with opened(path) as image:
        if max_side_px is None or max(image.size) <= max_side_px:
            check_memory(path, image, memory_mb, copies=max(copies, _COPIES))
            return _upright_rgb(image)
        return _downscaled(path, image, max_side_px / max(image.size), memory_mb)


def save_upright(
    path: str | Path,
    target: str | Path,
    *,
    max_pixels: int | None = None,
    quality: int = 92,
    memory_mb: int = DEFAULT_MB,
    change: Callable[[Image.Image], Image.Image] | None = None,
) -> Path:
    """The file written: `target` plus .png when the source is lossless, else plus .jpg.

    Holds the upright RGB picture, downscaled to at most `max_pixels` in all, and then changed by `change`.
    Scales as LLaMA-Factory, transformers and vLLM do, bicubic, so that a picture trained on at this size
    looks like the whole one that a server scales down. The same source always gives the same bytes. Raises
    ImageProblem.
    """
    with opened(path) as image:
        lossless = _is_lossless(path, str(image.format))
        picture = _within(path, image, max_pixels, memory_mb, Image.Resampling.BICUBIC)
    picture = picture if change is None else change(picture)
    written = Path(f"{target}.png" if lossless else f"{target}.jpg")
    if lossless:
        picture.save(written, "PNG", compress_level=6)
    else:
        # Full colour resolution: halved, it smears small coloured text on coloured ground.
        picture.save(written, "JPEG", quality=quality, subsampling=0)
    return written


def jpeg_within(
    path: str | Path, max_pixels: int, quality: int = 85, *, memory_mb: int = DEFAULT_MB
) -> bytes:
    """The upright picture as JPEG with at most `max_pixels` in all, without metadata: for a request.

    Large JPEG files are decoded at a half, a quarter or an eighth of their size. Raises ImageProblem.
    """
    with opened(path) as image:
        picture = _within(path, image, max_pixels, memory_mb)
    buffer = io.BytesIO()
    picture.save(buffer, "JPEG", quality=quality)
    return buffer.getvalue()


def read_bytes(path: str | Path, memory_mb: int = DEFAULT_MB) -> bytes:
    """The whole file, which may have `memory_mb` MB. Raises ImageProblem."""
    size = _check_file(path)
    if size > memory_mb * 1_000_000:
        raise ImageProblem(
            "image_over_memory",
            f"{path}: the file has {size:,} bytes, over the {memory_mb:,} MB that a picture may take; "
            f"`run.worker_memory_mb: {worker_mb(2 * size)}` lets it in",
        )
    try:
        return read_regular(path)
    except OSError as error:
        raise ImageProblem("image_no_access", f"{path}: {_words(error)}") from error


@contextmanager
def opened(path: str | Path, data: bytes | None = None) -> Iterator[Image.Image]:
    """The opened file, or its bytes where they are read already.

    Whatever a decoder raises inside the block becomes an ImageProblem.
    """
    if data is None:
        _check_file(path)
    try:
        with _stream(path, data) as stream, Image.open(stream, formats=FORMATS) as image:
            if image.width * image.height > MAX_PIXELS:
                raise Image.DecompressionBombError
            yield image
    except ImageProblem:
        raise
    except Image.DecompressionBombError:
        detail = f"{path}: over {MAX_PIXELS // 1_000_000} million pixels; make it smaller first"
        raise ImageProblem("image_too_large", detail) from None
    except MemoryError:
        detail = f"{path}: there was not enough memory to decode it; set `run.workers` lower"
        raise ImageProblem("image_over_memory", detail) from None
    except Exception as error:  # decoders raise anything, even SyntaxError; the caller names the record
        raise _problem(path, error) from error


def _stream(path: str | Path, data: bytes | None) -> IO[bytes]:
    return open(path, "rb", opener=regular) if data is None else io.BytesIO(data)


def _check_file(path: str | Path) -> int:
    """The file's size in bytes. Raises ImageProblem for what is no file with bytes in it."""
    try:
        status = os.stat(at_hand(path))
    except (FileNotFoundError, NotADirectoryError):
        raise ImageProblem("image_missing", f"{path}: there is no such file") from None
    except (OSError, ValueError) as error:  # no permission, a name too long, a zero byte in the name
        raise ImageProblem("image_no_access", f"{path}: {_words(error)}") from error
    if stat.S_ISDIR(status.st_mode):
        raise ImageProblem("image_path_is_folder", f"{path}: is a folder, not a picture")
    if kind := special_kind(status):
        raise ImageProblem("image_unreadable", f"{path}: is {kind}, not a regular file")
    if status.st_size == 0:
        raise ImageProblem("image_empty", f"{path}: the file is empty (0 bytes)")
    return status.st_size


def _problem(path: str | Path, error: Exception) -> ImageProblem:
    if isinstance(error, PermissionError):
        return ImageProblem("image_no_access", f"{path}: {_words(error)}")
    size = os.path.getsize(at_hand(path))
    if "truncated" in str(error).lower() or _webp_is_short(path, size) or _png_is_short(path):
        return ImageProblem("image_truncated", f"{path}: cut short, the file ends after {size:,} bytes")
    if isinstance(error, UnidentifiedImageError):
        formats = ", ".join(FORMATS)
        return ImageProblem("image_unreadable", f"{path}: is none of {formats} ({size:,} bytes)")
    return ImageProblem("image_unreadable", f"{path}: cannot be decoded ({_words(error)})")


def _words(error: Exception) -> str:
    return getattr(error, "strerror", None) or str(error) or type(error).__name__


def _webp_is_short(path: str | Path, size: int) -> bool:
    """WebP states its length up front; Pillow only says that it cannot identify a shortened file."""
    with open(path, "rb", opener=regular) as file:
        head = file.read(12)
    return head[:4] == b"RIFF" and head[8:12] == b"WEBP" and int.from_bytes(head[4:8], "little") + 8 > size


def _png_is_short(path: str | Path) -> bool:
    """A whole PNG ends with its IEND chunk."""
    with open(path, "rb", opener=regular) as file:
        if file.read(8) != b"\x89PNG\r\n\x1a\n":
            return False
        tail = b""
        while block := file.read(1 << 20):
            if b"IEND" in tail + block:
                return False
            tail = block[-3:]
        return True


def _orientation(image: Image.Image) -> int:
    if image.format == "TIFF":
        return 1  # Pillow turns TIFF itself
    if image.format == "PNG" and "exif" not in image.info:
        return 1  # Pillow would decode the whole file to look for EXIF behind the pixels
    try:
        value = image.getexif().get(_ORIENTATION_TAG, 1)
    except Exception:  # broken EXIF raises anything; the pixels may be fine, and no reader turns such a file
        return 1
    return value if value in _TRANSPOSE else 1


def check_memory(
    path: str | Path,
    image: Image.Image,
    memory_mb: int,
    *,
    copies: int,
    held: int = 0,
    size: tuple[int, int] = (0, 0),
) -> None:
    """Raises ImageProblem where decoding an opened picture would take more than `memory_mb`.

    `copies` are the bytes a pixel that its caller needs besides the decoded picture, `held` the bytes
    that are taken at whatever size it is decoded, `size` what it was before `draft`.
    """
    needed = decoding_bytes(image, os.path.getsize(at_hand(path)), copies) + (
        held or coefficient_bytes(image)
    )
    if needed > memory_mb * 1_000_000:
        width, height = size if any(size) else image.size
        claim = f"{width:,} x {height:,} pixels ({image.format} {image.mode})"
        raise ImageProblem(
            "image_over_memory",
            f"{path}: {claim} take {-(-needed // 1_000_000):,} MB to decode, over the {memory_mb:,} MB that "
            f"a picture may take; `run.worker_memory_mb: {worker_mb(needed)}` lets it in",
        )


def _upright_rgb(image: Image.Image, factor: int = 1) -> Image.Image:
    orientation = _orientation(image)
    image.load()
    if factor > 1:
        image = (image.convert("L") if image.mode == "1" else image).reduce(factor)
    return upright(rgb(image), orientation)


def upright(image: Image.Image, orientation: int) -> Image.Image:
    """The picture turned by its EXIF orientation."""
    return image.transpose(_TRANSPOSE[orientation]) if orientation != 1 else image


def rgb(image: Image.Image) -> Image.Image:
    """A decoded picture as RGB with 8 bits a channel, transparency laid on white."""
    if image.mode.startswith("I"):  # 16-bit grey; Pillow's own conversion cuts everything above 255
        return _from_16_bit(image)
    if image.has_transparency_data:
        pixels = image.convert("RGBA")
        white = Image.new("RGBA", pixels.size, (255, 255, 255, 255))
        return Image.alpha_composite(white, pixels).convert("RGB")
    if image.mode == "RGB":
        return image.copy()
    if image.mode == "F":
        raise ValueError("floating-point pixels have no agreed range; save the picture with 8 or 16 bits")
    return image.convert("RGB")


def _from_16_bit(image: Image.Image) -> Image.Image:
    import numpy as np

    levels = np.asarray(image)
    if levels.dtype.itemsize > 2:
        levels = np.clip(levels, 0, 65535)
    return Image.fromarray((levels >> 8).astype(np.uint8), "L").convert("RGB")


def _within(
    path: str | Path,
    image: Image.Image,
    max_pixels: int | None,
    memory_mb: int,
    resample: Image.Resampling = Image.Resampling.LANCZOS,
) -> Image.Image:
    pixels = image.width * image.height
    if max_pixels is None or pixels <= max_pixels:
        check_memory(path, image, memory_mb, copies=_COPIES)
        return _upright_rgb(image)
    return _downscaled(path, image, math.sqrt(max_pixels / pixels), memory_mb, resample)


def _downscaled(
    path: str | Path,
    image: Image.Image,
    scale: float,
    memory_mb: int,
    resample: Image.Resampling = Image.Resampling.LANCZOS,
) -> Image.Image:
    width, height = (scaled_down(side, scale) for side in image.size)
    held, size = coefficient_bytes(image), image.size
    image.draft(None, (width, height))  # JPEG decodes to the next larger eighth; other formats ignore it
    turned = (height, width) if _orientation(image) >= 5 else (width, height)
    try:
        check_memory(path, image, memory_mb, copies=_COPIES, held=held, size=size)
        picture = _upright_rgb(image)
    except ImageProblem:
        factor = min(image.width // width, image.height // height)
        if factor < 2 or image.mode not in _REDUCIBLE or image.has_transparency_data:
            raise
        copies = _REDUCIBLE[image.mode] - (-_COPIES // factor**2)
        check_memory(path, image, memory_mb, copies=copies, held=held, size=size)
        picture = _upright_rgb(image, factor)
    return picture.resize(turned, resample, reducing_gap=3.0)


def _is_lossless(path: str | Path, format_: str) -> bool:
    if format_ != "WEBP":
        return format_ not in ("JPEG", "MPO", "AVIF")
    with open(path, "rb", opener=regular) as file:
        return b"VP8L" in file.read(64)
