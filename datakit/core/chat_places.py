"""Boxes and points in the texts of chats, in whatever notation: where they stand, and their numbers.

A place is sure where its notation has no other sense: a key such as `bbox_2d`, a mark such as
`<|box_start|>`, the names of four sides, a click. It is doubtful where the same text may be data:
`"position": [3, 4]`, a bare list of four numbers, the attributes of SVG. Some sure places cannot be written
anew, because models disagree about them: `bbox` has right and lower edge or width and height, `box_2d` and
`point` are y first in Gemini's.
"""

from __future__ import annotations

import re
from bisect import bisect
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from datakit.core.box_texts import json_in
from datakit.core.box_units import stated_scale
from datakit.core.loose_places import LEAST, loose_places

MAYBE = (
    r"(?i)box|point|quad|coord|polygon|segmentation|rect|roi|region|corner|vertices|position|location|cent|"
    r"(?:^|\W)x_?(?:1|min)(?:\W|$)|left|[\"'\\]c?x|click|tap|press|swipe|drag|hover|move_?to|det|坐标|位置|"
    r"bounds|action.?input|\d\s*[\]）)］]*[,，;；\s]\s*[\[(（［]*\s*\d|(?:^|\W)x\W\D{0,13}\d|"
    r"[横纵][轴向]|水平|竖直|[左右上下]边|\d\s?[×x*]\s?\d+\s?\D{1,3}\d|\d[ \t]*\|[ \t]*\d"
)
"""Matches every text with places, and others: cheap, in the syntax that polars has too.

No `\\b` stands in it: where a text is not ASCII, polars' quick engine gives up at one."""

_QUOTE = r"""\\?["']"""
_RUN = r"[\s\[(]*-?\.?\d[-+\d.eE,;\s\[\]()]*"
_STRINGS = r"""\[[\s\[]*\\?["']\s*-?\.?\d[-+\d.eE,;\s\[\]"'\\]*\]"""
"""A list of numbers in quotation marks."""
_BOX_KEY = r"(?:b|bounding_?)?box(?:es)?(?:_?2d)?"
_FIELD_KEY = r"(?:start|end)_(?:box|point)"
_KEYPOINTS = r"key_?points?(?:_?2d)?"
_POINT_KEY = (
    rf"{_KEYPOINTS}|(?:start_|end_)?(?:point|coordinate)s?\d?(?:_?2d)?|coords?|polygons?|quads?|segmentation"
)
_DOUBTFUL_KEY = r"rect|rectangle|roi|region|corners|vertices|position|location|cent(?:er|re)"
_TOLD_KEY = re.compile(
    rf"b(?:ounding_?)?box(?:es)?_?2d|{_FIELD_KEY}|points?_?2d|(?:start_|end_)?coordinates?\d?|coords?|"
    r"polygons?|quads?|segmentation"
)
"""Keys whose numbers are the same wherever they stand."""
_BARE_KEY = rf"bbox(?:es)?(?:_?2d)?|points?_2d|coords?|{_FIELD_KEY}"
_KEYED = re.compile(
    rf"""(?:{_QUOTE}(?P<quoted>{_BOX_KEY}|{_FIELD_KEY}|{_POINT_KEY}|{_DOUBTFUL_KEY}){_QUOTE}"""
    rf"""|(?<![\w"'\\-])(?P<bare>{_BARE_KEY}))\s*[:=]\s*(?:(?P<strings>{_STRINGS})|(?P<open>{_QUOTE})?(?P<run>{_RUN}))""",
    re.IGNORECASE,
)
_MARKED = re.compile(
    r"(?P<mark><(?:\|(?:box|quad|point)_start\||\|det\||box|quad|points?|(?P<other>bbox|bounding_?box|coord(?:inate)?s?))>)"
    rf"(?P<run>{_RUN})",
    re.IGNORECASE,
)
"""Marks of thousandths, but for those of points; what is in `other` marks, no model's own, is not known."""
_ATTRIBUTE = re.compile(
    rf"(?:data-(?:bbox|point|polygon|coords?)\s*=\s*{_QUOTE}|(?<![\w-])bbox(?=(?:\s+\d+){{4}}))(?P<run>{_RUN})",
    re.IGNORECASE,
)
"""In HTML: the attributes of Qwen2.5-VL's documents, and the word of hOCR."""
_BOUNDS = re.compile(
    rf"(?<![\w-])bounds(?:{_QUOTE})?\s*[:=]\s*(?:{_QUOTE})?(?P<run>\[\d+,\s*\d+\]\s*,?\s*\[\d+,\s*\d+\])",
    re.IGNORECASE,
)
"""Of Android's trees of views: two corners."""
_NUMBER = re.compile(r"-?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?")
_INNERMOST = re.compile(r"[\[(]([^\[\]()]*)[\])]")
_BETWEEN = re.compile(r"""[\s,;\[\]()"'\\]*""")
_NARROW = {code: code - 0xFEE0 for code in range(0xFF01, 0xFF5F)} | {ord("【"): "[", ord("】"): "]"}
"""Full-width signs, as Chinese keyboards give them -> those of ASCII, each one for one."""

