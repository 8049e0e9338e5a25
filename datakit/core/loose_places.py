"""Groups of numbers in prose that read like positions in a picture: where they stand.

No notation says so, only what stands around: a word of place before them (`在`, `at`, `click`, `左上角`), a
question that asks where, or nothing else on the line. Prices, dates, times, telephone numbers, versions,
numbers with thousands separators and ordinary lists are none.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import pairwise
from typing import NamedTuple

_END = r"(?![\w:/%\-−]|\.\d)"
_INT = rf"(?<![\w.\-−])(?<!\d[,:/])\d{{1,5}}{_END}"
_GAP = r"(?:[ \t]{0,3}[,;]\s{0,24}|\s{0,24}[\])][,;]?\s{0,24}[\[(]\s{0,24}|[ \t]{1,3})"
_GROUP = re.compile(
    rf"(?:[\[(]\s{{0,24}}){{0,2}}{_INT}(?:{_GAP}\d{{1,5}}{_END}){{1,7}}(?:\s{{0,24}}[\])]){{0,2}}", re.ASCII
)
"""Two numbers to eight, with commas, brackets or blanks between."""
_NUMBER = re.compile(r"\d+")
_THOUSANDS = re.compile(r"\d{1,3}(?:,\d{3})+")
"""1,299 and 12,340,560: one number."""
_UNIT = re.compile(
    r"\s*(?:元|块|人|名|个|件|条|张|次|分|秒|天|年|月|日|号|岁|公?斤|克|千米|公里|平|米|厘米|毫米|万|亿|度|℃|°|%|"
    r"[¥￥$€£]|(?:kg|km|cm|mm|mg|ml|kb|mb|gb|usd|rmb|yuan|dollars?|people|persons?|pieces?|items?|years?|days?|hours?|"
    r"minutes?|seconds?|times|votes|points|percent|m|g|s)\b)",
    re.IGNORECASE,
)
_MONEY = re.compile(r"(?:[¥￥$€£]|rmb|usd|cny)\s*\Z", re.IGNORECASE)
_PLACE_WORD = re.compile(
    r"坐标|位置|位于|处于|落在|[左右][上下边]|[上下]边|中心|[顶角起终]点|点击|[单双]击|长按|轻点|点[按选]|触摸|滑[动到]|"
    r"拖[动到]?|移动|移到|区域|边界|像素|[外边方]框|框选?|[在从到点处]|"
    r"action[ _]?input|"
    r"bounds?|b?box(?:es)?|rect(?:angle)?|regions?|corners?|points?|position(?:ed)?s?|locat\w+|coord\w*|"
    r"cent(?:er|re)d?|click\w*|tap\w*|press\w*|touch\w*|swip\w+|drag\w*|scroll\w*|hover\w*|mov\w+|pixels?|"
    r"cursor|mouse|pointer|\b(?:at|from|to|near|around|span\w*|cover\w*)(?!\w)",
    re.IGNORECASE,
)
_STEMS = (
    *(
        "坐标",
        "位",
        "处",
        "落在",
        "左",
        "右",
        "上",
        "下",
        "中心",
        "点",
        "击",
        "长按",
        "触",
        "滑",
        "拖",
        "移",
        "区域",
        "边",
        "像素",
    ),
    *(
        "框",
        "在",
        "从",
        "到",
        "bound",
        "box",
        "rect",
        "region",
        "corner",
        "point",
        "posit",
        "locat",
        "coord",
        "cent",
    ),
    *("click", "tap", "press", "touch", "swip", "drag", "scroll", "hover", "mov", "pixel", "cursor", "mouse"),
    *("action", "at", "from", "to", "near", "around", "span", "cover"),
)
"""A text with a word of place has one of these, which are found faster."""
_FILLER = re.compile(
    r"(?:坐标|位置|[为是约在了着处角点]|大约|[ \t]*[-_]?\b(?:is|are|at|of|the|about|around|point|position|"
    r"corner|box|left|right|pixels?|coordinates?|approximately)\b)*[\s\"'`*:=,(【\[<>]*",
    re.IGNORECASE,
)
"""What may stand between a word of place and its numbers."""
_ASKS = re.compile(
    r"哪里|哪儿|何处|坐标|位置|定位|框出|框选|圈出|标出|点击|单击|bounding|\bbox|bbox|coordinate|\bwhere\b|locat|"
    r"\bpoint (?:to|at)|\bclick|\btap\b|\bdetect|\bground",
    re.IGNORECASE,
)
_OF_AXIS = (
    r"\s?(?:轴|坐标|方向|[- ]?(?:axis|coordinate|coord|position))?\s?(?:=|:|为|是|is|∈|of|约|在|at|from|从)?"
    r"\s?[\[(]?\s?(\d{1,5})(?:\s?(?:,|~|-|–|—|到|至|to)\s?(\d{1,5}))?\s?(?:px|像素|pixels?)?[\])]?"
)
_AXES = re.compile(
    rf"(?<![a-z\d])(?:x(?!\d)|横坐标|横轴|横向|水平){_OF_AXIS}[\s,;、和与且&and]{{0,8}}"
    rf"(?<![a-z\d])(?:y(?!\d)|纵坐标|纵轴|[纵竖]向|竖直|垂直){_OF_AXIS}",
    re.IGNORECASE,
)
"""`x=1200 y=340`, `横坐标 1200，纵坐标 340`, `x∈[120,560], y∈[340,780]`."""
_RANGED = ("横向", "水平")
"""Words of axes whose numbers are places only where both are from one to another: others are sizes."""
_CROSSED = re.compile(
    r"(?<![\d.])(\d{1,5})\s?[×x*]\s?(\d{1,5})\s?(?:[-—–~→到至]|to){1,2}\s?(\d{1,5})\s?[×x*]\s?(\d{1,5})(?![\d.])",
    re.IGNORECASE,
)
"""`1200×800—2400×1600`."""
_CELLS = re.compile(r"\|" + r"[ \t]{0,24}(\d{1,5})[ \t]{0,24}\|" * 4 + r"(?![ \t]*\d)")
"""`|1200|800|2400|1600|`: the end of a row of a table."""
_EDGE = (
    r"(?:[左右上下顶底](?:部)?边[缘界框沿]?(?:坐标)?[在位于是为约:=\s]{0,6}"
    r"|\b(?:left|right|top|bottom)\s(?:edge|side|border)(?:\s?(?:is|at|[xy]|of|about|[:=]))*\s?)"
    r"\d{1,5}(?:\s?(?:px|像素|pixels?))?处?"
)
_EDGES = re.compile(rf"{_EDGE}(?:(?:[\s,;、。和与及]|\band\b|the\b){{0,8}}{_EDGE}){{3}}", re.IGNORECASE)
"""The four edges of a box, each by its name."""
_ONE_EDGE = re.compile(r"([左右上下顶底]|left|right|top|bottom)\D*?(\d+)", re.IGNORECASE)
_SIDE_OF = {
    "左": 0,
    "left": 0,
    "上": 1,
    "顶": 1,
    "top": 1,
    "右": 2,
    "right": 2,
    "下": 3,
    "底": 3,
    "bottom": 3,
}
_BEFORE = 28
LEAST = 20
"""Of the greatest number of a place; small ones alone are mostly data."""
_LEAST_OF_PAIR = 100
"""Of the greatest number of a pair that no word calls a place."""
_IS_FIELD = re.compile(
    r"""["'](?!\w*(?:size|shape|resolution|dimension|range|price|year|screen|budget|ratio|score|count|amount|value))\w+\\?["']\s*[:：]\s*\Z""",
    re.IGNORECASE,
)
"""A key of JSON whose two numbers may be a point, but for those of sizes, spans and quantities."""
_YEARS = range(1900, 2101)
_CERTAIN = re.compile(
    r"坐标|位置|左上|右上|左下|右下|中心|击|长按|滑|拖|box|bounds|corner|point|position|coord|click|tap|swip|drag",
    re.IGNORECASE,
)
"""Words of place that prices do not follow, as they do `at` and `到`."""
_MONTHS = range(1, 13)


