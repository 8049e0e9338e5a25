"""Pictures as the trainer finds them: where the file is, and the size of its stored pixels."""

from __future__ import annotations

import os
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any

from datakit.core.image import FORMATS, ImageProblem, load_rgb, read_header
from datakit.core.regular_files import regular

_JPEG_END, _PNG_END = b"\xff\xd9", b"IEND\xaeB`\x82"


@dataclass(frozen=True, slots=True)
class SeenImage:
    """A picture, or what is wrong with it."""

    width: int = 0
    """Of the stored pixels: the trainer applies no EXIF rotation. 0 when unknown."""
    height: int = 0
    problem: str = ""
    """Code of a finding that stops the training at this picture."""
    detail: str = ""
    doubts: tuple[tuple[str, str], ...] = ()
    """Codes and words of findings that do not stop it."""


class ImageFiles:
    """Looks at each file once."""

    def __init__(self, folder: Path, *, decode: bool = False) -> None:
        self.folder, self.decode = folder, decode
        self._known: dict[str, SeenImage] = {}

    def look(self, place: Any) -> SeenImage:
        """The picture of a path in `media_dir` (or of an absolute one), or of a Parquet cell."""
        if isinstance(place, dict):
            return self._embedded(place)
        if not isinstance(place, str):
            return SeenImage(
                problem="picture_broken", detail=f"a picture is {type(place).__name__}, not a path"
            )
        image = self._known.get(place)
        if image is None:
            path = os.path.join(self.folder, place)
            self._known[place] = image = self._read(path, place)
        return image

    def _embedded(self, cell: dict[str, Any]) -> SeenImage:
        if cell.get("bytes") is None:
            return self.look(cell.get("path"))
        from PIL import Image

        try:
            with Image.open(BytesIO(cell["bytes"])) as image:
                return SeenImage(*image.size)
        except Exception as error:  # decoders raise anything; the finding names the record
            return SeenImage(problem="picture_broken", detail=f"embedded picture: {error}")

    def _read(self, path: str, place: str) -> SeenImage:
        try:
            header = read_header(path)
            if self.decode:
                load_rgb(path)
        except ImageProblem as error:
            return _problem(error, path, place)
        width, height = header.width, header.height
        doubts = []
        if header.exif_orientation != 1:
            doubts.append(("picture_turned", f"{place}: EXIF orientation {header.exif_orientation}"))
        if header.exif_orientation >= 5:
            width, height = height, width
        if not self.decode and _lacks_end(path, header.format, header.bytes):
            doubts.append(("picture_unfinished", f"{place}: no end marker after {header.bytes:,} bytes"))
        if os.path.isabs(place):
            doubts.append(("picture_absolute", place))
        return SeenImage(width, height, doubts=tuple(doubts))


def _problem(error: ImageProblem, path: str, place: str) -> SeenImage:
    detail = error.detail.replace(path, place)
    if error.reason in ("image_missing", "image_path_is_folder"):
        return SeenImage(problem="picture_missing", detail=detail)
    if error.reason == "image_unreadable" and _another_format(path):
        return SeenImage(doubts=(("picture_format", f"{place}: none of {', '.join(FORMATS)}"),))
    return SeenImage(problem="picture_broken", detail=detail)


def _another_format(path: str) -> bool:
    """Whether Pillow knows the file, as the trainer's does, though datakit reads no such format."""
    from PIL import Image

    try:
        with open(path, "rb", opener=regular) as file, Image.open(file) as image:
            return image.format not in FORMATS
    except Exception:  # decoders raise anything; the caller reports the file
        return False


def _lacks_end(path: str, format_: str, size: int) -> bool:
    """Whether the last bytes of a JPEG or PNG hold no end marker: a hint, found without decoding."""
    if format_ not in ("JPEG", "PNG"):
        return False
    with open(path, "rb", opener=regular) as file:
        file.seek(max(0, size - 4096))
        return (_JPEG_END if format_ == "JPEG" else _PNG_END) not in file.read()