_SIDE = (
    r"x_?[012]|y_?[012]|coord(?:inate)?_?[xy]|[xy]_?coord(?:inate)?|[xy]_?min|[xy]_?max|"
    r"left|top|right|bottom|width|height|c?x|c?y|w|h"
)
_PAIR = (
    rf"(?<![\w.-])(?:{_QUOTE})?(?:{_SIDE})(?:{_QUOTE})?\s*[:=]\s*(?:{_QUOTE})?"
    rf"-?\d+(?:\.\d+)?(?:{_QUOTE})?(?![\w.%])"
)
_SIDES = re.compile(rf"(?P<tag><points?\s+)?(?P<pairs>{_PAIR}(?:[\s,;]*{_PAIR}){{1,3}})", re.IGNORECASE)
_ONE_SIDE = re.compile(
    rf"(?P<quote>{_QUOTE})?(?P<name>{_SIDE})(?:{_QUOTE})?\s*[:=]\s*(?:{_QUOTE})?(?P<number>-?\d+(?:\.\d+)?)",
    re.IGNORECASE,
)
_CORNERS = (
    ("x1", "y1", "x2", "y2"),
    ("x0", "y0", "x1", "y1"),
    ("xmin", "ymin", "xmax", "ymax"),
    ("left", "top", "right", "bottom"),
)
_EDGES = _CORNERS[-1]
_MARGIN = re.compile(r"(?:margins?|padding|inset|border|offsets?)\W*\Z", re.IGNORECASE)
_EXTENTS = (("x", "y", "width", "height"), ("x", "y", "w", "h"), ("left", "top", "width", "height"))
_COORDINATES = tuple((f"{word}x", f"{word}y") for word in ("coordinate", "coord"))
_COORDINATES += tuple((f"x{word}", f"y{word}") for word in ("coordinate", "coord"))
_CENTRED = ({"cx", "cy", "w", "h"}, {"cx", "cy", "width", "height"})
_PERCENT = 100
"""Molmo's points are percents of the sides."""

_SAYS_SCALE = re.compile(
    r"""["'](?:\w*(?:mode|type|format|fmt|units?|system)|\w*(?:normali[sz]ed|relative))["']\s*:""", re.I
)
"""A key that may say what numbers are counted in."""
_N = r"\s*-?\d+(?:\.\d+)?\s*"
_ACTION = re.compile(
    r"(?<![a-z])(?:(?:left|right|middle|double|triple|long)?_?(?:click|tap|press)|swipe|drag|hover|move)"
    rf"(?:_?to)?\s*\((?P<run>\s*(?:x\s*=)?{_N},\s*(?:y\s*=)?{_N}(?:,{_N},{_N})?)(?=[,)])",
    re.IGNORECASE,
)
_D = r"\d+(?:\.\d+)?"
_LISTED = re.compile(
    rf"(?<![A-Za-z0-9_=(])(?<!= )(?P<run>\[\s*{_D}\s*,\s*{_D}\s*,\s*{_D}\s*,\s*{_D}\s*\]"
    rf"|\(\s*{_D}\s*,\s*{_D}\s*\)\s*,?\s*\(\s*{_D}\s*,\s*{_D}\s*\))"
)
_PAIR_BEGINS = re.compile(rf"[\[(]\s*{_D}\s*,\s*\d")
_SAID = re.compile(
    r"(?:坐标|位置|bounding box|coordinates?)[^\d\n\[(\"]{0,16}"
    rf"(?P<run>[\[(]\s*{_D}\s*,\s*{_D}(?:\s*,\s*{_D}\s*,\s*{_D})?\s*[\])])",
    re.IGNORECASE,
)


