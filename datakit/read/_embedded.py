"""Pictures that lie inside a data set, written once each to files named by their content."""

from __future__ import annotations

import hashlib
import os
import tempfile
from pathlib import Path
from typing import Any

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


class EmbeddedImages(ImagePaths):
    """Paths of pictures that a row names or holds, as bytes or as {bytes, path}."""

    def __init__(self, root: Path, context: StepContext) -> None:
        super().__init__(root)
        store = os.environ.get("DATAKIT_STORE") or context.run.store or ".datakit"
        self.folder = (context.project / Path(store).expanduser()).absolute() / "pictures"
        """Beside the project's results; a deleted picture is written again when it is read."""

    def one(self, path: Any) -> str:
        """The absolute path of one picture. Raises ImageFault."""
        if isinstance(path, dict):
            path = path.get("bytes") or path.get("path") or path.get("bytes")
        if isinstance(path, bytes):
            return self._kept(path)
        return super().one(path)

    def of(self, value: Any) -> list[str]:
        """The pictures of one cell. Raises ImageFault."""
        if isinstance(value, dict) and value.get("bytes") is None and value.get("path") is None:
            return []
        return [self.one(value)] if isinstance(value, dict | bytes) else super().of(value)

    def _kept(self, data: bytes) -> str:
        if not data:
            raise ImageFault("image_empty", "a picture has no bytes")
        name = hashlib.sha256(data).hexdigest() + _suffix(data)
        path = self.folder / name[:2] / name
        if not path.exists():
            path.parent.mkdir(parents=True, exist_ok=True)
            with tempfile.NamedTemporaryFile(dir=path.parent, prefix=".", delete=False) as file:
                file.write(data)
            os.replace(file.name, path)  # whole or absent, even when the process is killed
        return str(path)


def _suffix(data: bytes) -> str:
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return ".webp"
    return next((suffix for magic, suffix in _MAGIC.items() if data.startswith(magic)), ".img")
