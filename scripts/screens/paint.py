"""Paints a page small and roughly, without a browser: its colours, boxes and drawings, and texts as bars."""

from __future__ import annotations

import base64
import colorsys
import io
import math
import re
from functools import lru_cache
from typing import NamedTuple

import numpy as np
from PIL import Image, ImageColor, ImageDraw, ImageEnhance

from screens.flow import PAGE_WIDTH, flow
from screens.tree import Node, Style, Tree, length

SCALE = 0.6
"""Pixels of the picture for one of CSS."""
_LETTERS = 0.45
"""Share of a line's height and width that is ink."""

Colour = tuple[int, int, int, int]
Box = tuple[float, float, float, float]


class Painting(NamedTuple):
    """A whole page, however long, and where its lines stand."""

    image: Image.Image
    spans: tuple[tuple[float, float], ...]
    """Top and bottom of each line of the page, pixels."""


def paint(body: str) -> Painting:
    """The picture of a page."""
    tree = Tree(body)
    root = tree.styled()
    flow(root)
    size = (round(PAGE_WIDTH * SCALE), max(round(root.height * SCALE), 8))
    canvas = _Canvas(size, len(tree.lines))
    canvas.node(root, 0.0, 0.0)
    return Painting(canvas.toned(), tuple(canvas.spans))


class _Canvas:
    def __init__(self, size: tuple[int, int], lines: int) -> None:
        self.image = Image.new("RGB", size, "#ffffff")
        self._draw = ImageDraw.Draw(self.image, "RGBA")
        self.spans = [(math.inf, -math.inf)] * lines
        self._tone: tuple[float, float] | None = None
        self._lowest = math.inf

    def toned(self) -> Image.Image:
        if self._tone is None:
            return self.image
        bright = ImageEnhance.Brightness(self.image).enhance(self._tone[0])
        return ImageEnhance.Contrast(bright).enhance(self._tone[1])

    def node(self, node: Node, x: float, y: float) -> None:
        """A node whose parent's corner is at x and y, and all that is in it."""
        x, y = x + node.x, y + node.y
        box = (x * SCALE, y * SCALE, (x + node.width) * SCALE, (y + node.height) * SCALE)
        found = re.search(r"brightness\((\d+)%\) contrast\((\d+)%\)", node.style.get("filter", ""))
        self._tone = (int(found[1]) / 100, int(found[2]) / 100) if found else self._tone
        if node.tag == "img":
            picture = _decoded(node.attributes.get("src", ""))
            if picture is not None:
                self.image.paste(picture.resize(_whole(box)), (round(box[0]), round(box[1])))
            return
        self._ground(node, box)
        if node.tag == "svg":
            self._drawing(node, box)
            return
        for left, top, width, piece, style in node.words:
            self._text((x + left, y + top, width), piece.line, style)
        before = self._lowest
        if node.style.get("overflow") == "hidden" and not node.classes & {"screen", "main"}:
            self._lowest = min(before, box[3])
        over = sorted(node.nodes, key=lambda one: (one.absolute, length(one.style.get("z-index", "0")) or 0))
        for child in over:
            self.node(child, x, y)
        self._lowest = before

    def _text(self, place: tuple[float, float, float], line: int, style: Style) -> None:
        x, y, width = place
        size = length(style.get("font-size", "13")) or 13.0
        box = (x * SCALE, (y + 0.06 * size) * SCALE, (x + width) * SCALE, (y + 0.94 * size) * SCALE)
        red, green, blue, alpha = colour(style.get("color", "#111")) or (17, 17, 17, 255)
        ink = _LETTERS * (1.3 if style.get("font-weight") == "bold" else 1.0)
        self._draw.rectangle(box, fill=(red, green, blue, round(alpha * ink)))
        first, last = self.spans[line]
        self.spans[line] = (min(first, y * SCALE), max(last, (y + size) * SCALE))

    def _ground(self, node: Node, box: Box) -> None:
        style = node.style
        value = style.get("background", style.get("background-color", ""))
        radius = min(
            length(style.get("border-radius", ""), node.width) or 0.0, node.height / 2, node.width / 2
        )
        radius *= SCALE
        if "gradient" in value and (stops := _stops(value)):
            self._blend(_gradient(value, stops, node.width / max(node.height, 1)), box)
        elif fill := colour(value):
            self._draw.rounded_rectangle(_ordered(box), radius, fill=_faded(fill, style))
        sides = {"top": (0, 1, 2, 1), "right": (2, 1, 2, 3), "bottom": (0, 3, 2, 3), "left": (0, 1, 0, 3)}
        edges = {side: _edge(style.get(f"border-{side}", "")) for side in sides}
        if edges["top"] and edges["top"] == edges["left"] == edges["bottom"]:
            width = max(round(edges["top"][0] * SCALE), 1)
            self._draw.rounded_rectangle(_ordered(box), radius, outline=edges["top"][1], width=width)
            return
        for side, edge in edges.items():
            if edge:
                line = [box[at] for at in sides[side]]
                self._draw.line(line, fill=edge[1], width=max(round(edge[0] * SCALE), 1))

    def _blend(self, layer: Image.Image, box: Box) -> None:
        layer = layer.resize(_whole(box), Image.Resampling.BILINEAR)
        self.image.paste(layer, (round(box[0]), round(box[1])), layer)

    def _drawing(self, node: Node, box: Box) -> None:
        frame = [float(one) for one in re.findall(r"[-\d.]+", node.attributes.get("viewbox", ""))]
        frame = frame if len(frame) == 4 else [0.0, 0.0, node.width or 1.0, node.height or 1.0]
        across, down = (box[2] - box[0]) / (frame[2] or 1), (box[3] - box[1]) / (frame[3] or 1)
        fit = (
            max(across, down)
            if "slice" in node.attributes.get("preserveaspectratio", "")
            else min(across, down)
        )
        middle = ((box[0] + box[2]) / 2, (box[1] + box[3]) / 2)
        place = np.array(
            [
                [fit, 0.0, middle[0] - fit * (frame[0] + frame[2] / 2)],
                [0.0, fit, middle[1] - fit * (frame[1] + frame[3] / 2)],
            ]
        )
        size = _whole(box)
        corner = (round(box[0]), round(box[1]))
        part = self.image.crop((*corner, corner[0] + size[0], corner[1] + size[1]))
        place[:, 2] -= corner
        brush = _Brush(
            ImageDraw.Draw(part, "RGBA"), _gradients(node), colour(node.style.get("color", "#111"))
        )
        brush.shapes(node, place, node.attributes)
        seen = (
            max(min(round(self._lowest) - corner[1], size[1]), 0) if math.isfinite(self._lowest) else size[1]
        )
        self.image.paste(part.crop((0, 0, size[0], seen)), corner)


