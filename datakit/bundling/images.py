"""A picture as small as the trainer's first resize would make it."""

from __future__ import annotations

import io
from pathlib import Path

from PIL import Image

from datakit.core.errors import UserError
from datakit.core.image import ImageProblem, load_rgb
from datakit.core.pixels import TrainerLimits, trainer_size

_SAVED: dict[str, dict[str, int]] = {
    ".jpg": {"quality": 95, "subsampling": 0},
    ".png": {"compress_level": 6},
    ".webp": {"quality": 95, "method": 4},
}
_FORMATS = {".jpg": "JPEG", ".png": "PNG", ".webp": "WEBP"}


def at_training_size(path: Path, limits: TrainerLimits) -> bytes | None:
    """The file's new content in its own format; None where the trainer would leave the picture as it is.

    Resized as LLaMA-Factory does (Pillow's bicubic), so that the trainer's first resize finds nothing to do.
    A picture that is to grow stays: growing is cheap there, and would only make the archive larger. Raises
    UserError for a picture that cannot be decoded.
    """
    try:
        with Image.open(path) as image:
            size = image.size
        wanted = trainer_size(*size, limits)
        if wanted[0] * wanted[1] >= size[0] * size[1] or trainer_size(*wanted, limits) != wanted:
            return None
        picture = load_rgb(path)
    except (OSError, ValueError, ImageProblem) as error:
        raise UserError(f"{path} cannot be packed: {error}", remedy="Build again.") from None
    buffer = io.BytesIO()
    suffix = path.suffix.lower()
    picture.resize(wanted, Image.Resampling.BICUBIC).save(buffer, _FORMATS[suffix], **_SAVED[suffix])
    return buffer.getvalue()
