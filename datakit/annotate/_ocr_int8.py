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

from datakit.annotate._ocr_ranges import RANGES
from datakit.annotate._ocr_weights import Weights
from datakit.core.errors import UserError, missing_extra

Array = np.ndarray[Any, Any]
_LARGEST = 63
"""Of a weight in 7 bits."""


def as_int8(weights: Weights) -> bytes:
    """The model as an ONNX file, the same bytes each time. Raises UserError for other weights."""
    try:
        import onnx
    except ImportError:
        raise missing_extra("onnx", "ocr", "annotate.ocr with precision: int8") from None
    content = weights.onnx.read_bytes()
    ranges = RANGES.get(hashlib.sha256(content).hexdigest())
    if ranges is None:
        raise UserError(
            f"annotate.ocr has precision: int8, but the ranges of {weights.onnx} were never measured",
            remedy="Take model: PP-OCRv6_tiny, or precision: float32.",
        )
    model = onnx.load_from_string(content)
    _Int8(model.graph, ranges).rewrite()
    return bytes(model.SerializeToString(deterministic=True))


class _Int8:
    """A graph that gets other nodes and weights in place of those that have ranges, and of the products."""

    def __init__(self, graph: Any, ranges: dict[str, tuple[float, float, float, float]]) -> None:
        from onnx import helper, numpy_helper

        self._node, self._array, self._tensor = (
            helper.make_node,
            numpy_helper.to_array,
            numpy_helper.from_array,
        )
        self._graph, self._ranges = graph, ranges
        self._weights = {tensor.name: tensor for tensor in graph.initializer}
        self._bias = {node.input[0]: node for node in graph.node if node.op_type == "Add"}
        self._merged = {self._bias[node.output[0]].name for node in graph.node if node.name in ranges}
        self._kept: list[Any] = []

    def rewrite(self) -> None:
        """Changes the graph."""
        nodes = [new for node in self._graph.node for new in self._nodes_for(node)]
        used = {name for node in nodes for name in node.input}
        weights = [tensor for name, tensor in self._weights.items() if name in used]
        for field, values in ((self._graph.node, nodes), (self._graph.initializer, [*weights, *self._kept])):
            del field[:]
            field.extend(values)

    def _nodes_for(self, node: Any) -> list[Any]:
        if node.name in self._merged:
            return []
        if node.name in self._ranges:
            return self._convolution(node)
        return self._product(node) if node.op_type == "MatMul" else [node]

    def _convolution(self, node: Any) -> list[Any]:
        """QuantizeLinear, QLinearConv with the bias of the Add behind it, DequantizeLinear."""
        name, bias = node.name, self._bias[node.output[0]]
        low, high, lowest, highest = self._ranges[name]
        taken, given = self._scale(f"{name}_in", low, high), self._scale(f"{name}_out", lowest, highest)
        values, scales = _integers(self._of(node.input[1]), axis=(1, 2, 3))
        unit = np.float32(taken[0]) * scales.reshape(-1)
        added = np.rint(self._of(bias.input[1]).reshape(-1) / unit).astype(np.int32)
        weights = [
            self._keep(f"{name}_weights", values),
            self._keep(f"{name}_scales", scales.reshape(-1)),
            self._keep(f"{name}_zeros", np.zeros(len(unit), np.int8)),
        ]
        inputs = [f"{name}_8", *taken[1:], *weights, *given[1:], self._keep(f"{name}_bias", added)]
        convolution = self._node("QLinearConv", inputs, [f"{name}_given"], name)
        convolution.attribute.extend(node.attribute)
        return [
            self._node("QuantizeLinear", [node.input[0], *taken[1:]], [f"{name}_8"]),
            convolution,
            self._node("DequantizeLinear", [f"{name}_given", *given[1:]], bias.output),
        ]

    def _product(self, node: Any) -> list[Any]:
        """A product of integers whose left side is measured line by line."""
        name = node.name
        values, scales = _integers(self._of(node.input[1]), axis=(0,))
        weights = self._keep(f"{name}_weights", values)
        zero = self._keep(f"{name}_zero", np.zeros((), np.int8))
        taken = [f"{name}_8", f"{name}_scale", f"{name}_offset"]
        unit = [taken[1], self._keep(f"{name}_scales", scales.reshape(-1))]
        return [
            self._node("DynamicQuantizeLinear", [node.input[0]], taken),
            self._node("MatMulInteger", [taken[0], weights, taken[2], zero], [f"{name}_sums"], name),
            self._node("Cast", [f"{name}_sums"], [f"{name}_floats"], to=1),
            self._node("Mul", unit, [f"{name}_units"]),
            self._node("Mul", [f"{name}_floats", f"{name}_units"], node.output),
        ]

    def _of(self, name: str) -> Array:
        return np.asarray(self._array(self._weights[name]))

    def _keep(self, name: str, array: Array) -> str:
        self._kept.append(self._tensor(np.ascontiguousarray(array), name))
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
