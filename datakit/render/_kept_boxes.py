"""Boxes and points in kept chats, written anew in the numbers of the model that is trained."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal

from datakit.core.box_forms import PARTS, SeenPictures
from datakit.core.boxes import Box, BoxFault, Size, checked, is_number
from datakit.core.chat_places import places_in
from datakit.core.image import ImageProblem, read_header
from datakit.core.outcome import Rejected
from datakit.core.templates import PROMPT_ROLES

KeptUnits = Literal["pixels", "thousandths"]
_KEY = r"""\\?["'](?:bbox|point)_2d\\?["']\s*:\s*"""
_KEYS = re.compile(_KEY)
_PLACE = re.compile(rf"({_KEY})(\[[^\[\]]*(?:\[[^\[\]]*\][^\[\]]*)*\])")
"""A key and its list, or its list of lists."""
_HTML = re.compile(r"""(data-(?:bbox|point)=\\?["'])([\d\s.,-]+)""")
"""The same in the documents that Qwen2.5-VL writes: `<p data-bbox="10 20 30 40">`."""
_SIDES, _POINT = 4, 2
Turns = Sequence[tuple[str, str]]


@dataclass(frozen=True)
class KeptBoxes:
    """What the numbers of `bbox_2d` and `point_2d` in kept chats are, and what they become."""

    units: KeptUnits
    seen: SeenPictures

    def rewritten(self, turns: Turns, images: Sequence[str]) -> list[tuple[str, str]] | Rejected:
        """The turns with every box in the numbers of the model, or why they cannot be.

        A prompt may name the keys without numbers, as one that asks for the form does; an answer may not.
        """
        try:
            places = [place for role, text in turns for place in _places(text, asks=role in PROMPT_ROLES)]
            self._check_notations(turns)
            if not places:
                return list(turns)
            if len(images) != 1:
                words = f"the record has {len(images)} pictures, and its `bbox_2d` do not say on which"
                return Rejected("images_too_many" if images else "box_picture", words)
            header = read_header(images[0])
            anew = partial(self._anew, (header.width, header.height))
            return [(role, _HTML.sub(anew, _PLACE.sub(anew, text))) for role, text in turns]
        except (BoxFault, ImageProblem) as fault:
            return Rejected(fault.reason, str(fault))
        except ValueError as error:
            return Rejected("image_too_long", f"{images[0]}: {error}")

    def _check_notations(self, turns: Turns) -> None:
        """Raises BoxFault for a place that is not written anew, and does not stay right as it is."""
        stays = self.units == "thousandths" and self.seen.form != "qwen2_5_vl"
        for _, text in turns:
            for place in places_in(text):
                if place.is_plain or (stays and all(0 <= number <= PARTS for number in place.numbers)):
                    continue
                words = f"a text of the chat has {place.text[:60]}, and `kept_boxes` writes `bbox_2d` and"
                raise BoxFault("boxes_unreadable", f"{words} `point_2d` anew: write it so in the source")

    def _anew(self, size: Size, match: re.Match[str]) -> str:
        """A match of _PLACE or _HTML with other numbers; as it is where it has none."""
        value = _value(match)
        if value is None:
            return match[0]
        per = (PARTS, PARTS) if self.units == "thousandths" else size
        write = partial(self._written, size, per)
        anew = [write(item) for item in value] if isinstance(value[0], list) else write(value)
        shown = " ".join(map(str, anew)) if match.re is _HTML else json.dumps(anew)
        return f"{match[1]}{shown}"

    def _written(self, size: Size, per: Size, numbers: Sequence[float]) -> list[int]:
        """A box or a point in the numbers of the model. Raises BoxFault for one that cannot be meant."""
        places = [number / per[at % 2] * size[at % 2] for at, number in enumerate(numbers)]
        if len(places) == _SIDES:
            left, top, right, bottom = places
            (box,), _ = checked([Box(0, (left, top, right, bottom))], [size])
            return list(self.seen.numbers(box.sides, size))
        across, down = places
        if not (0 <= across <= size[0] and 0 <= down <= size[1]):
            words = f"the point {list(numbers)} lies outside its picture of {size[0]} x {size[1]} pixels"
            raise BoxFault("box_outside", words)
        return list(self.seen.point((across, down), size))


def _places(text: str, *, asks: bool) -> list[Any]:
    """The numbers of a text. Raises BoxFault for an answer that has a key without any."""
    values = [
        value for pattern in (_PLACE, _HTML) for match in pattern.finditer(text) if (value := _value(match))
    ]
    unread = next((key.start() for key in _KEYS.finditer(text) if not _is_read(text, key.start())), None)
    if unread is not None and not asks:
        words = f"an answer has no list of finite numbers in {text[unread : unread + 60]!r}"
        raise BoxFault("boxes_unreadable", words)
    return values


def _is_read(text: str, start: int) -> bool:
    match = _PLACE.match(text, start)
    return match is not None and _value(match) is not None


def _value(match: re.Match[str]) -> Any:
    """A box, a point, or a list of these; None for what is none."""
    text = match[2]
    if match.re is _HTML:
        text = f"[{','.join(text.replace(',', ' ').split())}]"
    try:
        value = json.loads(text)
    except ValueError:
        return None
    items = value if value and all(isinstance(item, list) for item in value) else [value]
    return (
        value if all(len(item) in (_SIDES, _POINT) and all(map(is_number, item)) for item in items) else None
    )
