"""A page's HTML as a tree: every element with its style, every text with the line that it is read in."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from functools import cache
from html.parser import HTMLParser
from typing import NamedTuple

_INHERITED = ("color", "font-size", "font-weight", "line-height", "text-align", "white-space")
_VOID = frozenset({"img", "br", "stop", "rect", "circle", "ellipse", "path", "polygon"})
"""Elements without an end, as the pages write them."""
_INLINE = frozenset({"b", "i", "em", "strong", "u", "s", "small"})
_BLOCK = frozenset({"div", "p"})
_VARIABLE = re.compile(r"var\((--\w+)(?:,([^()]*))?\)")

Style = dict[str, str]


class Piece(NamedTuple):
    """A text of one style."""

    text: str
    line: int
    """Number of the line that it is read in, see Tree.lines."""


class Node:
    """An element. `x` and `y` are relative to the parent's corner, all sizes CSS px; `flow` sets them."""

    def __init__(self, tag: str, attributes: dict[str, str], parent: Node | None) -> None:
        self.tag, self.attributes, self.parent = tag, attributes, parent
        self.classes = frozenset(attributes.get("class", "").split())
        self.children: list[Node | Piece] = []
        self.style: Style = {}
        self.variables: Style = {}
        self.x = self.y = self.width = self.height = 0.0
        self.words: list[tuple[float, float, float, Piece, Style]] = []
        """Texts as they stand: left, top, width."""
        self.natural: float | None = None

    @property
    def nodes(self) -> list[Node]:
        return [child for child in self.children if isinstance(child, Node)]

    @property
    def absolute(self) -> bool:
        return self.style.get("position") == "absolute"

    @property
    def display(self) -> str:
        given = self.style.get("display")
        return given or ("block" if self.tag in _BLOCK else "inline")

    def number(self, name: str, of: float = 0.0) -> float | None:
        """A length in px; a percentage is one of `of`. None where there is none, or `auto`."""
        return length(self.style.get(name, ""), of)


class Tree(HTMLParser):
    """The elements of a page under `root`, and `lines`: one for each element that has any text, in order."""

    def __init__(self, body: str) -> None:
        super().__init__()
        self.lines: list[str] = []
        self.root = Node("div", {}, None)
        self._at, self._words, self._sheet = self.root, [""], ""
        self._in_style = False
        self.feed(body)
        self.close()
        self._end("")

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._in_style |= tag in ("style", "script")
        self._end(tag)
        if self._in_style:
            return
        node = Node(tag, {name: value or "" for name, value in attrs}, self._at)
        self._at.children.append(node)
        if tag not in _VOID:
            self._at = node

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)
        if tag not in _VOID:
            self.handle_endtag(tag)
        else:
            self._end(tag)

    def handle_endtag(self, tag: str) -> None:
        self._end(tag)
        if tag in ("style", "script"):
            self._in_style = False
        elif tag not in _VOID and self._at.parent is not None:
            self._at = self._at.parent

    def handle_data(self, data: str) -> None:
        if self._in_style:
            self._sheet += data
            return
        self._words.append(data)
        if text := " ".join(data.split()):
            self._at.children.append(Piece(text, len(self.lines)))

    def _end(self, tag: str) -> None:
        if tag in _INLINE:
            return
        if line := " ".join("".join(self._words).split()):
            self.lines.append(line)
        self._words.clear()

    def styled(self) -> Node:
        """The root, once every element has its style."""
        rules = _rules(self._sheet)
        self.root.variables = dict(_variables(self._sheet))
        self.root.style = {"font-size": "13", "line-height": "1.5", "color": "#111"}
        for selectors, declared in rules:
            if [part for _, part in selectors] == ["body"]:
                self.root.style.update(_resolved(declared, self.root.variables))
        for child in self.root.nodes:
            _style(child, self.root, (child.tag, 0, 1), _Sheet.of(rules))
        return self.root


def length(value: str, of: float = 0.0) -> float | None:
    """A CSS length in px, None for what is none."""
    found = re.match(r"\s*(?:calc\()?(-?[\d.]+)(px|%|em)?(\*\.?\d+)?", value)
    if not found:
        return None
    number = float(found[1]) * (float(found[3][1:]) if found[3] else 1.0)
    return number * of / 100 if found[2] == "%" else number * 13 if found[2] == "em" else number


Rule = tuple[tuple[tuple[str, str], ...], tuple[tuple[str, str], ...]]
"""Selectors from left to right, each with what joins it to the one before, and declarations."""


@cache
def _rules(sheet: str) -> tuple[Rule, ...]:
    found: list[Rule] = []
    for names, declared in re.findall(r"([^{}]+)\{([^{}]*)\}", sheet):
        if ":root" in names or ":before" in names or ":after" in names:
            continue
        for name in names.split(","):
            parts = re.findall(r"([>\s]?)\s*([^\s>]+)", name.strip())
            found.append((tuple(parts), tuple(_declared(declared))))
    return tuple(found)