class _Brush:
    """Paints the shapes of a drawing."""

    def __init__(self, draw: ImageDraw.ImageDraw, fills: dict[str, Colour], ink: Colour | None) -> None:
        self._draw, self._fills, self._ink = draw, fills, ink or (17, 17, 17, 255)

    def shapes(self, node: Node, place: np.ndarray, given: dict[str, str]) -> None:
        for child in node.nodes:
            own = {**{name: given[name] for name in ("fill", "stroke", "stroke-width") if name in given}}
            own.update(child.attributes)
            if child.tag == "g":
                self.shapes(child, _moved(place, own.get("transform", "")), own)
            elif child.tag != "defs":
                self._shape(child.tag, own, place)

    def _shape(self, tag: str, own: dict[str, str], place: np.ndarray) -> None:
        outlines = _outlines(tag, own)
        fill = self._colour(own.get("fill", "#000"))
        stroke = self._colour(own.get("stroke", "none"))
        width = (length(own.get("stroke-width", "1")) or 1.0) * float(np.hypot(*place[:, 0]))
        for outline in outlines:
            points = [tuple(point) for point in (np.asarray(outline) @ place[:, :2].T + place[:, 2]).tolist()]
            if fill and len(points) > 2:
                self._draw.polygon(points, fill=fill)
            if stroke and len(points) > 1:
                shown = _thinned(stroke, width)
                self._draw.line(points, fill=shown, width=max(round(width), 1))

    def _colour(self, value: str) -> Colour | None:
        if value.startswith("url("):
            return self._fills.get(value[5:-1])
        return self._ink if value == "currentColor" else colour(value)


