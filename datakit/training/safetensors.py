"""What a safetensors file holds, from its header alone: names and shapes of tensors, never their values."""

from __future__ import annotations

import json
import struct
from pathlib import Path
from typing import Any

from datakit.core.regular_files import regular

_LONGEST_HEADER = 100 << 20
"""Bytes; the format's own bound."""


def header(path: Path) -> dict[str, Any] | None:
    """Tensor name -> {"dtype", "shape", "data_offsets"}; None for a file that is none or is cut short."""
    try:
        with open(path, "rb", opener=regular) as file:
            start = file.read(8)
            if len(start) < 8:
                return None
            (length,) = struct.unpack("<Q", start)
            if not 0 < length <= _LONGEST_HEADER:
                return None
            tensors: dict[str, Any] = json.loads(file.read(length))
    except (OSError, ValueError):
        return None
    tensors.pop("__metadata__", None)
    return tensors


def data_bytes(path: Path) -> int | None:
    """How long the file must be by its header; None where the header cannot be read."""
    tensors = header(path)
    if tensors is None:
        return None
    with open(path, "rb", opener=regular) as file:
        (length,) = struct.unpack("<Q", file.read(8))
    return 8 + int(length) + max((int(tensor["data_offsets"][1]) for tensor in tensors.values()), default=0)


def shapes(folder: Path) -> dict[str, tuple[int, ...]]:
    """Tensor name -> shape over all safetensors files of a model's folder."""
    by_name: dict[str, tuple[int, ...]] = {}
    for path in sorted(folder.glob("*.safetensors")):
        for name, tensor in (header(path) or {}).items():
            by_name[name] = tuple(tensor["shape"])
    return by_name
