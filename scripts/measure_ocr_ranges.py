"""Measures the ranges of datakit/annotate/_ocr_ranges.py: what flows into and out of the wide convolutions.

    python scripts/measure_ocr_ranges.py examples/ecom/images > datakit/annotate/_ocr_ranges.py

Reads every eighth picture of the folders with the float weights of PP-OCRv6_tiny, which are given what flows
through the convolutions as further outputs.
"""

from __future__ import annotations

import hashlib
import sys
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime

from datakit.annotate import _ocr_rapid
from datakit.annotate._ocr_engines import read_picture
from datakit.annotate._ocr_weights import shipped
from datakit.core.image import load_rgb

WIDE = (5, 6, 8, 9, 11, 12, 16, 17, 19, 20, 22, 23, 27, 28, 30, 31, 33, 34)
"""Convolutions of 1 x 1 over whole lines. Those of the stem stay floats: they cost the most characters."""
BEFORE_GELU = (5, 8, 11, 16, 19, 22, 27, 30, 33)
"""Those whose output goes through a GELU, which makes nearly nothing of all that is less than -4."""


def watched(content: bytes) -> tuple[bytes, dict[str, tuple[str, str]]]:
    """The model with further outputs, and the tensors before and behind each wide convolution."""
    model = onnx.load_from_string(content)
    nodes = model.graph.node
    biased = {node.input[0]: node.output[0] for node in nodes if node.op_type == "Add"}
    names = {f"Conv.{number}" for number in WIDE}
    tensors = {node.name: (node.input[0], biased[node.output[0]]) for node in nodes if node.name in names}
    further = dict.fromkeys(name for pair in tensors.values() for name in pair)
    model.graph.output.extend(onnx.ValueInfoProto(name=name) for name in further)
    return model.SerializeToString(), tensors


def measured(folders: list[str]) -> dict[str, list[float]]:
    """Convolution -> least and largest input, least and largest output."""
    weights = shipped("PP-OCRv6_tiny")
    model, tensors = watched(weights.rec.onnx.read_bytes())
    session = onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])
    names = list(dict.fromkeys(name for pair in tensors.values() for name in pair))
    ranges = {name: [0.0] * 4 for name in tensors}
    plain = _ocr_rapid._run

    def watching(used: Any, planes: Any) -> Any:
        if planes.shape[2] == _ocr_rapid._LINE_PX:
            found = dict(zip(names, session.run(names, {"x": planes}), strict=True))
            for name, (before, behind) in tensors.items():
                ends = [find(found[tensor]) for tensor in (before, behind) for find in (np.min, np.max)]
                pairs = zip((min, max) * 2, ranges[name], ends, strict=True)
                ranges[name] = [choose(old, float(new)) for choose, old, new in pairs]
        return plain(used, planes)

    _ocr_rapid._run = watching
    engine = _ocr_rapid.RapidEngine(weights, gpu=False)
    for path in [path for folder in folders for path in sorted(Path(folder).iterdir())[::8]]:
        read_picture(engine, load_rgb(str(path)), 960)
    for number in BEFORE_GELU:
        ranges[f"Conv.{number}"][2] = max(ranges[f"Conv.{number}"][2], -4.0)
    return ranges


def main(folders: list[str]) -> None:
    """Prints the module."""
    digest = hashlib.sha256(shipped("PP-OCRv6_tiny").rec.onnx.read_bytes()).hexdigest()
    print('"""What flows through the model that reads lines: made by scripts/measure_ocr_ranges.py."""\n')
    print("from __future__ import annotations\n")
    print("RANGES: dict[str, dict[str, tuple[float, float, float, float]]] = {")
    print(f'    "{digest}": {{')
    for name, values in measured(folders).items():
        print(f'        "{name}": ({", ".join(f"{value:.3f}" for value in values)}),')
    print("    }\n}")
    print('"""sha256 of the weights -> convolution -> least and largest input, least and largest output."""')


if __name__ == "__main__":
    main(sys.argv[1:])