def _thinned(stroke: Colour, width: float) -> Colour:
    """A line of less than a pixel covers that much of it."""
    return (*stroke[:3], round(stroke[3] * min(width, 1.0)))


def _ordered(box: Box) -> Box:
    return box[0], box[1], max(box[2], box[0]), max(box[3], box[1])


def _whole(box: Box) -> tuple[int, int]:
    return max(round(box[2] - box[0]), 1), max(round(box[3] - box[1]), 1)


def _faded(fill: Colour, style: Style) -> Colour:
    share = length(style.get("opacity", "1"))
    return (*fill[:3], round(fill[3] * (1.0 if share is None else share)))


def _edge(value: str) -> tuple[float, Colour] | None:
    width = length(value)
    fill = colour(value.split(" ", 2)[2]) if value.count(" ") >= 2 else None
    return (width, fill) if width and fill else None


@lru_cache(4096)
def colour(value: str) -> Colour | None:
    """A CSS colour; None for none."""
    value = value.strip()
    numbers = [float(one) for one in re.findall(r"-?[\d.]+", value)]
    if value.startswith("hsl") and len(numbers) >= 3:
        rgb = colorsys.hls_to_rgb(numbers[0] / 360 % 1, numbers[2] / 100, numbers[1] / 100)
        return (*(round(255 * one) for one in rgb), 255)  # type: ignore[return-value]
    if value.startswith("rgb") and len(numbers) >= 3:
        alpha = numbers[3] if len(numbers) > 3 else 1.0
        return round(numbers[0]), round(numbers[1]), round(numbers[2]), round(255 * alpha)
    if found := re.match(r"#[0-9a-fA-F]{3,8}", value):
        rgba = ImageColor.getcolor(found[0], "RGBA")
        return rgba if isinstance(rgba, tuple) and len(rgba) == 4 else None
    return None


def _stops(value: str) -> list[tuple[float, Colour]]:
    """The colours of a gradient, each with its place from 0 to 1."""
    inner = value[value.index("(") + 1 :]
    found = re.findall(r"(#[0-9a-fA-F]{3,8}|(?:hsl|rgb)a?\([^)]*\))\s*([\d.]+%)?", inner)
    shades = [(colour(one), place) for one, place in found]
    last = max(len(shades) - 1, 1)
    return [
        (float(place[:-1]) / 100 if place else at / last, one)
        for at, (one, place) in enumerate(shades)
        if one is not None
    ]


def _gradient(value: str, stops: list[tuple[float, Colour]], shape: float) -> Image.Image:
    across, down = np.meshgrid(np.linspace(0, 1, 24), np.linspace(0, 1, 24))
    if value.startswith("radial"):
        found = re.search(r"at (\d+)% (\d+)%", value)
        x, y = (int(found[1]) / 100, int(found[2]) / 100) if found else (0.5, 0.5)
        far = np.hypot((across - x) * shape, down - y)
        along = far / max(float(far.max()), 1e-6)
    else:
        turned = re.match(r"linear-gradient\((-?\d+)deg", value)
        turn = math.radians(int(turned[1]) if turned else 180)
        along = (across - 0.5) * math.sin(turn) - (down - 0.5) * math.cos(turn) + 0.5
    places = [place for place, _ in stops]
    bands = [np.interp(along, places, [shade[band] for _, shade in stops]) for band in range(4)]
    return Image.fromarray(np.stack(bands, axis=-1).astype(np.uint8), "RGBA")


def _gradients(node: Node) -> dict[str, Colour]:
    """The middle colour of each gradient that a drawing defines, by its id."""
    found = {}
    for defs in (child for child in node.nodes if child.tag == "defs"):
        for one in defs.nodes:
            shades = [colour(stop.attributes.get("stop-color", "")) for stop in one.nodes]
            known = [shade for shade in shades if shade]
            if known:
                mean = np.mean(known, axis=0).round().astype(int).tolist()
                found[one.attributes.get("id", "")] = (mean[0], mean[1], mean[2], mean[3])
    return found