class Loose(NamedTuple):
    """Where a group of numbers stands, and the numbers: across and down in turn."""

    start: int
    end: int
    numbers: tuple[int, ...]


def asks_where(text: str) -> bool:
    """Whether a question is about places in a picture."""
    return _ASKS.search(text) is not None


def loose_places(text: str, *, asked: bool = False) -> Iterator[Loose]:
    """The groups of numbers that read like positions; `asked`: the question before was where.

    >>> [found.numbers for found in loose_places("The button is at 1200, 340. It costs 1,200 yuan.")]
    [(1200, 340)]
    """
    for match in _AXES.finditer(text):
        left, right, top, bottom = match.groups()
        ends = (right, bottom) if right and bottom else ()
        if not ends and match[0].startswith(_RANGED):
            continue
        yield Loose(*match.span(), tuple(map(int, (left, top, *ends))))
    yield from _edges(text, asked=asked)
    rows = _rows(text)
    for match in _GROUP.finditer(text):
        numbers = tuple(int(number[0]) for number in _NUMBER.finditer(match[0]))
        is_even = len(numbers) % 2 == 0 and max(numbers) >= LEAST
        if is_even and _is_place(text, match, numbers, asked=asked, alone=match.start() in rows):
            yield Loose(*match.span(), numbers)


