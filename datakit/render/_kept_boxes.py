"""Boxes and points in kept chats, written anew in the numbers of the model that is trained."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from datakit.core.box_forms import PARTS, SeenPictures
from datakit.core.boxes import Box, BoxFault, Size, checked
from datakit.core.chat_places import ChatPlace, Shape, places_in
from datakit.core.image import ImageProblem, read_header
from datakit.core.outcome import Rejected
from datakit.core.templates import PROMPT_ROLES

KeptUnits = Literal["pixels", "thousandths"]
_KEYS = re.compile(r"""\\?["'](?:bbox|point)_2d\\?["']\s*:""")
_POINT = 2
_SHOWN = 60
Turns = Sequence[tuple[str, str]]


@dataclass(frozen=True)
class KeptBoxes:
    """What the numbers of boxes and points in kept chats are, and what they become."""

    units: KeptUnits
    seen: SeenPictures

    def rewritten(self, turns: Turns, images: Sequence[str]) -> list[tuple[str, str]] | Rejected:
        """The turns with every box in the numbers of the model, or why they cannot be.

        A prompt may name the keys without numbers, as one that asks for the form does; an answer may not.
        Doubtful places stay as they are: the emitter tells of them.
        """
        if not images:  # whatever such a chat speaks of
            return list(turns)
        try:
            found = [self._places(text, asks=role in PROMPT_ROLES) for role, text in turns]
            if not any(found):
                return list(turns)
            if len(images) != 1:
                words = f"the record has {len(images)} pictures, and its boxes do not say on which"
                return Rejected("images_too_many", f"{words}: {next(filter(None, found))[0].text[:_SHOWN]}")
            header = read_header(images[0])
            size = (header.width, header.height)
            return [
                (role, self._anew(text, places, size))
                for (role, text), places in zip(turns, found, strict=True)
            ]
        except (BoxFault, ImageProblem) as fault:
            return Rejected(fault.reason, str(fault))
        except ValueError as error:
            return Rejected("image_too_long", f"{images[0]}: {error}")

    def _places(self, text: str, *, asks: bool) -> list[ChatPlace]:
        """The places of a text that are written anew. Raises BoxFault for one that cannot be, and for an
        answer that has a key without numbers."""
        sure = [place for place in places_in(text, loose=False) if place.is_sure]
        starts = {place.start for place in sure}
        unread = next((key.start() for key in _KEYS.finditer(text) if key.start() not in starts), None)
        if unread is not None and not asks:
            words = f"an answer has no list of finite numbers in {text[unread : unread + _SHOWN]!r}"
            raise BoxFault("boxes_unreadable", words)
        return [place for place in sure if not self._stays(place)]

    def _stays(self, place: ChatPlace) -> bool:
        """Whether a place is right as it is. Raises BoxFault for one that is not, nor can be written anew,
        and where the text says another scale than the recipe."""
        shown = f"a text of the chat has {place.text[:_SHOWN]}"
        if place.scale not in ("", "shares", self.units):
            words = f"{shown}, which it says are {place.scale}, not {self.units} as `kept_boxes` says"
            raise BoxFault("boxes_unreadable", words)
        if place.is_shares:
            words = f"{shown}, whose numbers are shares of the sides, not {self.units} as `kept_boxes` says"
            raise BoxFault("boxes_unreadable", words)
        if self.units == "thousandths" and max(place.numbers) > PARTS:
            raise BoxFault("boxes_unreadable", f"{shown}, which are no thousandths of the sides")
        if place.shapes and not (place.in_thousandths and self.units == "pixels"):
            return False
        is_relative = self.units == "thousandths" and self.seen.form != "qwen2_5_vl"
        if is_relative and min(place.numbers) >= 0:
            return True
        words = f"{shown}, of which `kept_boxes` cannot know what the numbers are"
        raise BoxFault("boxes_unreadable", f"{words}: write it as `bbox_2d` or `point_2d` in the source")

    def _anew(self, text: str, places: Sequence[ChatPlace], size: Size) -> str:
        """A text with other numbers in its places, and everything else as it is."""
        pieces, end = list[str](), 0
        for shape in sorted(shape for place in places for shape in place.shapes):
            numbers = self._written(shape, size)
            for number, new in sorted(zip(shape.numbers, numbers, strict=True)):
                pieces += [text[end : number.start], str(new)]
                end = number.end
        return "".join([*pieces, text[end:]])

    def _written(self, shape: Shape, size: Size) -> list[int]:
        """A box or a point in the numbers of the model. Raises BoxFault for one that cannot be meant."""
        per = (PARTS, PARTS) if self.units == "thousandths" else size
        values = [number.value for number in shape.numbers]
        places = [value / per[at % 2] * size[at % 2] for at, value in enumerate(values)]
        if len(places) == _POINT:
            across, down = places
            if not (0 <= across <= size[0] and 0 <= down <= size[1]):
                words = f"the point {values} lies outside its picture of {size[0]} x {size[1]} pixels"
                raise BoxFault("box_outside", words)
            return list(self.seen.point((across, down), size))
        left, top, third, fourth = places
        right, bottom = (left + third, top + fourth) if shape.is_extent else (third, fourth)
        (box,), _ = checked([Box(0, (left, top, right, bottom))], [size])
        first, second, third_, fourth_ = self.seen.numbers(box.sides, size)
        ends = (third_ - first, fourth_ - second) if shape.is_extent else (third_, fourth_)
        return [first, second, *ends]