def _variables(sheet: str) -> Iterator[tuple[str, str]]:
    for declared in re.findall(r":root\{([^{}]*)\}", sheet):
        yield from _declared(declared)


def _declared(text: str) -> Iterator[tuple[str, str]]:
    for one in text.split(";"):
        name, sign, value = one.partition(":")
        if sign:
            yield name.strip(), value.strip()


class _Sheet(NamedTuple):
    """Rules by the class of the element that they are for, and the others."""

    by_class: dict[str, list[tuple[int, Rule]]]
    others: list[tuple[int, Rule]]

    @classmethod
    def of(cls, rules: tuple[Rule, ...]) -> _Sheet:
        return _indexed(rules)

    def matching(self, node: Node, place: tuple[str, int, int]) -> list[Rule]:
        known = [rule for name in node.classes for rule in self.by_class.get(name, ())]
        fits = {at: rule for at, rule in [*known, *self.others] if _matches(rule[0], node, place)}
        return [fits[at] for at in sorted(fits, key=lambda at: (_weight(fits[at][0]), at))]


@cache
def _indexed(rules: tuple[Rule, ...]) -> _Sheet:
    by_class: dict[str, list[tuple[int, Rule]]] = {}
    others = []
    for at, rule in enumerate(rules):
        names = re.findall(r"\.([\w-]+)", rule[0][-1][1])
        if names:
            by_class.setdefault(names[0], []).append((at, rule))
        elif rule[0][-1][1] not in ("*", "body"):
            others.append((at, rule))
    return _Sheet(by_class, others)


def _weight(selectors: Sequence[tuple[str, str]]) -> int:
    return sum(name.count(".") + name.count(":") for _, name in selectors)


def _matches(selectors: Sequence[tuple[str, str]], node: Node | None, place: tuple[str, int, int]) -> bool:
    joined, name = selectors[-1]
    if node is None or not _is(name, node, place):
        return False
    if len(selectors) == 1:
        return True
    parent, above = node.parent, ("", -1, -1)
    while parent is not None:
        if _matches(selectors[:-1], parent, above):
            return True
        parent = None if joined == ">" else parent.parent
    return False


@cache
def _parts(name: str) -> tuple[str, frozenset[str], str]:
    tag = re.match(r"[a-z]*", name)
    pseudo = re.search(r":([\w-]+)", name)
    classes = frozenset(re.findall(r"\.([\w-]+)", name))
    return (tag[0] if tag else ""), classes, pseudo[1] if pseudo else ""


def _is(name: str, node: Node, place: tuple[str, int, int]) -> bool:
    tag, classes, pseudo = _parts(name)
    _, at, count = place
    wanted = {"": True, "first-child": at == 0, "last-child": at == count - 1}.get(pseudo, False)
    return tag in ("", node.tag) and classes <= node.classes and wanted


def _style(node: Node, parent: Node, place: tuple[str, int, int], sheet: _Sheet) -> None:
    declared = [one for rule in sheet.matching(node, place) for one in rule[1]]
    if node.tag == "b":
        declared.insert(0, ("font-weight", "bold"))
    declared += _declared(node.attributes.get("style", ""))
    own = {name: value for name, value in declared if name.startswith("--")}
    node.variables = {**parent.variables, **own} if own else parent.variables
    node.style = {name: parent.style[name] for name in _INHERITED if name in parent.style}
    node.style.update(_resolved(declared, node.variables))
    if node.style.get("color") == "inherit":
        node.style["color"] = parent.style["color"]
    children = node.nodes
    for at, child in enumerate(children):
        _style(child, node, (child.tag, at, len(children)), sheet)


def _resolved(declared: Sequence[tuple[str, str]], variables: Style) -> Style:
    style: Style = {}
    for name, value in declared:
        if name.startswith("--"):
            continue
        while "var(" in value and (found := _VARIABLE.search(value)):
            value = value.replace(found[0], variables.get(found[1], found[2] or "0"))
        style.update(_longhand(name, value))
    return style


def _longhand(name: str, value: str) -> Style:
    """The sides of a shorthand one by one."""
    if name in ("padding", "margin"):
        parts = value.split()
        sides = [parts[at] if at < len(parts) else "" for at in range(4)]
        top, right = sides[0], sides[1] or sides[0]
        bottom, left = sides[2] or top, sides[3] or right
        return {f"{name}-top": top, f"{name}-right": right, f"{name}-bottom": bottom, f"{name}-left": left}
    if name == "inset":
        return dict.fromkeys(("top", "right", "bottom", "left"), value)
    if name == "border":
        return {f"border-{side}": value for side in ("top", "right", "bottom", "left")}
    if name == "font":
        return {"font-size": value.split("/")[0]}
    return {name: value}