def _edges(text: str, *, asked: bool) -> Iterator[Loose]:
    """Boxes by the names of their edges; after the question where, also as two sizes from one to another, and
    as cells of a table."""
    for match in _EDGES.finditer(text):
        sides = {_SIDE_OF[name.lower()]: int(number) for name, number in _ONE_EDGE.findall(match[0])}
        if len(sides) == len(set(_SIDE_OF.values())):
            yield Loose(*match.span(), tuple(sides[side] for side in sorted(sides)))
    for match in (*_CROSSED.finditer(text), *_CELLS.finditer(text)) if asked else ():
        numbers = tuple(map(int, match.groups()))
        if _is_boxlike(numbers):
            yield Loose(*match.span(), numbers)


def _is_place(text: str, match: re.Match[str], numbers: tuple[int, ...], *, asked: bool, alone: bool) -> bool:
    before = text[max(match.start() - _BEFORE, 0) : match.start()].rsplit("\n", 1)[-1]
    body = match[0].strip()
    called = _is_called_place(before)
    is_one = _THOUSANDS.fullmatch(body) and not (called and _CERTAIN.search(before))
    if _is_data(text, match, body, numbers) or (is_one and not alone and not (asked and len(numbers) == 4)):
        return False
    if len(numbers) == 2 and _IS_FIELD.search(before) and max(numbers) >= _LEAST_OF_PAIR and body[:1] == "[":
        return True
    if called or (asked and (alone or body[:1] in "[(" or len(numbers) == 4)):
        return True
    if len(numbers) == 4 and (not _is_boxlike(numbers) or _is_even(numbers)):
        return False
    if len(numbers) == 2 and (max(numbers) < _LEAST_OF_PAIR or body[:1] != "("):
        return False
    is_called = before[-1:].isalnum() or before.rstrip()[-1:] in ("=", ":", '"')
    return alone or (body[:1] == "(" and len(numbers) == 2 and not is_called)


def _is_called_place(before: str) -> bool:
    """Whether what stands before numbers ends with a word of place."""
    lower = before.lower()
    if not any(stem in lower for stem in _STEMS):
        return False
    return any(_FILLER.fullmatch(before, word.end()) for word in _PLACE_WORD.finditer(before))


def _is_data(text: str, match: re.Match[str], body: str, numbers: tuple[int, ...]) -> bool:
    """Whether a group is money, of a unit, a telephone number, years, or a month."""
    if _MONEY.search(text[max(match.start() - 8, 0) : match.start()]) or _UNIT.match(text, match.end()):
        return True
    if all(number in _YEARS for number in numbers) or re.search(r"(?<!\d)0\d", body):
        return True
    return len(numbers) == 2 and numbers[0] in _YEARS and numbers[1] in _MONTHS


def _is_even(numbers: tuple[int, ...]) -> bool:
    """Whether numbers are evenly spaced and small, as in a count: 10, 20, 30, 40."""
    return len({after - before for before, after in pairwise(numbers)}) == 1 and max(numbers) < _LEAST_OF_PAIR


def _is_boxlike(numbers: tuple[int, ...]) -> bool:
    return numbers[2] - numbers[0] >= 4 and numbers[3] - numbers[1] >= 4


def _rows(text: str) -> set[int]:
    """Where the groups start that stand alone in their lines; none where other lines are rows of numbers
    too that are no boxes, as in a table."""
    found, start = dict[int, tuple[int, ...]](), 0
    for line in text.split("\n"):
        bare = line.strip(" \t\r.。`\"'")
        if match := _GROUP.fullmatch(bare):
            at = start + line.index(bare)
            found[at] = tuple(int(number[0]) for number in _NUMBER.finditer(match[0]))
        start += len(line) + 1
    if len(found) > 1 and not all(len(numbers) == 4 and _is_boxlike(numbers) for numbers in found.values()):
        return set()
    return set(found)