class Number(NamedTuple):
    """A number of a text, and where it stands."""

    start: int
    end: int
    value: float


class Shape(NamedTuple):
    """One box or one point."""

    numbers: tuple[Number, ...]
    """Of a box: left, top, then right and bottom, or width and height. Of a point: across and down."""
    is_extent: bool = False
    """Whether the box has width and height."""


class ChatPlace(NamedTuple):
    """One box, one point, or several in one list."""

    start: int
    end: int
    text: str
    numbers: tuple[float, ...]
    shapes: tuple[Shape, ...] = ()
    """What the numbers are, for writing them anew; none where nothing says it."""
    is_sure: bool = True
    in_thousandths: bool = False
    """Whether the notation is one of thousandths of the sides (`<|box_start|>`, `<box>`)."""
    said: str = ""
    """What the text says that its boxes are counted in: `pixels`, `shares`, `thousandths`, `percent`."""

    @property
    def scale(self) -> str:
        """What the text says of these numbers: shares over one are thousandths."""
        return "thousandths" if self.said == "shares" and max(self.numbers) > 1 else self.said

    @property
    def is_likely(self) -> bool:
        """Whether a doubtful place may well be one: those with small numbers alone are mostly data."""
        return self.is_sure or max(self.numbers) >= LEAST

    @property
    def is_shares(self) -> bool:
        """Whether the numbers are shares of the sides, which no resizing moves."""
        return all(0 <= number <= 1 for number in self.numbers) and not _all_whole(self.numbers)


def places_in(text: str, *, asked: bool = False, loose: bool = True) -> list[ChatPlace]:
    """The places of a text in order, sure ones and doubtful ones; keys without numbers are none.

    `asked`: the question before was where something is, so that bare numbers may be a place too.
    Without `loose` numbers that no notation holds are left out, which are always doubtful.

    >>> [place.numbers for place in places_in('{"bbox_2d": [1, 2, 30, 40]} <box>(5,6),(7,8)</box>')]
    [(1.0, 2.0, 30.0, 40.0), (5.0, 6.0, 7.0, 8.0)]
    """
    given, text = text, text.translate(_NARROW)
    places, lower = list[ChatPlace](), text.lower()
    for words, found in _NOTATIONS.items():
        if any(word in lower for word in words):
            taken = sorted((place.start, place.end) for place in places)
            places += [place for place in found(text) if not _overlaps(place, taken)]
    taken = sorted((place.start, place.end) for place in places)
    for group in loose_places(text, asked=asked) if loose else ():
        place = ChatPlace(group.start, group.end, "", tuple(map(float, group.numbers)), is_sure=False)
        places += [] if _overlaps(place, taken) else [place]
    said = _scale_of(given) if places else ""
    return sorted(place._replace(text=given[place.start : place.end].strip(), said=said) for place in places)


def _scale_of(text: str) -> str:
    """What the objects of a text say that its boxes are counted in (`"unit": "px"`); "" for nothing."""
    if _SAYS_SCALE.search(text) is None:
        return ""
    return next(filter(None, map(stated_scale, _objects(json_in(text)))), "")


def _objects(value: Any) -> Iterator[Mapping[str, Any]]:
    """All objects of a JSON value, the outer first."""
    if isinstance(value, Mapping):
        yield value
    for inner in value.values() if isinstance(value, Mapping) else value if isinstance(value, list) else ():
        yield from _objects(inner)


def _overlaps(place: ChatPlace, taken: list[tuple[int, int]]) -> bool:
    at = bisect(taken, (place.start, place.end))
    return any(start < place.end and place.start < end for start, end in taken[max(at - 1, 0) : at + 1])


def _keyed(text: str) -> Iterator[ChatPlace]:
    for match in _KEYED.finditer(text):
        name = (match["quoted"] or match["bare"]).lower()
        what = "strings" if match["strings"] else "run"
        end = _list_end(text, *match.span(what))
        if match["open"] is not None:
            end = match.end("run")
            if re.match(_QUOTE, text[end : end + 2]) is None:
                continue  # words follow
        elif match[what].lstrip()[:1] not in ("[", "("):
            continue
        is_box = re.fullmatch(rf"{_BOX_KEY}|(?:start|end)_box", name) is not None
        place = _place(text, (match.start(), match.start(what), end), is_box=is_box)
        if place is not None:
            is_sure = _is_sure(name, place, is_box=is_box)
            shapes = place.shapes if is_sure and _TOLD_KEY.fullmatch(name) else ()
            yield place._replace(shapes=shapes, is_sure=is_sure)


