"""One user turn out of a record: most templates are rendered once per shape of record, then only filled."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Mapping
from typing import Any, NamedTuple

from jinja2 import Template, nodes

from datakit.core.rendering import render
from datakit.core.template_filters import FILTERS, Chain, Slot, filtered
from datakit.core.templates import (
    Templates,
    TrustedText,
    escape_except_images,
    escape_tokens,
    escape_unless,
    joined,
    tokens_of,
)
from datakit.core.tokens import IMAGE

DIALOGUE = "text"
"""The column whose `<image>` places are meant; in every other column they are escaped."""
_MARK = re.compile("\x00(\\d+)\x00")


class Shape(NamedTuple):
    """The constant texts of a prompt for all records of one kind."""

    constants: tuple[str, ...]
    places: tuple[int, ...]
    """Which slot stands after each constant but the last; see `Prompt.slot`."""
    chars: int
    """Characters of the constants."""
    images: int
    """`<image>` places in the constants."""


class TextSlot(NamedTuple):
    """A place for a record's text."""

    column: int
    """Which of the prompt's columns stands there."""
    chain: Chain
    """The template's filters."""
    escape: Callable[[str], str]
    """What makes of a filtered text one that is no token."""

    def write(self, text: str, behind: int = 0) -> str:
        """The text as it is written; it comes from `behind` so many of the filters."""
        return self.escape(filtered(text, self.chain[behind:]))


class Filled(NamedTuple):
    """A prompt in parts: `constants[0] texts[0] constants[1] …`. Parts are joined where they are needed."""

    shape: Shape
    texts: tuple[str, ...]
    """What stands between the constants, escaped."""

    @property
    def text(self) -> str:
        """The user turn."""
        constants = self.shape.constants
        parts = [constants[0]]
        for text, constant in zip(self.texts, constants[1:], strict=True):
            parts += (text, constant)
        return joined(parts)

    @property
    def chars(self) -> int:
        """Characters of the whole turn."""
        return self.shape.chars + sum(map(len, self.texts))

    @property
    def images(self) -> int:
        """`<image>` places of the whole turn; only meant ones are left."""
        return self.shape.images + sum(text.count(IMAGE) for text in self.texts)


_WHOLE = Shape(("", ""), (0,), 0, 0)


class Prompt:
    """A template bound to a label set.

    Most templates only put texts in (through datakit's own filters), ask whether they are there and repeat a
    part per picture. Such a one is rendered once for each combination of texts that are there and number of
    pictures, with marks where the texts go, so that the constant part (the label block) is never scanned
    again. Any other is left to Jinja.
    """

    def __init__(
        self,
        name: str,
        templates: Templates,
        constant: Mapping[str, Any],
        texts: Collection[str],
        absent: frozenset[str] = frozenset(),
    ) -> None:
        """`constant` is what the label set gives; `texts` are the columns that hold texts (or null), `absent`
        those that the template asks for (`is defined`) and no record has."""
        self.name = name
        self.template: Template = templates.get(name)
        self.constant = dict(constant)
        variables = templates.variables(name)
        self.variables = tuple(sorted(variables - self.constant.keys()))
        tree = self.template.environment.parse(templates.source(name))
        simple = _Simple(frozenset(texts) & variables, frozenset(self.constant), absent)
        self.texts = tuple(sorted(simple.texts)) if simple.all(tree.body) else None
        """The columns that stand in the prompt; None for a template that is left to Jinja."""
        self.tests = tuple(dict.fromkeys(simple.tests)) if self.texts is not None else ()
        """Columns whose text is asked for behind these filters: `{% if ocr_text | without_status_bar %}`."""
        self._marks: dict[tuple[str, Chain], int] = {}
        self._meant = self._tokens_of_constants(templates) if self.texts is None else frozenset()
        self._slots: list[TextSlot] = []
        self._shapes: dict[tuple[Any, ...], Shape] = {}

    def fill(self, record: Mapping[str, Any]) -> Filled:
        """The turn in parts. Raises UserError naming the template's line where it fails on this record, and
        TooLarge where the record's values are too much for it."""
        if self.texts is None:
            trusted = {name: _trusted(name, record[name]) for name in self.variables if name in record}
            text = render(self.template, self.constant, trusted, record.get("id"))
            return Filled(_WHOLE, (escape_unless(text, self._meant),))
        values = [record[name] for name in self.texts]
        shape = self.shape(record["images"], values)
        slots = [self.slot(place) for place in shape.places]
        return Filled(shape, tuple([slot.write(values[slot.column]) for slot in slots]))

    def slot(self, place: int) -> TextSlot:
        """A slot by its number. Simple templates have those of the shapes that were made so far."""
        if len(self._slots) < len(self._marks):
            columns = list(self.texts or ())
            self._slots = [
                TextSlot(columns.index(column), chain, _escaping(column, chain))
                for column, chain in self._marks
            ]
        return self._slots[place]

    def shape(self, images: list[str], values: list[Any]) -> Shape:
        """The constants for a record with these pictures and texts; for simple templates only."""
        texts = dict(zip(self.texts or (), values, strict=True))
        empty = [(name, chain) for name, chain in self.tests if not filtered(texts[name] or "", chain)]
        there = [(value is not None) + bool(value) for value in values]  # a filter may write an empty text
        key = (len(images), *there, *empty)
        shape = self._shapes.get(key)
        if shape is None:
            shape = self._shapes[key] = self._shape(images, values, empty)
        return shape

    def _shape(self, images: list[str], values: list[Any], empty: list[tuple[str, Chain]]) -> Shape:
        assert self.texts is not None  # called for simple templates only
        marks = {
            name: Slot.of(name, (), self._marks, empty) if value else value
            for name, value in zip(self.texts, values, strict=True)
        }
        pieces = _MARK.split(render(self.template, {**self.constant, **marks, "images": images}, {}))
        constants = tuple(pieces[::2])
        places = tuple(int(number) for number in pieces[1::2])
        images_places = sum(constant.count(IMAGE) for constant in constants)
        return Shape(constants, places, sum(map(len, constants)), images_places)

    def _tokens_of_constants(self, templates: Templates) -> frozenset[str]:
        """Tokens that the template's own text holds, and the places that a dialogue brings."""
        tokens = tokens_of("".join(text for text in self.constant.values() if isinstance(text, TrustedText)))
        for used in templates.used(self.name):
            tree = self.template.environment.parse(templates.source(used))
            tokens |= tokens_of("\0".join(node.data for node in tree.find_all(nodes.TemplateData)))
        return frozenset(tokens | ({IMAGE} if DIALOGUE in self.variables else set()))


