"""YAML as plain data, read and written as PyYAML does, which LLaMA-Factory has: `yes` is true, `1e5` a text.

ruamel.yaml does the work, because it keeps places and, where a file is changed, comments. What it does
otherwise than PyYAML is set right here, so that a file means the same to datakit and to the trainer.
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from copy import deepcopy
from functools import cache, lru_cache
from io import StringIO
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.composer import Composer
from ruamel.yaml.constructor import SafeConstructor
from ruamel.yaml.emitter import Emitter
from ruamel.yaml.error import MantissaNoDotYAML1_1Warning, MarkedYAMLError
from ruamel.yaml.events import AliasEvent
from ruamel.yaml.nodes import MappingNode, Node, ScalarNode
from ruamel.yaml.reader import ReaderError
from ruamel.yaml.representer import SafeRepresenter
from ruamel.yaml.resolver import VersionedResolver, implicit_resolvers
from ruamel.yaml.scanner import Scanner, ScannerError

Key = tuple[str | int, ...]
"""The way to a value: names of keys, and places in lists from 0."""
_VERSION = (1, 1)
_OWN = {
    "tag:yaml.org,2002:bool": (
        r"^(?:yes|Yes|YES|no|No|NO|true|True|TRUE|false|False|FALSE|on|On|ON|off|Off|OFF)$",
        "yYnNtTfFoO",
    ),
    "tag:yaml.org,2002:float": (
        r"^(?:[-+]?[0-9][0-9_]*\.[0-9_]*(?:[eE][-+][0-9]+)?|\.[0-9][0-9_]*(?:[eE][-+][0-9]+)?"
        r"|[-+]?[0-9][0-9_]*(?::[0-5]?[0-9])+\.[0-9_]*|[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN))$",
        "-+0123456789.",
    ),
}
"""Scalars that ruamel.yaml takes for a truth value (`y`) or a number (`1e5`) and PyYAML for a text."""


_HALF = re.compile("[\ud800-\udfff]")
MAX_CHARS = 2_000_000
"""Of a file; 50,000 characters take a tenth of a second or more."""
MAX_DEPTH = 100
_TOO_DEEP = f"values are nested too deeply: at most {MAX_DEPTH} may stand in each other"
MAX_VALUES = 100_000
"""Of a document, those counted again that an alias repeats."""
ONE_LINE = 1 << 20
"""A width at which no value goes on to a further line: shells and people read files line by line."""


class YamlFault(ValueError):
    """A text that is not YAML: the problem, and its line and column (from 1) where they are known."""

    def __init__(self, problem: str, line: int | None = None, column: int | None = None) -> None:
        self.problem, self.line, self.column = problem, line, column
        place = f"line {line}" + (f", column {column}: " if column else ": ") if line else ""
        super().__init__(f"{place}{problem}")

    def at(self, path: object) -> str:
        """`file:line:column`, as far as it is known."""
        return ":".join(str(part) for part in (path, self.line, self.column) if part)


def compose(text: str) -> Node | None:
    """The nodes of a document, each with its place; None for an empty one. Raises YamlFault."""
    if len(text) > MAX_CHARS:
        raise YamlFault(f"{len(text):,} characters are too many; at most {MAX_CHARS:,} are read")
    with _faults(text):
        root: Node | None = _yaml().compose(text)
        if root is not None:
            _expanded(root, {})
        return root


def value_of(node: Node | None) -> Any:
    """The plain data of a composed document. Raises YamlFault."""
    if node is None:
        return None
    with _faults(""):
        return _yaml().constructor.construct_document(node)


def parse(text: str) -> Any:
    """The plain data of a text. Raises YamlFault; a key that stands twice is one."""
    return deepcopy(_parsed(text))


@lru_cache(maxsize=16)
def _parsed(text: str) -> Any:
    """One build reads its recipe and its configuration of the training several times."""
    return value_of(compose(text))


def other_than_text(root: Node | None, key: Key) -> list[YamlFault]:
    """The words below a key that YAML takes for something else and would write otherwise, with their places:
    `no` is false and `012` is 10; a 5 stays a 5."""
    node: Any = root
    for part in key:
        node = next((value for name, value in node.value if name.value == part), None)
    faults = []
    nodes = [] if node is None else [node]
    while nodes:
        inner = nodes.pop()
        if isinstance(inner, MappingNode):
            nodes += [value for _, value in inner.value]
        elif not isinstance(inner, ScalarNode):
            nodes += inner.value
        elif (value := value_of(inner)) is not None and not _is_written_so(value, inner.value):
            kind = str(inner.tag).rpartition(":")[2]
            faults.append(
                _fault(f"`{shortened(inner.value)}` is {_KINDS.get(kind, kind)} to YAML", inner.start_mark)
            )
    return sorted(faults, key=lambda fault: (fault.line or 0, fault.column or 0))


_KINDS = {
    "bool": "true or false",
    "int": "a number",
    "float": "a number",
    "timestamp": "a date",
    "binary": "bytes",
}


def _is_written_so(value: Any, text: str) -> bool:
    """Whether a value is its text again; huge numbers cannot be written out."""
    is_huge = isinstance(value, int) and value.bit_length() > 1000
    return not is_huge and str(value) == text


def shortened(text: str, chars: int = 40) -> str:
    """The text as it can stand in a sentence."""
    return text if len(text) <= chars else f"{text[:chars]}… ({len(text):,} characters)"


def dump(value: Any, *, width: int = 80, flow: bool | None = False) -> str:
    """Plain data as YAML, keys in their order. `flow` writes `{a: [1]}`; None only the innermost so."""
    yaml = _yaml()
    yaml.width, yaml.default_flow_style = width, flow
    stream = StringIO()
    yaml.dump(value, stream)
    return stream.getvalue()


def yaml_inline(value: Any) -> str:
    """A value as it stands in a file, on one line."""
    text = dump(list(value) if isinstance(value, tuple) else value, flow=True, width=10_000)
    return text.removesuffix("\n").removesuffix("\n...").strip(" \n")


def with_values(text: str, changes: Mapping[Key, Any]) -> str:
    """The text with other values at keys that hold single ones; comments and layout stay as they are."""
    root = compose(text)
    # In a list, where more has to be quoted: a value may stand between brackets in the text too.
    inline = {key: yaml_inline([value])[1:-1] for key, value in changes.items()}
    spans = [(*_span(root, key), written) for key, written in inline.items()]
    for start, end, written in sorted(spans, reverse=True):  # from the end, so that earlier places hold
        text = text[:start] + written + text[end:]
    return text


def _span(node: Any, key: Key) -> tuple[int, int]:
    """Where a value begins and ends. Raises ValueError for one that is no single value, or not there."""
    for part in key:
        inner = node.value
        node = {name.value: at for name, at in inner}[part] if isinstance(node, MappingNode) else inner[part]
    if not isinstance(node, ScalarNode) or not node.value:
        raise ValueError(f"{key} holds no single value")
    return node.start_mark.index, node.end_mark.index


def _expanded(node: Node, sizes: dict[int, int]) -> int:
    """How many values stand below a node. Raises YamlFault for too many by aliases, and for a circle."""
    if isinstance(node, ScalarNode):
        return 1
    size = sizes.get(id(node))
    if size is None:
        sizes[id(node)] = 0
        inner = (
            node.value
            if not isinstance(node, MappingNode)
            else [part for pair in node.value for part in pair]
        )
        size = sizes[id(node)] = 1 + sum(_expanded(part, sizes) for part in inner)
    elif size == 0:
        raise _fault("an alias stands inside its own anchor", node.start_mark)
    if size > MAX_VALUES:
        raise _fault(
            f"the file expands to too many values: aliases repeat more than {MAX_VALUES:,}", node.start_mark
        )
    return size


@contextmanager
def _faults(text: str) -> Iterator[None]:
    try:
        yield
    except MarkedYAMLError as error:
        raise _fault(str(error.problem or error.context), error.problem_mark or error.context_mark) from None
    except ReaderError as error:
        sign = f"character #x{ord(text[error.position]):04x}"
        line = text.count("\n", 0, error.position) + 1
        raise YamlFault(f"{sign} cannot stand in a text file", line) from None
    except RecursionError:
        raise YamlFault(_TOO_DEEP) from None


def _fault(problem: str, mark: Any) -> YamlFault:
    return YamlFault(problem, mark.line + 1, mark.column + 1) if mark else YamlFault(problem)


class _Resolver(VersionedResolver):
    """What a plain scalar is."""

    @property
    def processing_version(self) -> tuple[int, int]:
        return _VERSION

    @property
    def versioned_resolver(self) -> dict[str, list[tuple[str, re.Pattern[str]]]]:
        return _rules()


@cache
def _rules() -> dict[str, list[tuple[str, Any]]]:
    """First character of a scalar -> tags that it may have, each with its pattern."""
    shipped = {tag: (regex, signs) for of, tag, regex, signs in implicit_resolvers if _VERSION in of}
    own = {tag: (re.compile(pattern), signs) for tag, (pattern, signs) in _OWN.items()}
    rules: dict[str, list[tuple[str, Any]]] = {}
    for tag, (regex, signs) in {**shipped, **own}.items():
        for sign in signs:
            rules.setdefault(sign, []).append((tag, regex))
    return rules


class _Scanner(Scanner):
    def fetch_flow_collection_start(self, *args: Any, **kwargs: Any) -> Any:
        """A bracket; each further one within others takes longer."""
        if self.flow_level >= MAX_DEPTH:
            raise ScannerError(None, None, _TOO_DEEP, self.reader.get_mark())
        return super().fetch_flow_collection_start(*args, **kwargs)

    def scan_plain(self) -> Any:
        """Gives back the colon of `{key:}`, which belongs to no text in PyYAML."""
        token = super().scan_plain()
        if self.flow_level and token.value.endswith(":") and self.reader.peek() in ",[]{}":
            token.value = token.value[:-1]
            for name in ("pointer", "index", "column"):
                setattr(self.reader, name, getattr(self.reader, name) - 1)
            token.end_mark = self.reader.get_mark()
        return token


class _Composer(Composer):
    def compose_node(self, parent: Any, index: Any) -> Any:
        """A node; an anchor that stands twice is a fault, as it is to PyYAML."""
        event = self.parser.peek_event()
        if event.anchor in self.anchors and not isinstance(event, AliasEvent):
            line = self.anchors[event.anchor].start_mark.line + 1
            raise _fault(f"anchor `{event.anchor}` stands twice (first in line {line})", event.start_mark)
        self.depth = getattr(self, "depth", 0) + 1
        if self.depth > MAX_DEPTH:
            raise _fault(_TOO_DEEP, event.start_mark)
        node = super().compose_node(parent, index)
        self.depth -= 1
        return node


class _Constructor(SafeConstructor):
    def construct_object(self, node: Any, deep: bool = False) -> Any:
        """The value of a node; one that does not fit its tag, such as the 30th of February, has its place."""
        try:
            return super().construct_object(node, deep)
        except YamlFault:
            raise
        except (ValueError, LookupError, TypeError, OverflowError) as error:
            value = f"`{shortened(node.value)}`" if isinstance(node, ScalarNode) else "this"
            problem = f"{value} is no {str(node.tag).rpartition(':')[2]} ({shortened(str(error), 120)})"
            raise _fault(problem, node.start_mark) from None

    def construct_mapping(self, node: Any, deep: bool = False) -> Any:
        """A mapping whose keys are single values, each of which stands once."""
        lines: dict[str, int] = {}
        whole = isinstance(node, MappingNode) and node.merge is None  # merged keys stand in node.value too
        for key, _ in node.value if whole else ():
            if not isinstance(key, ScalarNode):
                raise _fault("a list or a mapping cannot be a key", key.start_mark)
            if key.value in lines:
                words = f"key `{key.value}` stands twice (first in line {lines[key.value]})"
                raise _fault(words, key.start_mark)
            lines[key.value] = key.start_mark.line + 1
        return super().construct_mapping(node, deep)

    def construct_yaml_float(self, node: Any) -> Any:
        """A number; `!!float 1e5` is one without a warning."""
        with warnings.catch_warnings(action="ignore", category=MantissaNoDotYAML1_1Warning):
            return super().construct_yaml_float(node)

    def construct_yaml_str(self, node: Any) -> Any:
        r"""A text. `"\ud83d\ude42"`, as JSON writes what lies beyond 16 bits, is one character."""
        text = super().construct_yaml_str(node)
        if not _HALF.search(text):
            return text
        try:
            return text.encode("utf-16", "surrogatepass").decode("utf-16")
        except UnicodeDecodeError:
            raise _fault("half of a surrogate pair, which is no character", node.start_mark) from None

    def construct_yaml_timestamp(self, node: Any, values: Any = None) -> Any:
        """Microseconds are cut, not rounded."""
        match = self.timestamp_regexp.match(node.value)
        if values is None and match and match["fraction"]:
            values = {**match.groupdict(), "fraction": match["fraction"][:6]}
        return super().construct_yaml_timestamp(node, values)


_Constructor.add_default_constructor("float")
_Constructor.add_default_constructor("str")
_Constructor.add_default_constructor("timestamp")


class _Representer(SafeRepresenter):
    def represent_float(self, data: float) -> Any:
        """A number with a dot, without which YAML 1.1 reads a text: `1.0e-05`."""
        node = super().represent_float(data)
        if "." not in node.value:
            node.value = node.value.replace("e", ".0e", 1)
        return node


_Representer.add_representer(float, _Representer.represent_float)


class _Emitter(Emitter):
    def choose_scalar_style(self) -> str:
        """Single quotes wherever they do, as in the files that datakit has written so far."""
        style: str = super().choose_scalar_style()
        if re.search(r"[\x85\u2028\u2029]|\n(?:---|\.\.\.)", self.event.value):
            return '"'  # in any other style they are read back as spaces, or end the document
        if style == "" and self.flow_level and re.search("[:?]", self.event.value):
            return "'"  # PyYAML takes no `{:0: x}` and no `[?0]`
        inline = self.analysis.multiline and (self.simple_key_context or self.flow_level)
        return "'" if style == '"' and self.analysis.allow_single_quoted and not inline else style


def _yaml() -> Any:
    yaml: Any = YAML(typ="safe", pure=True)
    yaml.Resolver, yaml.Scanner, yaml.Composer, yaml.Constructor = (
        _Resolver,
        _Scanner,
        _Composer,
        _Constructor,
    )
    yaml.Representer, yaml.Emitter = _Representer, _Emitter
    yaml.brace_single_entry_mapping_in_flow_sequence = True
    yaml.sort_base_mapping_type_on_output = False
    return yaml
