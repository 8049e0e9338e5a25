"""YAML with the line and column of every key. Plain data only: tags that make objects are errors."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from datakit.core.errors import UserError

Key = tuple[str | int, ...]
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
            key = key[:-1]
        line, column = self.places.get(key, (1, 1))
        return f"{show_path(self.path)}:{line}:{column}"


def show_path(path: Path) -> str:
    """The path as a user would type it: relative to the working folder where it lies below."""
    try:
        return path.absolute().relative_to(Path.cwd()).as_posix()
    except ValueError:
        return str(path)


def load_yaml(path: Path) -> YamlFile:
    """The parsed file. Raises UserError with line and column for bad YAML, repeated keys, unknown tags."""
    try:
        text = path.read_bytes().decode("utf-8-sig")
    except OSError as error:
        raise UserError(f"cannot read {show_path(path)}: {error.strerror}", remedy=_siblings(path)) from None
    except UnicodeDecodeError as error:
        raise UserError(
            f"{show_path(path)} is not UTF-8 (byte {error.start})", remedy="Save the recipe as UTF-8."
        ) from None
    try:
        root = yaml.compose(text, Loader=yaml.SafeLoader)
        file = YamlFile(path, None, text)
        if root is not None:
            _Walk(file).visit(root, ())
            file.data = yaml.safe_load(text)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        place = f"{show_path(path)}:{mark.line + 1}:{mark.column + 1}" if mark else show_path(path)
        raise UserError(f"not valid YAML: {error.problem}", where=place) from None
    return file


class _Walk:
    def __init__(self, file: YamlFile) -> None:
        self.file, self.count = file, 0

    def visit(self, node: yaml.Node, key: Key) -> None:
        self.count += 1
        if self.count > MAX_NODES:
            raise UserError("the file expands to too many values", where=show_path(self.file.path))
        self.file.places.setdefault(key, _place(node))
        if isinstance(node, yaml.MappingNode):
            self._mapping(node, key)
        elif isinstance(node, yaml.SequenceNode):
            for index, item in enumerate(node.value):
                self.visit(item, (*key, index))

    def _mapping(self, node: yaml.MappingNode, key: Key) -> None:
        seen: dict[str, int] = {}
        for name_node, value in node.value:
            name = str(name_node.value)
            line, column = _place(name_node)
            if name in seen:
                place = f"{show_path(self.file.path)}:{line}:{column}"
                raise UserError(f"key `{name}` stands twice (first in line {seen[name]})", where=place)
            seen[name] = line
            self.file.places[(*key, name)] = (line, column)
            self.visit(value, (*key, name))


def _place(node: yaml.Node) -> Place:
    return node.start_mark.line + 1, node.start_mark.column + 1


def _siblings(path: Path) -> str:
    folder = path.parent
    names = sorted(entry.name for entry in folder.glob("*.yaml")) if folder.is_dir() else []
    return f"Recipes in {show_path(folder)}: {', '.join(names)}" if names else "Make one: datakit init"
