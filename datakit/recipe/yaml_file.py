"""YAML with the line and column of every key. Plain data only: tags that make objects are errors."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ruamel.yaml.nodes import MappingNode, Node, SequenceNode

from datakit.core.errors import UserError
from datakit.core.plain_yaml import Key, YamlFault, compose, shortened, value_of
from datakit.core.regular_files import read_regular
from datakit.core.shown_path import show_path
from datakit.core.text_encoding import decoded

Place = tuple[int, int]
MAX_NODES = 100_000  # an alias bomb would expand beyond this


@dataclass
class YamlFile:
    """A document and where each of its values stands."""

    path: Path
    data: Any
    text: str
    places: dict[Key, Place] = field(default_factory=dict)

    def where(self, key: Key) -> str:
        """`file:line:column` of a key, or of the nearest one above it."""
        while key and key not in self.places:
            spelled = (*key[:-1], str(key[-1]))  # keys that YAML reads as numbers
            key = spelled if spelled in self.places else key[:-1]
        line, column = self.places.get(key, (1, 1))
        return f"{show_path(self.path)}:{line}:{column}"


def load_yaml(path: Path) -> YamlFile:
    """The parsed file. Raises UserError with line and column for bad YAML, repeated keys, unknown tags."""
    try:
        text = decoded(read_regular(path), Path(show_path(path)), "the recipe")
    except OSError as error:
        raise UserError(f"cannot read {show_path(path)}: {error.strerror}", remedy=_siblings(path)) from None
    try:
        root = compose(text)
        file = YamlFile(path, None, text)
        if root is not None:
            _Walk(file).visit(root, ())
            file.data = value_of(root)
    except YamlFault as fault:
        remedy = "Indent with spaces, not with tabs." if "'\\t'" in fault.problem else ""
        place = fault.at(show_path(path))
        raise UserError(f"not valid YAML: {fault.problem}", remedy=remedy, where=place) from None
    except RecursionError:
        raise UserError("values are nested too deeply", where=show_path(path)) from None
    return file


PLAIN_TAGS = {
    f"tag:yaml.org,2002:{name}"
    for name in ("map", "seq", "str", "int", "float", "bool", "null", "timestamp", "merge", "value")
}
MAX_DIGITS = 18  # what a 64-bit number surely holds


class _Walk:
    def __init__(self, file: YamlFile) -> None:
        self.file, self.count = file, 0
        self.above: list[Node] = []

    def visit(self, node: Node, key: Key) -> None:
        self.count += 1
        if self.count > MAX_NODES:
            raise UserError("the file expands to too many values", where=show_path(self.file.path))
        self.file.places.setdefault(key, _place(node))
        self._check(node)
        self.above.append(node)
        self._inside(node, key)
        self.above.pop()

    def _check(self, node: Node) -> None:
        tag = str(node.tag)
        if tag not in PLAIN_TAGS:
            tag = tag.replace("tag:yaml.org,2002:", "!!")
            self._stop(node, f"the tag `{tag}` is not allowed", "A recipe is plain data: take the tag away.")
        if any(node is other for other in self.above):
            self._stop(node, "an alias stands inside its own anchor", "Write the value out.")
        if tag.endswith(":int") and sum(char.isalnum() for char in node.value) > MAX_DIGITS:
            self._stop(
                node, f"the number {shortened(node.value)} is too large", "Put it in quotes if it is a text."
            )

    def _stop(self, node: Node, message: str, remedy: str) -> None:
        line, column = _place(node)
        raise UserError(message, remedy=remedy, where=f"{show_path(self.file.path)}:{line}:{column}")

    def _inside(self, node: Node, key: Key) -> None:
        if isinstance(node, MappingNode):
            self._mapping(node, key)
        elif isinstance(node, SequenceNode):
            for index, item in enumerate(node.value):
                self.visit(item, (*key, index))

    def _mapping(self, node: MappingNode, key: Key) -> None:
        for name_node, value in node.value:
            name = str(name_node.value)
            self.file.places.setdefault((*key, name), _place(name_node))
            self._check(name_node)
            self.visit(value, (*key, name))


def _place(node: Node) -> Place:
    return node.start_mark.line + 1, node.start_mark.column + 1


def _siblings(path: Path) -> str:
    folder = path.parent
    names = sorted(entry.name for entry in folder.glob("*.yaml")) if folder.is_dir() else []
    none = "Make one of your data: datakit init PATH"
    return f"Recipes in {show_path(folder)}: {', '.join(names)}" if names else none