def _escaping(column: str, chain: Chain) -> Callable[[str], str]:
    """How a text of a column is escaped. Behind a filter but `fenced` it is no dialogue."""
    if column == DIALOGUE and all(name == "fenced" for name, _ in chain):
        return escape_except_images
    return escape_tokens


def _trusted(name: str, value: Any) -> Any:
    return escape_except_images(value) if name == DIALOGUE and isinstance(value, str) else value


class _Simple:
    """Whether a template's outcome depends only on which texts are there and how many pictures there are."""

    def __init__(self, texts: frozenset[str], constant: frozenset[str], absent: frozenset[str]) -> None:
        self.texts, self.constant, self.absent = texts, constant, absent
        self.tests: list[tuple[str, Chain]] = []

    def all(self, body: list[nodes.Node]) -> bool:
        return all(self._node(node) for node in body)

    def _node(self, node: nodes.Node) -> bool:
        if isinstance(node, nodes.Output):
            return all(
                isinstance(part, nodes.TemplateData)
                or (isinstance(part, nodes.Name) and part.name in self.texts | self.constant)
                or self._is_filtered(part)
                for part in node.nodes
            )
        if isinstance(node, nodes.If) and self._known(node.test) is False:
            return self.all([*node.elif_, *node.else_])
        if isinstance(node, nodes.If):
            return self._test(node.test) and self.all([*node.body, *node.elif_, *node.else_])
        if isinstance(node, nodes.For):
            over_images = isinstance(node.iter, nodes.Name) and node.iter.name == "images"
            plain = not (node.test or node.recursive or node.else_)
            constant = all(isinstance(part, nodes.Output) for part in node.body) and all(
                isinstance(text, nodes.TemplateData) for part in node.body for text in part.iter_child_nodes()
            )
            return over_images and plain and constant
        return False

    def _is_filtered(self, node: nodes.Node) -> bool:
        """Whether it is a text of the record that goes through datakit's own filters, with constant words."""
        if not isinstance(node, nodes.Filter) or node.name not in FILTERS or node.node is None:
            return False
        plain = not (node.kwargs or node.dyn_args or node.dyn_kwargs)
        words = all(isinstance(word, nodes.Const) and isinstance(word.value, str) for word in node.args)
        inner = isinstance(node.node, nodes.Name) and node.node.name in self.texts
        return plain and words and (inner or self._is_filtered(node.node))

    def _known(self, node: nodes.Node) -> bool | None:
        """What a test comes to for every record, as far as it asks which columns there are; else None."""
        if isinstance(node, nodes.Test) and node.name in ("defined", "undefined"):
            name = node.node.name if isinstance(node.node, nodes.Name) else ""
            is_there = name in self.texts | self.constant
            return is_there == (node.name == "defined") if is_there or name in self.absent else None
        if isinstance(node, nodes.Not):
            inner = self._known(node.node)
            return None if inner is None else not inner
        if isinstance(node, nodes.And | nodes.Or):
            sides, decides = (self._known(node.left), self._known(node.right)), isinstance(node, nodes.Or)
            if decides in sides:
                return decides
            return None if None in sides else not decides
        return None

    def _test(self, node: nodes.Node) -> bool:
        if self._known(node) is not None:
            return True
        if isinstance(node, nodes.Name):
            return node.name in self.texts | self.constant | {"images"}
        if isinstance(node, nodes.Not):
            return self._test(node.node)
        if isinstance(node, nodes.And | nodes.Or):
            return self._test(node.left) and self._test(node.right)
        if isinstance(node, nodes.Filter) and self._is_filtered(node):
            self.tests.append(_chain_of(node))
            return True
        return False


def _chain_of(node: nodes.Expr) -> tuple[str, Chain]:
    """The column that goes through filters, and these in order."""
    if isinstance(node, nodes.Name):
        return node.name, ()
    assert isinstance(node, nodes.Filter)  # see `_is_filtered`
    assert node.node is not None
    column, chain = _chain_of(node.node)
    words = tuple(word.value for word in node.args if isinstance(word, nodes.Const))
    return column, (*chain, (node.name, words))