def _is_sure(name: str, place: ChatPlace, *, is_box: bool) -> bool:
    """Whether a key can only be one of places: `coordinates` may be those of a map."""
    if re.fullmatch(_KEYPOINTS, name):  # or the main points of a text
        return _all_whole(place.numbers) and max(place.numbers) >= LEAST
    if name == "points" or re.fullmatch(_DOUBTFUL_KEY, name):
        return False
    return is_box or "point" in name or (_all_whole(place.numbers) and min(place.numbers) >= 0)


def _marked(text: str) -> Iterator[ChatPlace]:
    for match in _MARKED.finditer(text):
        name = match["mark"].lower()
        is_box = "box" in name or "det" in name
        place = _place(text, (match.start(), *match.span("run")), is_box=is_box, pairs_are_boxes=True)
        if place is not None:
            shapes = () if match["other"] else place.shapes
            yield place._replace(in_thousandths=not match["other"] and "point" not in name, shapes=shapes)


def _attributes(text: str) -> Iterator[ChatPlace]:
    for match in _ATTRIBUTE.finditer(text):
        is_box = "bbox" in text[match.start() : match.start("run")].lower()
        if place := _place(text, (match.start(), *match.span("run")), is_box=is_box):
            yield place
    for match in _BOUNDS.finditer(text):
        span = (match.start(), *match.span("run"))
        if place := _place(text, span, is_box=True, pairs_are_boxes=True):
            yield place


def _sided(text: str) -> Iterator[ChatPlace]:
    """Numbers that are named `x1`, `left`, `width` and the like."""
    for match in _SIDES.finditer(text):
        pairs = list(_ONE_SIDE.finditer(text, *match.span("pairs")))
        names = [pair["name"].lower().replace("_", "") for pair in pairs]
        numbers = {
            name: Number(*pair.span("number"), float(pair["number"]))
            for name, pair in zip(names, pairs, strict=True)
        }
        place = ChatPlace(*match.span(), match[0].strip(), tuple(number.value for number in numbers.values()))
        is_quoted = all(pair["quote"] for pair in pairs)
        if match["tag"]:
            if found := _tagged(place, numbers):
                yield found
            continue
        for orders, is_extent in ((_CORNERS, False), (_EXTENTS, True)):
            if order := next((order for order in orders if set(order) == set(names)), None):
                shape = Shape(tuple(numbers[name] for name in order), is_extent)
                if order == _EDGES and _is_margin(text[: match.start()], shape):
                    continue
                yield place._replace(shapes=(shape,) if is_quoted else (), is_sure=is_quoted)
        if point_order := next((order for order in _COORDINATES if set(order) == set(names)), None):
            is_sure = is_quoted and _all_whole(place.numbers) and min(place.numbers) >= 0
            point = Shape(tuple(numbers[name] for name in point_order))
            yield place._replace(shapes=(point,) if is_sure else (), is_sure=is_sure)
        elif is_quoted and set(names) in _CENTRED:
            yield place
        elif is_quoted and set(names) == {"x", "y"}:
            yield place._replace(is_sure=False)


def _is_margin(before: str, edges: Shape) -> bool:
    """Whether left, top, right and bottom are distances from the sides, as those of charts and pages."""
    return not _is_boxlike([number.value for number in edges.numbers], 0) or bool(
        _MARGIN.search(before[-24:])
    )


def _tagged(place: ChatPlace, numbers: dict[str, Number]) -> ChatPlace | None:
    """`<point x="540" y="234">`, or Molmo's percents, which no resizing moves."""
    if all(0 <= number <= _PERCENT for number in place.numbers) and not _all_whole(place.numbers):
        return None
    if set(numbers) == {"x", "y"} and max(place.numbers) > _PERCENT:
        return place._replace(shapes=(Shape((numbers["x"], numbers["y"])),))
    return place


