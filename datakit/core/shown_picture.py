"""A picture as pages and notebooks show it: what emitters blur is blurred there too."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from datakit.core.blur import BLUR, Sides, blurred, boxes_by_image
from datakit.core.image import load_rgb, read_header

if TYPE_CHECKING:
    from PIL import Image


@dataclass(frozen=True)
class ShownPicture:
    """The picture at a path and the places of it that nobody may read, in pixels of the upright original."""

    path: Path
    boxes: tuple[Sides, ...] = ()

    def load(self, *, max_side_px: int) -> Image.Image:
        """The picture as RGB within `max_side_px`, its places blurred. Raises ImageProblem."""
        image = load_rgb(self.path, max_side_px=max_side_px)
        if not self.boxes:
            return image
        header = read_header(self.path)
        return blurred(image, self.boxes, (header.width, header.height))


def shown_pictures(record: Mapping[str, Any]) -> list[ShownPicture]:
    """The original pictures of a record in order, with what its column `blur` names."""
    boxes = boxes_by_image(record.get(BLUR))
    return [ShownPicture(Path(path), boxes.get(at, ())) for at, path in enumerate(record.get("images") or ())]
