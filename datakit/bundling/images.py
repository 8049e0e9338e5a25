"""A picture as small as the trainer's first resize would make it."""

from __future__ import annotations

import io
from pathlib import Path

from datakit.core.errors import UserError
from datakit.core.image import ImageProblem, read_header
from datakit.core.pixels import trainer_size
from datakit.serving.images import TrainedView

_LEVEL = 6


def at_training_size(path: Path, view: TrainedView) -> bytes | None:
    """The file's new content, a PNG whatever its name says; None where the file itself is to be packed.

    Resized as LLaMA-Factory does and kept without a loss, so that trainer and server get the very pixels that
    they would get from the file: readers go by the content, not by the name. A picture that the trainer
    leaves as it is or makes larger stays, and so does one that would be a larger file. Raises UserError for a
    picture that cannot be decoded.
    """
    try:
        header = read_header(path)
        size = trainer_size(header.width, header.height, view.trainer)
        smaller = size[0] * size[1] < header.width * header.height
        if not smaller or trainer_size(*size, view.trainer) != size:
            return None
        picture = view.image(path)
    except (ValueError, ImageProblem) as error:
        raise UserError(f"{path} cannot be packed: {error}", remedy="Build again.") from None
    buffer = io.BytesIO()
    picture.save(buffer, "PNG", compress_level=_LEVEL)
    return buffer.getvalue() if buffer.tell() < header.bytes else None
