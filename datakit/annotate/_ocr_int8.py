"""Weights that read lines, as integers of 8 bits: processors with VNNI multiply them faster than floats.

The wide 1 x 1 convolutions become QLinearConv, with ranges of their inputs and outputs that were measured
once (scripts/measure_ocr_ranges.py); the two last layers find the range of each line anew. Weights take 7
bits: a processor without VNNI adds two products in 16 bits, and with 8 it would cut them off and read
otherwise. Results are stored as those of `precision: int8`: other ranges need another name there.
"""

from __future__ import annotations

import hashlib
from typing import Any

import numpy as np

from datakit.annotate import _onnx_fields as onnx
from datakit.annotate._ocr_ranges import RANGES
from datakit.annotate._ocr_weights import Weights
from datakit.annotate._onnx_fields import Node
from datakit.core.errors import UserError

Array = np.ndarray[Any, Any]
_LARGEST = 63
"""Of a weight in 7 bits."""


def as_int8(weights: Weights) -> bytes:
    """The model as an ONNX file, the same bytes on every machine. Raises UserError for other weights."""
    content = weights.onnx.read_bytes()
    ranges = RANGES.get(hashlib.sha256(content).hexdigest())
    if ranges is None:
        raise UserError(
            f"annotate.ocr has precision: int8, but the ranges of {weights.onnx} were never measured",
            remedy="Take model: PP-OCRv6_tiny, or precision: float32.",
        )
    return b"".join(
        onnx.field(number, _Int8(value, ranges).graph() if number == onnx.GRAPH else value)
        for number, value in onnx.fields(content)
    )


class _Int8:
    """A graph with other nodes and weights in place of those that have ranges, and of the products."""

    def __init__(self, graph: onnx.Value, ranges: dict[str, tuple[float, float, float, float]]) -> None:
        assert isinstance(graph, bytes)
        self._parts = list(onnx.fields(graph))
        parts = [(number, part) for number, part in self._parts if isinstance(part, bytes)]
        self._weights = dict(onnx.parsed_initializer(part) for at, part in parts if at == onnx.INITIALIZER)
        self._nodes = [Node.parsed(part) for at, part in parts if at == onnx.NODE]
        self._ranges = ranges
        self._bias = {node.inputs[0]: node for node in self._nodes if node.operation == "Add"}
        self._merged = {self._bias[node.outputs[0]].name for node in self._nodes if node.name in ranges}
        self._kept: list[bytes] = []

    def graph(self) -> bytes:
        """As it stands in an ONNX file."""
        nodes = [new for node in self._nodes for new in self._nodes_for(node)]
        used = {name for node in nodes for name in node.inputs}
        message = [onnx.field(onnx.NODE, node.message()) for node in nodes]
        for number, part in self._parts:
            if number == onnx.INITIALIZER and isinstance(part, bytes):
                wanted = onnx.parsed_initializer(part)[0] in used
            else:
                wanted = number != onnx.NODE
            message += [onnx.field(number, part)] if wanted else []
        return b"".join([*message, *(onnx.field(onnx.INITIALIZER, part) for part in self._kept)])

    def _nodes_for(self, node: Node) -> list[Node]:
        if node.name in self._merged:
            return []
        if node.name in self._ranges:
            return self._convolution(node)
        return self._product(node) if node.operation == "MatMul" else [node]

    def _convolution(self, node: Node) -> list[Node]:
        """QuantizeLinear, QLinearConv with the bias of the Add behind it, DequantizeLinear."""
        name, bias = node.name, self._bias[node.outputs[0]]
        low, high, lowest, highest = self._ranges[name]
        taken, given = self._scale(f"{name}_in", low, high), self._scale(f"{name}_out", lowest, highest)
        values, scales = _integers(self._of(node.inputs[1]), axis=(1, 2, 3))
        unit = np.float32(taken[0]) * scales.reshape(-1)
        added = np.rint(self._of(bias.inputs[1]).reshape(-1) / unit).astype(np.int32)
        weights = [
            self._keep(f"{name}_weights", values),
            self._keep(f"{name}_scales", scales.reshape(-1)),
            self._keep(f"{name}_zeros", np.zeros(len(unit), np.int8)),
        ]
        inputs = [f"{name}_8", *taken[1:], *weights, *given[1:], self._keep(f"{name}_bias", added)]
        return [
            Node(f"{name}_take", "QuantizeLinear", [node.inputs[0], *taken[1:]], [f"{name}_8"]),
            Node(name, "QLinearConv", inputs, [f"{name}_given"], node.attributes),
            Node(f"{name}_give", "DequantizeLinear", [f"{name}_given", *given[1:]], [*bias.outputs]),
        ]

    def _product(self, node: Node) -> list[Node]:
        """A product of integers whose left side is measured line by line."""
        name = node.name
        values, scales = _integers(self._of(node.inputs[1]), axis=(0,))
        weights = self._keep(f"{name}_weights", values)
        zero = self._keep(f"{name}_zero", np.zeros((), np.int8))
        taken = [f"{name}_8", f"{name}_scale", f"{name}_offset"]
        sides = [taken[0], weights, taken[2], zero]
        unit = [taken[1], self._keep(f"{name}_scales", scales.reshape(-1))]
        return [
            Node(f"{name}_take", "DynamicQuantizeLinear", [node.inputs[0]], taken),
            Node(name, "MatMulInteger", sides, [f"{name}_sums"]),
            Node(
                f"{name}_cast", "Cast", [f"{name}_sums"], [f"{name}_floats"], [onnx.number_attribute("to", 1)]
            ),
            Node(f"{name}_unit", "Mul", unit, [f"{name}_units"]),
            Node(f"{name}_give", "Mul", [f"{name}_floats", f"{name}_units"], node.outputs),
        ]

    def _of(self, name: str) -> Array:
        weights = self._weights[name]
        assert weights is not None
        return weights

    def _keep(self, name: str, array: Array) -> str:
        self._kept.append(onnx.initializer(name, np.ascontiguousarray(array)))
        return name

    def _scale(self, name: str, low: float, high: float) -> tuple[float, str, str]:
        """The step between two of 256 values in a range with 0, and the names of it and of 0's place."""
        low, high = min(low, 0.0), max(high, 0.0)
        step = (high - low) / 255
        zero = np.uint8(round(-low / step))
        scale = self._keep(f"{name}_scale", np.array(step, np.float32))
        return step, scale, self._keep(f"{name}_zero", np.array(zero))


def _integers(weights: Array, axis: tuple[int, ...]) -> tuple[Array, Array]:
    """Weights in 7 bits and the step of each channel, both in their shape."""
    steps = np.maximum(np.abs(weights).max(axis=axis, keepdims=True), np.float32(1e-12)) / np.float32(
        _LARGEST
    )
    return np.rint(weights / steps).astype(np.int8), steps.astype(np.float32)
