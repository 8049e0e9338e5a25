"""Fields of an ONNX file: enough of protobuf to read a model's nodes and weights and to write others.

The package `onnx` would be a dependency of 15 MB for these hundred lines.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

GRAPH, NODE, INITIALIZER, OUTPUT = 7, 1, 5, 12
"""Numbers of fields: of the graph in a model, and of what a graph has."""
_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5
_TYPES = {"float32": 1, "uint8": 2, "int8": 3, "int32": 6}
Value = int | bytes


def fields(message: bytes) -> Iterator[tuple[int, Value]]:
    """Number and value of each field in order. Raises ValueError for what is no protobuf."""
    at = 0
    while at < len(message):
        tag, at = _varint(message, at)
        number, kind = tag >> 3, tag & 7
        if kind == _VARINT:
            value, at = _varint(message, at)
            yield number, value
            continue
        size, at = (8, at) if kind == _FIXED64 else (4, at) if kind == _FIXED32 else _varint(message, at)
        if kind not in (_FIXED64, _BYTES, _FIXED32) or at + size > len(message):
            raise ValueError("not an ONNX file")
        yield number, message[at : at + size]
        at += size


def field(number: int, value: Value | str) -> bytes:
    """One field: a number as a varint, a text or a message with its length before it."""
    if isinstance(value, int):
        return _as_varint(number << 3 | _VARINT) + _as_varint(value)
    content = value.encode() if isinstance(value, str) else value
    return _as_varint(number << 3 | _BYTES) + _as_varint(len(content)) + content


@dataclass(frozen=True)
class Node:
    """One operation of a graph."""

    name: str
    operation: str
    inputs: Sequence[str]
    outputs: Sequence[str]
    attributes: Sequence[bytes] = ()
    """As they stand in the file."""

    @classmethod
    def parsed(cls, message: bytes) -> Node:
        found: dict[int, list[Any]] = {number: [] for number in range(1, 8)}
        for number, value in fields(message):
            found.setdefault(number, []).append(value)
        inputs, outputs = ([text.decode() for text in found[number]] for number in (1, 2))
        return cls(b"".join(found[3]).decode(), found[4][0].decode(), inputs, outputs, found[5])

    def message(self) -> bytes:
        parts = [field(1, name) for name in self.inputs] + [field(2, name) for name in self.outputs]
        parts += [field(3, self.name), field(4, self.operation)]
        return b"".join([*parts, *(field(5, attribute) for attribute in self.attributes)])


def number_attribute(name: str, value: int) -> bytes:
    """An attribute that is one whole number."""
    return field(1, name) + field(3, value) + field(20, 2)


def initializer(name: str, array: np.ndarray[Any, Any]) -> bytes:
    """Weights under a name."""
    dimensions = b"".join(field(1, size) for size in array.shape)
    return dimensions + field(2, _TYPES[array.dtype.name]) + field(8, name) + field(9, array.tobytes())


def parsed_initializer(message: bytes) -> tuple[str, np.ndarray[Any, np.dtype[np.float32]] | None]:
    """Name and float32 values; None for values of another kind."""
    shape, kind, name, raw = [], 0, "", b""
    for number, value in fields(message):
        if number == 1 and isinstance(value, int):
            shape.append(value)
        elif number == 2 and isinstance(value, int):
            kind = value
        elif number == 8 and isinstance(value, bytes):
            name = value.decode()
        elif number == 9 and isinstance(value, bytes):
            raw = value
    if kind != _TYPES["float32"] or not raw:
        return name, None
    return name, np.frombuffer(raw, "<f4").reshape(shape)


def _varint(message: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while at < len(message):
        byte = message[at]
        value |= (byte & 127) << shift
        at, shift = at + 1, shift + 7
        if byte < 128:
            return value, at
    raise ValueError("not an ONNX file")


def _as_varint(value: int) -> bytes:
    parts = bytearray()
    while value > 127:
        parts.append(value & 127 | 128)
        value >>= 7
    return bytes([*parts, value])
