"""What objects with boxes say themselves of their numbers: `bbox_mode: 1`, `bbox_type: "norm_1000"`."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any, Literal

from datakit.core.boxes import BoxFault

BoxUnits = Literal["pixels", "xywh", "thousandths", "shares", "square_shares", "percent", "resized"]
_OWN_KEY = re.compile(
    r"(?:b(?:ounding_?)?box(?:_2d)?|coord(?:inate)?s?)_?(?:mode|type|format|fmt|units?|system)"
    r"|box_?(?:mode|format|fmt|units?)",
    re.IGNORECASE,
)
"""Keys that can only speak of boxes: a value that is not known is refused."""
_ANY_KEY = re.compile(r"box_?type|units?|format|mode", re.IGNORECASE)
"""Keys that may speak of other things: a value that is not known does."""
_NORMED = re.compile(r"(?:is_?)?(?:normali[sz]ed|relative)", re.IGNORECASE)
_NOT_WORD = re.compile(r"[^a-z0-9%]")
_LENGTHS = frozenset({"pt", "pts", "inch", "inches", "dp", "dip", "emu", "twip"})
"""Units of pages and screens, of which no picture says how long they are in pixels."""
_DETECTRON = ("xyxyabs", "xywhabs", "xyxyrel", "xywhrel")
"""detectron2's BoxMode by number."""
_SAYS: Mapping[str, tuple[str, str]] = {
    **dict.fromkeys(("xyxy", "ltrb", "x1y1x2y2", "xminyminxmaxymax"), ("xyxy", "")),
    **dict.fromkeys(("xyxyabs", "pascalvoc", "voc", "xyxypixels"), ("xyxy", "pixels")),
    **dict.fromkeys(("xywh", "ltwh", "xywidthheight"), ("xywh", "")),
    **dict.fromkeys(("xywhabs", "coco", "xywhpixels"), ("xywh", "pixels")),
    **dict.fromkeys(("pixel", "pixels", "px", "abs", "absolute", "real"), ("", "pixels")),
    **dict.fromkeys(("norm1", "share", "shares", "ratio", "fraction", "relative", "rel"), ("", "shares")),
    **dict.fromkeys(("normalized", "normalised", "norm01", "unit"), ("", "shares")),
    **dict.fromkeys(("xyxyrel", "xyxyn", "xyxynorm", "albumentations"), ("xyxy", "shares")),
    **dict.fromkeys(("xywhrel", "xywhn", "xywhnorm"), ("xywh", "shares")),
    **dict.fromkeys(("norm1000", "thousandths", "permille", "1000", "01000"), ("", "thousandths")),
    **dict.fromkeys(("percent", "percents", "percentage", "pct", "%"), ("", "percent")),
}
"""What a value says: how the four numbers are meant, and what they are counted in."""
_UNITS: Mapping[tuple[str, str], BoxUnits] = {
    ("xyxy", "pixels"): "pixels",
    ("xywh", "pixels"): "xywh",
    ("xyxy", "shares"): "shares",
    ("xyxy", "thousandths"): "thousandths",
    ("xywh", "percent"): "percent",
}


def own_units(item: Mapping[str, Any], number: int, given: BoxUnits | None) -> tuple[BoxUnits, bool]:
    """The units of an object's box, and whether the recipe (`given`) or the object says them.

    Raises BoxFault for words of units that are not known, for units that are not read, and where the recipe
    says another thing. What the recipe says stands where the object's word is not known.
    """
    form, scale, word = "", "", ""
    for key, value in _stated(item):
        says = _SAYS.get(_plain(value)) if _plain(value) not in _LENGTHS else None
        if says is None and given is not None:
            continue
        own = f"box {number} has `{key}: {value}`"
        if says is None:
            words = f"{own}, which is none that is read: say `box_units` in the recipe"
            raise BoxFault("boxes_unreadable", words)
        if (form and says[0] and form != says[0]) or (scale and says[1] and scale != says[1]):
            raise BoxFault("boxes_unreadable", f"{own}, and {word.split(' has ')[1]}: both cannot be")
        form, scale, word = form or says[0], scale or says[1], own
    if not word:
        return given or "pixels", given is not None
    if given is not None:
        _check_agree(form, scale, given, word)
        return given, True
    if scale == "percent" and not form and "x" in item:
        form = "xywh"
    ambiguous = scale == "percent" and not form
    units = None if ambiguous else _UNITS.get((form or "xyxy", scale or "pixels"))
    if units is None:
        form = form or "xyxy or xywh"
        raise BoxFault("boxes_unreadable", f"{word}: boxes that are {form} in {scale} are not read")
    return units, scale != "" or form == "xywh"


def _check_agree(form: str, scale: str, given: BoxUnits, word: str) -> None:
    """Raises BoxFault where an object says another thing than the recipe. Pixels say no more than nothing:
    programs write `real` whatever the numbers are."""
    theirs = next((pair for pair, units in _UNITS.items() if units == given), ("xyxy", "shares"))
    if given == "resized":
        theirs = ("xyxy", "pixels")
    if (form and form != theirs[0]) or (scale not in ("", "pixels") and scale != theirs[1]):
        raise BoxFault("boxes_unreadable", f"{word}, and the recipe says `box_units: {given}`")


def _stated(item: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """The keys of an object that say what its numbers are, and what they say."""
    for key, value in item.items():
        if value is None or value == "":
            continue
        if _OWN_KEY.fullmatch(key):
            is_number = (
                isinstance(value, int) and not isinstance(value, bool) and key.lower().endswith("mode")
            )
            yield key, _DETECTRON[value] if is_number and 0 <= value < len(_DETECTRON) else value
        elif _ANY_KEY.fullmatch(key) and (_plain(value) in _SAYS or _plain(value) in _LENGTHS):
            yield key, value
        elif _NORMED.fullmatch(key) and (value is True or _plain(value) == "true"):
            yield key, "normalized"


def _plain(value: Any) -> str:
    """A value without case, signs and the name of its class: `BoxMode.XYWH_ABS` is xywhabs."""
    return _NOT_WORD.sub("", str(value).lower().rpartition(".")[2])


def stated_scale(item: Mapping[str, Any]) -> str:
    """What an object says that its numbers are counted in (`pixels`, `shares`, `thousandths`, `percent`); ""
    where it says nothing that is known."""
    scales = (_SAYS.get(_plain(value), ("", ""))[1] for _, value in _stated(item))
    return next(filter(None, scales), "")
