"""Where the elements and texts of a page stand: blocks, lines of text, flex rows and columns, grids.

What CSS says of these, as far as the pages use it; letters are as wide as those of a usual Chinese font.
Nothing is cut off: a page that scrolls is as long as what is on it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple

from screens.tree import Node, Piece, Style, length

PAGE_WIDTH = 360.0
_NARROW = frozenset("iljI1.,:;'|!()[] ·")


class _Atom(NamedTuple):
    """What a line of text is made of: a letter or word, or an element that stands in it."""

    width: float
    height: float
    what: Node | Piece
    style: Style
    text: str


def flow(root: Node) -> None:
    """Sets the place and size of everything under the root."""
    _lay(root, PAGE_WIDTH)
    root.height = max(root.height, _lowest(root))


def _lowest(node: Node) -> float:
    """The lowest point of a node, and of what stands out of it at its bottom."""
    inner = max((child.y + _lowest(child) for child in node.nodes), default=0.0)
    return max(node.height, inner if node.tag == "div" else 0.0)


class _Frame(NamedTuple):
    """Padding and border, and the margin."""

    top: float
    right: float
    bottom: float
    left: float
    margin: tuple[float, float, float, float]
    centred: bool


def _frame(node: Node) -> _Frame:
    sides = ("top", "right", "bottom", "left")
    inner = [(node.number(f"padding-{side}") or 0) + (node.number(f"border-{side}") or 0) for side in sides]
    margin = [node.number(f"margin-{side}") or 0.0 for side in sides]
    centred = node.style.get("margin-left") == node.style.get("margin-right") == "auto"
    return _Frame(*inner, (margin[0], margin[1], margin[2], margin[3]), centred)


def _size(style: Style) -> float:
    return length(style.get("font-size", "13")) or 13.0


def _line(style: Style) -> float:
    given = style.get("line-height", "1.5")
    height = length(given) or 1.5
    return height if given.endswith("px") else height * _size(style)


def wide(text: str, size: float) -> float:
    """About how wide a text is."""
    return size * sum(1.0 if letter > "\u2e7f" else 0.3 if letter in _NARROW else 0.56 for letter in text)


def natural(node: Node) -> float:
    """Width that the node has where it may be as wide as it likes, its padding included."""
    if node.natural is None:
        node.natural = _natural(node)
    return node.natural


def _natural(node: Node) -> float:
    given = node.number("width", PAGE_WIDTH)
    if given is not None:
        return given
    if node.tag in ("svg", "img"):
        return _drawn(node, 0.0)[0]
    frame, kind = _frame(node), node.display
    children = [child for child in node.nodes if not child.absolute]
    if "flex" in kind and node.style.get("flex-direction") != "column":
        inner = sum(natural(child) + _beside(child) for child in children)
        inner += sum(
            wide(piece.text, _size(node.style)) for piece in node.children if isinstance(piece, Piece)
        )
        inner += (node.number("gap") or 0) * max(len(children) - 1, 0)
    else:
        lines, inner = 0.0, 0.0
        for child in node.children:
            if isinstance(child, Piece):
                lines += wide(child.text, _size(node.style))
            elif child.tag == "br":
                lines = 0.0
            elif child.absolute:
                continue
            elif _inline(child) and "flex" not in kind:
                lines += natural(child) + _beside(child)
            else:
                lines, inner = 0.0, max(inner, natural(child) + _beside(child))
            inner = max(inner, lines)
    width = max(inner + frame.left + frame.right, node.number("min-width") or 0.0)
    return min(width, node.number("max-width", PAGE_WIDTH) or width)


def _beside(node: Node) -> float:
    return (node.number("margin-left") or 0.0) + (node.number("margin-right") or 0.0)


def _inline(node: Node) -> bool:
    return node.display.startswith("inline")


def _drawn(node: Node, available: float) -> tuple[float, float]:
    """Width and height of a drawing."""
    width = length(node.attributes.get("width", "")) or node.number("width", available)
    height = length(node.attributes.get("height", "")) or node.number("height", available)
    wide = width or available or 100.0
    frame = [float(one) for one in node.attributes.get("viewbox", "").split()]
    return wide, height or (wide * frame[3] / frame[2] if len(frame) == 4 else wide)


def _lay(node: Node, width: float, height: float | None = None) -> None:
    """Sets the size of a node of some width, and places what it holds. A height that is given is kept."""
    node.width = width
    if node.tag in ("svg", "img"):
        node.height = height or _drawn(node, width)[1]
        return
    frame = _frame(node)
    fixed = node.number("height", height or 0.0) if "height" in node.style else height
    least = node.number("min-height") or 0.0
    if "screen" in node.classes:
        fixed, least = None, fixed or 0.0
    inner = max(width - frame.left - frame.right, 0.0)
    room = fixed - frame.top - frame.bottom if fixed is not None else max(least - frame.top - frame.bottom, 0)
    kind = node.display
    if "flex" in kind and node.style.get("flex-direction") == "column":
        used = _column(node, inner, room, frame)
    elif "flex" in kind:
        used = _row(node, inner, room, frame)
    elif "grid" in kind:
        used = _grid(node, inner, frame)
    else:
        used = _block(node, inner, room if fixed is not None else None, frame)
    content = used + frame.top + frame.bottom
    node.height = fixed if fixed is not None else max(content, least)
    _overlay(node)


def _outer(child: Node, available: float, frame: _Frame) -> float:
    """Width of a block among others."""
    width = child.number("width", available)
    if child.tag in ("svg", "img"):
        return width or length(child.attributes.get("width", "")) or available
    if width is None and "max-content" in child.style.get("width", ""):
        width = min(natural(child), available)
    if width is None:
        width = natural(child) if _inline(child) else available - frame.margin[1] - frame.margin[3]
    width = min(width, child.number("max-width", available) or width)
    return max(width, child.number("min-width") or 0.0)


def _block(node: Node, inner: float, room: float | None, frame: _Frame) -> float:
    y, run = 0.0, list[Node | Piece]()
    for child in [*node.children, None]:
        if child is not None and (isinstance(child, Piece) or (_inline(child) and not child.absolute)):
            run.append(child)
            continue
        if run:
            y += _lines(node, run, inner, (frame.left, frame.top + y))
            run = []
        if child is None or child.absolute:
            continue
        own = _frame(child)
        wanted = child.style.get("height", "")
        _lay(child, _outer(child, inner, own), room if wanted.endswith("%") else None)
        spare = inner - child.width
        child.x = frame.left + (spare / 2 if own.centred else own.margin[3])
        child.y = frame.top + y + own.margin[0]
        y += own.margin[0] + child.height + own.margin[2]
    return y


def _atoms(run: list[Node | Piece], style: Style, inner: float) -> Iterator[_Atom]:
    for child in run:
        if isinstance(child, Piece):
            size = _size(style)
            for word in re.findall(r"[\u2e80-\uffff]|[^\u2e80-\uffff\s]+|\s+", child.text):
                yield _Atom(wide(word, size), _line(style), child, style, word)
        elif child.tag == "br":
            yield _Atom(0.0, _line(style), child, style, "\n")
        elif child.display == "inline" and child.tag not in ("svg", "img"):
            yield from _atoms(list(child.children), child.style, inner)
        else:
            own = _frame(child)
            _lay(child, min(_outer(child, inner, own), inner or natural(child)))
            yield _Atom(
                child.width + _beside(child), child.height + own.margin[0] + own.margin[2], child, style, ""
            )


def _lines(node: Node, run: list[Node | Piece], inner: float, at: tuple[float, float]) -> float:
    """Breaks texts and what stands among them into lines; the height of them all."""
    lines: list[list[_Atom]] = [[]]
    used, whole = 0.0, node.style.get("white-space") == "nowrap"
    for atom in _atoms(run, node.style, inner):
        if atom.text == "\n" or (lines[-1] and not whole and used + atom.width > inner + 0.5):
            lines.append([])
            used = 0.0
        lines[-1].append(atom)
        used += atom.width
    y = at[1]
    for line in lines:
        height = max((atom.height for atom in line), default=0.0)
        spare = inner - sum(atom.width for atom in line)
        aligned = node.style.get("text-align", "")
        x = at[0] + max(spare, 0) * {"center": 0.5, "right": 1.0}.get(aligned, 0.0)
        _place(node, line, (x, y, height))
        y += height
    return y - at[1]


def _place(node: Node, line: list[_Atom], at: tuple[float, float, float]) -> None:
    x, y, height = at
    for atom in line:
        if isinstance(atom.what, Piece):
            last = node.words[-1] if node.words else None
            top = y + (height - _size(atom.style)) / 2
            if last and last[3] is atom.what and last[1] == top:
                node.words[-1] = (last[0], top, last[2] + atom.width, atom.what, atom.style)
            elif atom.text.strip():
                node.words.append((x, top, atom.width, atom.what, atom.style))
        elif atom.text != "\n":
            own = _frame(atom.what)
            atom.what.x, atom.what.y = x + own.margin[3], y + (height - atom.what.height) / 2
        x += atom.width


def _row(node: Node, inner: float, room: float, frame: _Frame) -> float:
    children = _items(node)
    gap = node.number("gap") or 0.0
    rows: list[list[Node]] = [[]]
    used = 0.0
    for child in children:
        width = natural(child) + _beside(child)
        if rows[-1] and node.style.get("flex-wrap") == "wrap" and used + width > inner:
            rows.append([])
            used = 0.0
        rows[-1].append(child)
        used += width + gap
    y = 0.0
    for row in filter(None, rows):
        y += _one_row(node, row, (inner, room if len(rows) == 1 else 0.0, y), frame) + gap
    return max(y - gap, 0.0)


def _items(node: Node) -> list[Node]:
    """The elements of a row or column, its bare texts as elements too."""
    if any(isinstance(child, Piece) for child in node.children):
        for at, child in enumerate(node.children):
            if isinstance(child, Piece):
                own = Node("span", {}, node)
                own.style = {
                    name: node.style[name]
                    for name in ("color", "font-size", "font-weight")
                    if name in node.style
                }
                own.children = [child]
                node.children[at] = own
    return [child for child in node.nodes if not child.absolute and child.tag != "br"]


def _grows(node: Node) -> bool:
    return node.style.get("flex", "").split(" ")[0] not in ("", "none", "0")


def _one_row(node: Node, row: list[Node], place: tuple[float, float, float], frame: _Frame) -> float:
    inner, room, y = place
    gap = (node.number("gap") or 0.0) * (len(row) - 1)
    growing = [child for child in row if _grows(child)]
    widths = {id(child): 0.0 if _grows(child) else _outer_in_row(child, inner) for child in row}
    beside = sum(_beside(child) for child in row)
    spare = inner - gap - beside - sum(widths.values())
    if growing:
        for child in growing:
            widths[id(child)] = max(spare / len(growing), 20.0)
    elif spare < 0:
        soft = [
            child for child in row if child.style.get("flex") != "none" and child.tag not in ("svg", "img")
        ]
        total = sum(widths[id(child)] for child in soft)
        for child in soft:
            least = natural(child) if child.style.get("white-space") == "nowrap" else 12.0
            widths[id(child)] = max(widths[id(child)] * (1 + spare / max(total, 1.0)), least)
    stretch = node.style.get("align-items", "stretch") == "stretch"
    for child in row:
        _lay(child, widths[id(child)], room or None if child.style.get("height", "").endswith("%") else None)
    height = max(room, *(child.height + sum(_frame(child).margin[::2]) for child in row))
    spare = inner - gap - beside - sum(child.width for child in row)
    x, step = _spread(node.style.get("justify-content", ""), max(spare, 0.0), len(row))
    for child in row[::-1] if node.style.get("flex-direction") == "row-reverse" else row:
        own = _frame(child)
        if stretch and "height" not in child.style and child.height < height and child.tag == "div":
            child.height = height
        centred = node.style.get("align-items") == "center"
        child.x = frame.left + x + own.margin[3]
        child.y = frame.top + y + own.margin[0] + ((height - child.height) / 2 if centred else 0.0)
        x += child.width + _beside(child) + step + (node.number("gap") or 0.0)
    return height


def _outer_in_row(child: Node, inner: float) -> float:
    if (percent := child.style.get("width", "")).endswith("%"):
        return length(percent, inner) or 0.0
    return natural(child)


def _spread(how: str, spare: float, count: int) -> tuple[float, float]:
    """Room before the first of some elements, and between two."""
    if how == "space-between" and count > 1:
        return 0.0, spare / (count - 1)
    if how == "space-around":
        return spare / count / 2, spare / count
    return spare * {"center": 0.5, "flex-end": 1.0}.get(how, 0.0), 0.0


def _column(node: Node, inner: float, room: float, frame: _Frame) -> float:
    children, gap = _items(node), node.number("gap") or 0.0
    centred = node.style.get("align-items") == "center"
    for child in children:
        own = _frame(child)
        wide_as = min(natural(child), inner) if centred else inner - own.margin[1] - own.margin[3]
        given = child.number("width", inner)
        _lay(child, given if given is not None else wide_as)
    used = sum(child.height + sum(_frame(child).margin[::2]) for child in children)
    used += gap * max(len(children) - 1, 0)
    growing = [child for child in children if _grows(child)]
    for child in growing:
        if room > used:
            child.height += (room - used) / len(growing)
            _overlay(child)
    spare = 0.0 if growing else max(room - used, 0.0)
    y, step = _spread(node.style.get("justify-content", ""), spare, max(len(children), 1))
    for child in children:
        own = _frame(child)
        child.x = frame.left + ((inner - child.width) / 2 if centred else own.margin[3])
        child.y = frame.top + y + own.margin[0]
        y += child.height + own.margin[0] + own.margin[2] + gap + step
    return max(used, room if growing else 0.0)


def _grid(node: Node, inner: float, frame: _Frame) -> float:
    columns = node.style.get("grid-template-columns", "1fr")
    repeated = re.search(r"repeat\((\d+)", columns)
    count = int(repeated[1]) if repeated else len(columns.split())
    gap, children = node.number("gap") or 0.0, _items(node)
    width = (inner - gap * (count - 1)) / count
    y = 0.0
    for start in range(0, len(children), count):
        row = children[start : start + count]
        for at, child in enumerate(row):
            own = _frame(child)
            _lay(child, _outer(child, width, own) if not _inline(child) else width)
            child.x = frame.left + at * (width + gap) + own.margin[3]
            child.y = frame.top + y + own.margin[0]
        y += max(child.height + sum(_frame(child).margin[::2]) for child in row) + gap
    return max(y - gap, 0.0)


def _overlay(node: Node) -> None:
    """Places the absolute elements by the nearest element that they may hang on."""
    for child in node.nodes:
        if not child.absolute:
            continue
        x = y = 0.0
        left, right = child.number("left", node.width), child.number("right", node.width)
        width = child.number("width", node.width)
        if width is None and left is not None and right is not None:
            width = node.width - left - right
        if width is None:
            width = min(natural(child), child.number("max-width", node.width) or node.width)
        top, bottom = child.number("top", node.height), child.number("bottom", node.height)
        height = child.number("height", node.height)
        if height is None and top is not None and bottom is not None and child.tag not in ("svg", "img"):
            height = max(node.height - top - bottom, 0.0)
        _lay(child, width, height if "sheet" not in child.classes else None)
        child.height = max(child.height, height or 0.0)
        x = left if left is not None else node.width - child.width - right if right is not None else x
        y = top if top is not None else node.height - child.height - bottom if bottom is not None else y
        if "translateX(-50%)" in child.style.get("transform", ""):
            x -= child.width / 2
        child.x, child.y = x, y