def _moved(place: np.ndarray, transform: str) -> np.ndarray:
    whole = np.vstack([place, [0.0, 0.0, 1.0]])
    for name, inner in re.findall(r"(\w+)\(([^)]*)\)", transform):
        numbers = [float(one) for one in re.findall(r"[-\d.]+", inner)]
        step = np.eye(3)
        if name == "translate":
            step[:2, 2] = numbers[0], numbers[1] if len(numbers) > 1 else 0.0
        elif name == "scale":
            step[0, 0], step[1, 1] = numbers[0], numbers[-1]
        elif name == "rotate":
            turn = math.radians(numbers[0])
            step[:2, :2] = [[math.cos(turn), -math.sin(turn)], [math.sin(turn), math.cos(turn)]]
        whole = whole @ step
    moved: np.ndarray = whole[:2]
    return moved


_CIRCLE = [(math.cos(at * math.pi / 7), math.sin(at * math.pi / 7)) for at in range(14)]


def _outlines(tag: str, own: dict[str, str]) -> list[list[tuple[float, float]]]:
    def of(name: str) -> float:
        return length(own.get(name, "0")) or 0.0

    if tag == "rect":
        x, y, width, height = of("x"), of("y"), of("width"), of("height")
        return [[(x, y), (x + width, y), (x + width, y + height), (x, y + height), (x, y)]]
    if tag in ("circle", "ellipse"):
        wide, high = (of("r"), of("r")) if tag == "circle" else (of("rx"), of("ry"))
        return [[(of("cx") + wide * x, of("cy") + high * y) for x, y in [*_CIRCLE, _CIRCLE[0]]]]
    if tag == "polygon":
        numbers = [float(one) for one in re.findall(r"[-\d.]+", own.get("points", ""))]
        return [list(zip(numbers[::2], numbers[1::2], strict=False))]
    return _path(own.get("d", ""))


def _path(data: str) -> list[list[tuple[float, float]]]:
    """A path's outlines; a curve is three straight pieces."""
    outlines: list[list[tuple[float, float]]] = []
    x = y = 0.0
    bend = (0.0, 0.0)
    takes = {"M": 2, "L": 2, "H": 1, "V": 1, "Q": 4, "T": 2, "A": 7, "Z": 0}
    for letter, inner in re.findall(r"([a-zA-Z])([^a-zA-Z]*)", data):
        numbers = [float(one) for one in re.findall(r"-?\d*\.?\d+", inner)]
        kind, near = letter.upper(), letter.islower()
        size = takes.get(kind, 2)
        for start in range(0, max(len(numbers), 1), max(size, 1)):
            part = numbers[start : start + size]
            if kind == "Z" or len(part) < size:
                if outlines and outlines[-1]:
                    outlines[-1].append(outlines[-1][0])
                    x, y = outlines[-1][0]
                continue
            from_x, from_y = (x, y) if near else (0.0, 0.0)
            old = (x, y)
            x, y = (
                x if kind == "V" else from_x + part[-2 if size > 1 else 0],
                y if kind == "H" else from_y + part[-1],
            )
            if kind == "M" and start == 0:
                outlines.append([])
            if kind in "QT":
                mirrored = (2 * old[0] - bend[0], 2 * old[1] - bend[1])
                bend = (from_x + part[0], from_y + part[1]) if kind == "Q" else mirrored
                outlines[-1] += [_between(old, bend, (x, y), share) for share in (1 / 3, 2 / 3)]
            else:
                bend = (x, y)
            outlines[-1].append((x, y))
    return outlines


def _between(
    first: tuple[float, float], bend: tuple[float, float], last: tuple[float, float], share: float
) -> tuple[float, float]:
    """A point of a quadratic curve."""
    one, two, three = (1 - share) ** 2, 2 * share * (1 - share), share**2
    x, y = (one * a + two * b + three * c for a, b, c in zip(first, bend, last, strict=True))
    return x, y


def _decoded(address: str) -> Image.Image | None:
    if not address.startswith("data:image/"):
        return None
    return Image.open(io.BytesIO(base64.b64decode(address.partition(",")[2]))).convert("RGB")
