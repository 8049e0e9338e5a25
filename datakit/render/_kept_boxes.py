"""Boxes in the answers of kept chats, written anew in the numbers of the model that is trained."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from datakit.core.box_forms import PARTS, SeenPictures
from datakit.core.boxes import Box, BoxFault, checked
from datakit.core.image import ImageProblem, read_header
from datakit.core.outcome import Rejected

KeptUnits = Literal["pixels", "thousandths"]
_NUMBER = r"\s*(-?\d+(?:\.\d+)?)\s*"
_BOX = re.compile(rf'("bbox_2d"\s*:\s*)\[{_NUMBER},{_NUMBER},{_NUMBER},{_NUMBER}\]')
Turns = Sequence[tuple[str, str]]


@dataclass(frozen=True)
class KeptBoxes:
    """What the numbers of `bbox_2d` in kept chats are, and what they become."""

    units: KeptUnits
    seen: SeenPictures

    def rewritten(self, turns: Turns, images: Sequence[str]) -> list[tuple[str, str]] | Rejected:
        """The turns with every box in the numbers of the model, or why they cannot be."""
        if not any(_BOX.search(text) for _, text in turns):
            return list(turns)
        if len(images) != 1:
            words = f"the record has {len(images)} pictures, and its `bbox_2d` do not say on which"
            return Rejected("images_too_many" if images else "box_picture", words)
        try:
            header = read_header(images[0])
            size = header.width, header.height
            return [(role, _BOX.sub(lambda match: self._anew(match, size), text)) for role, text in turns]
        except (BoxFault, ImageProblem) as fault:
            return Rejected(fault.reason, str(fault))
        except ValueError as error:
            return Rejected("image_too_long", f"{images[0]}: {error}")

    def _anew(self, match: re.Match[str], size: tuple[int, int]) -> str:
        sides = [float(side) for side in match.groups()[1:]]
        per = (PARTS, PARTS) if self.units == "thousandths" else size
        left, top, right, bottom = (side / per[at % 2] * size[at % 2] for at, side in enumerate(sides))
        (box,), _ = checked([Box(0, (left, top, right, bottom))], [size])
        return f"{match[1]}{json.dumps(self.seen.numbers(box.sides, size))}"
