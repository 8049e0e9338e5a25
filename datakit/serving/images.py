"""Pictures as the training saw them: written as the build would, then resized as LLaMA-Factory does.

The model's processor resizes once more, in training and at the server alike. Sent as PNG, so that not a
pixel changes on the way.
"""

from __future__ import annotations

import base64
import io
import tempfile
from dataclasses import dataclass
from pathlib import Path

from PIL import Image

from datakit.core.image import ImageProblem, is_plain, read_header, save_upright
from datakit.core.pixels import TrainerLimits, trainer_size
from datakit.core.regular_files import regular

_PNG_LEVEL = 1
"""Quick: the pictures travel to a server nearby."""


@dataclass(frozen=True)
class TrainedView:
    """How pictures reach the model in training."""

    emitted_max_pixels: int | None
    """What emit.llamafactory scales down to (`images: resize`); None where it only links or copies."""
    trainer: TrainerLimits

    def image(self, path: str | Path) -> Image.Image:
        """The picture after the trainer's own resize, in RGB. Raises ImageProblem."""
        image = self._as_trainer_reads(Path(path))
        try:
            size = trainer_size(*image.size, self.trainer)
        except ValueError as error:
            raise ImageProblem("image_too_long", f"{path}: {error}") from None
        if size != image.size:
            # LLaMA-Factory resizes first and converts then, with Pillow's own default (bicubic).
            image = image.resize(size)
        return image if image.mode == "RGB" else image.convert("RGB")

    def png(self, path: str | Path) -> bytes:
        """The same as a file, of its pixels alone. Raises ImageProblem for one that cannot be used."""
        image = self.image(path)
        image.info.clear()  # a colour profile, which no trainer and no server reads
        buffer = io.BytesIO()
        image.save(buffer, "PNG", compress_level=_PNG_LEVEL)
        return buffer.getvalue()

    def data_url(self, path: str | Path) -> str:
        """The picture as a data address."""
        return "data:image/png;base64," + base64.b64encode(self.png(path)).decode("ascii")

    def _as_trainer_reads(self, path: Path) -> Image.Image:
        """The decoded file that the build holds, or would hold, for this picture."""
        header = read_header(path)
        most = self.emitted_max_pixels
        if is_plain(header) and (most is None or header.width * header.height <= most):
            return _decoded(path)
        with tempfile.TemporaryDirectory() as folder:
            return _decoded(save_upright(path, Path(folder) / "picture", max_pixels=most))


def _decoded(path: Path) -> Image.Image:
    """The pixels of a plain file as they are: RGB or grey. Raises ImageProblem for one that is cut short."""
    try:
        with open(path, "rb", opener=regular) as file, Image.open(file) as image:
            image.load()
            return image.copy()
    except (OSError, SyntaxError, ValueError) as error:
        raise ImageProblem("image_truncated", f"{path}: cannot be decoded ({error})") from error
