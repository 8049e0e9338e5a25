"""Boxes and points in the texts of chats, in whatever notation: where they stand, and their numbers."""

from __future__ import annotations

import re
from typing import NamedTuple

_NUMBERS = r"[-+\d.eE,;\s\[\]()]*"
_LIST = rf"[\[(][\s\[(]*-?\.?\d{_NUMBERS}"
_QUOTE = r"""\\?["']"""
_KEY = rf"""(?:{_QUOTE}(?:bbox|box|point)(?:_2d)?{_QUOTE}|(?<![\w"'-])(?:bbox|bbox_2d|point_2d))\s*[:=]\s*"""
_MARK = r"(?:<\|(?:box|quad)_start\|>|<(?:box|quad)>)"
_HTML = rf"""data-(?:bbox|point)={_QUOTE}"""
_PLACE = re.compile(
    rf"(?P<key>{_KEY}|{_MARK})\s*(?P<list>{_LIST})|(?P<html>{_HTML})(?P<run>[\s\[]*-?\d{_NUMBERS})",
    re.IGNORECASE,
)
_WRITTEN_ANEW = re.compile(rf"{_QUOTE}(?:bbox|point)_2d{_QUOTE}\s*:\s*\Z")
"""The key that `kept_boxes` writes anew, besides those of HTML."""
_NUMBER = re.compile(r"-?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?")


class ChatPlace(NamedTuple):
    """One box, one point, or a list of them."""

    text: str
    numbers: tuple[float, ...]
    is_plain: bool
    """Whether it stands in JSON as `bbox_2d` or `point_2d`, or in HTML as `data-bbox`."""


def places_in(text: str) -> list[ChatPlace]:
    """The places of a text; keys without numbers are none.

    >>> [place.numbers for place in places_in('{"bbox_2d": [1, 2, 30, 40]} <box>(5,6),(7,8)</box>')]
    [(1.0, 2.0, 30.0, 40.0), (5.0, 6.0, 7.0, 8.0)]
    """
    return [
        ChatPlace(
            match[0].strip(),
            tuple(float(number) for number in _NUMBER.findall(match["list"] or match["run"])),
            match["html"] is not None or _WRITTEN_ANEW.match(match["key"]) is not None,
        )
        for match in _PLACE.finditer(text)
    ]