def _acted(text: str) -> Iterator[ChatPlace]:
    for match in _ACTION.finditer(text):
        numbers = [
            Number(*found.span(), float(found[0])) for found in _NUMBER.finditer(text, *match.span("run"))
        ]
        yield ChatPlace(
            *match.span(), match[0], tuple(number.value for number in numbers), tuple(_points(numbers))
        )


def _numbers_alone(text: str) -> Iterator[ChatPlace]:
    """Lists that may be boxes, or anything else."""
    if _PAIR_BEGINS.search(text) is None:
        return
    for pattern in (_SAID, _LISTED):
        for match in pattern.finditer(text):
            place = _place(text, (match.start(), *match.span("run")), is_box=True)
            if place is not None and (pattern is _SAID or _is_boxlike(place.numbers)):
                yield place._replace(shapes=(), is_sure=False)


def _is_boxlike(numbers: Sequence[float], least: int = 4) -> bool:
    return numbers[2] - numbers[0] >= least and numbers[3] - numbers[1] >= least


def _place(
    text: str, span: tuple[int, int, int], *, is_box: bool, pairs_are_boxes: bool = False
) -> ChatPlace | None:
    """The numbers from the second place of `span` to the third; None for fewer than two."""
    first, start, end = span
    numbers = [Number(*found.span(), float(found[0])) for found in _NUMBER.finditer(text, start, end)]
    if len(numbers) < 2:
        return None
    values = tuple(number.value for number in numbers)
    shapes = _shapes(text, (start, end), numbers, is_box=is_box, pairs_are_boxes=pairs_are_boxes)
    return ChatPlace(first, end, text[first:end].strip(), values, tuple(shapes))


def _shapes(
    text: str, span: tuple[int, int], numbers: list[Number], *, is_box: bool, pairs_are_boxes: bool
) -> list[Shape]:
    """Numbers as boxes or points by the innermost brackets around them; none where they are neither."""
    body = text[slice(*span)]
    if not _BETWEEN.fullmatch(_NUMBER.sub("", body)) or _depth(body):
        return []
    lists = [(span[0] + found.start(), span[0] + found.end()) for found in _INNERMOST.finditer(body)] or [
        span
    ]
    groups = [[number for number in numbers if start <= number.start < end] for start, end in lists]
    lengths = {len(group) for group in groups}
    if sum(map(len, groups)) < len(numbers) or any(length % 2 for length in lengths):
        return []
    if is_box and pairs_are_boxes and lengths == {2} and len(groups) == 2:
        return [Shape((*groups[0], *groups[1]))]
    if is_box and lengths == {4}:
        return [Shape(tuple(group)) for group in groups]
    return [] if is_box and lengths != {2} else [shape for group in groups for shape in _points(group)]


def _points(numbers: Sequence[Number]) -> list[Shape]:
    return [Shape((across, down)) for across, down in zip(numbers[::2], numbers[1::2], strict=True)]


def _depth(body: str) -> int:
    """How many brackets are open at the end."""
    return sum(body.count(mark) for mark in "[(") - sum(body.count(mark) for mark in "])")


def _list_end(text: str, start: int, end: int) -> int:
    """Where the list that starts there is closed; `end` where it is not before."""
    depth = 0
    for at in range(start, end):
        depth += (text[at] in "[(") - (text[at] in "])")
        if depth == 0 and text[at] in "])":
            return at + 1
    return end


def _all_whole(numbers: Sequence[float]) -> bool:
    return all(float(number).is_integer() for number in numbers)


_NOTATIONS: dict[tuple[str, ...], Callable[[str], Iterator[ChatPlace]]] = {
    (
        *("box", "point", "coord", "polygon", "quad", "segmentation", "rect", "roi", "region", "corner"),
        *("vertices", "position", "location", "cent"),
    ): _keyed,
    ("<",): _marked,
    ("bbox", "data-", "bounds"): _attributes,
    ("x1", "x_1", "coord", "xmin", "x_min", "left", 'x"', "x\\", "x'", "x=", "x ="): _sided,
    ("click(", "click (", "tap", "press", "swipe", "drag", "hover", "move", "to("): _acted,
    ("[", "("): _numbers_alone,
}
"""Words of which a text has one where it has places of a kind, in lower case -> what finds them; the surest
first. The words keep most texts from being searched."""
