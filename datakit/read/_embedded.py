"""Pictures that lie inside a data set, written once each to files named by their content."""

from __future__ import annotations

import base64
import hashlib
from pathlib import Path
from typing import Any

from datakit.core.private_files import private_folder
from datakit.core.remote_pictures import pictures_folder, whole_copy
from datakit.core.step_context import StepContext
from datakit.read._images import ImageFault, ImagePaths

_MAGIC = {
    b"\xff\xd8\xff": ".jpg",
    b"\x89PNG\r\n\x1a\n": ".png",
    b"GIF8": ".gif",
    b"BM": ".bmp",
    b"II*\0": ".tif",
    b"MM\0*": ".tif",
}

_UNKNOWN = ".img"
_NAMES = ("path", "url", "image", "file_name")
"""Where an object names its picture, when it does not hold it."""


class EmbeddedImages(ImagePaths):
    """Paths of pictures that a row names or holds, as bytes or as {bytes, path}."""

    def __init__(
        self, root: Path, context: StepContext, base: Path | None = None, beside: Path | None = None
    ) -> None:
        super().__init__(root, base, beside)
        self.folder = pictures_folder(context)
        """Beside the project's results; a deleted picture is written again when it is read."""

    def one(self, path: Any) -> str:
        """The absolute path of one picture. Raises ImageFault."""
        if isinstance(path, dict):
            data = path.get("bytes")
            names = (path[name] for name in _NAMES if isinstance(path.get(name), str) and path[name])
            path = _decoded(data) if isinstance(data, str) else data or next(names, data)  # JSON: base64
        return self._kept(path) if isinstance(path, bytes) else self._named(path)

    def _named(self, path: Any) -> str:
        """The picture that a row names. Raises ImageFault."""
        return super().one(path)

    def of(self, value: Any) -> list[str]:
        """The pictures of one cell. Raises ImageFault."""
        if isinstance(value, dict) and all(value.get(name) is None for name in ("bytes", *_NAMES)):
            return []
        return [self.one(value)] if isinstance(value, dict | bytes) else super().of(value)

    def within(self, pictures: list[Any]) -> list[str]:
        """Pictures that stand inside contents of turns, where data URIs are usual. Raises ImageFault."""
        return [
            self._of_uri(picture)
            if isinstance(picture, str) and picture[:5].lower() == "data:"
            else self.one(picture)
            for picture in pictures
        ]

    def _of_uri(self, uri: str) -> str:
        data = _decoded(uri.partition(",")[2])
        if data and _suffix(data) == _UNKNOWN and data[4:8] != b"ftyp":  # AVIF and HEIF begin so
            raise ImageFault("image_not_a_path", f"a data URI holds {len(data):,} bytes that are no picture")
        return self._kept(data)

    def _kept(self, data: bytes) -> str:
        if not data:
            raise ImageFault("image_empty", "a picture has no bytes")
        name = hashlib.sha256(data).hexdigest() + _suffix(data)
        path = self.folder / name[:2] / name
        if not path.exists():
            private_folder(self.folder.parent)
            with whole_copy(path) as part:
                part.write_bytes(data)
        return str(path)


def _suffix(data: bytes) -> str:
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return ".webp"
    return next((suffix for magic, suffix in _MAGIC.items() if data.startswith(magic)), _UNKNOWN)


def _decoded(text: str) -> bytes:
    try:
        return base64.b64decode("".join(text.split()), validate=True)
    except ValueError:
        raise ImageFault("image_not_a_path", f"a picture of {len(text):,} characters is no base64") from None
