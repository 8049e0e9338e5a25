"""What a safetensors file holds, from its header alone: names and shapes of tensors, never their values."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

from datakit.core.regular_files import regular

_LONGEST_HEADER = 100 << 20
"""Bytes; the format's own bound."""
_METADATA = "__metadata__"
_COPIED_BYTES = 16 << 20


def header(path: Path) -> dict[str, Any] | None:
    """Tensor name -> {"dtype", "shape", "data_offsets"}; None for a file that is none or is cut short."""
    tensors = _read(path)
    if tensors is not None:
        tensors.pop(_METADATA, None)
    return tensors


def _read(path: Path) -> dict[str, Any] | None:
    """The header with its metadata."""
    try:
        with open(path, "rb", opener=regular) as file:
            start = file.read(8)
            if len(start) < 8:
                return None
            (length,) = struct.unpack("<Q", start)
            if not 0 < length <= _LONGEST_HEADER:
                return None
            tensors = json.loads(file.read(length))
    except (OSError, ValueError):
        return None
    return tensors if isinstance(tensors, dict) else None


def rename_tensors(path: Path, renamed: Callable[[str], str]) -> int:
    """Gives the tensors of a file other names, and says how many got one; their values stay byte for byte.

    The file is written beside its place and put there whole, so that whatever ends this leaves the old one or
    the new one. It takes room for the file once more. Nothing is written where no name changes, or where two
    tensors would have the same one. Raises OSError.
    """
    tensors = _read(path) or {}
    named = {name if name == _METADATA else renamed(name): tensor for name, tensor in tensors.items()}
    changed = len(named.keys() - tensors.keys())
    if not changed or len(named) < len(tensors):
        return 0
    text = json.dumps(named, separators=(",", ":"), ensure_ascii=False).encode()
    text += b" " * (-len(text) % 8)  # the format's alignment of what follows

    draft = path.with_name(f"{path.name}.renaming")
    try:
        with open(path, "rb", opener=regular) as old, open(draft, "wb") as new:
            (length,) = struct.unpack("<Q", old.read(8))
            old.seek(8 + length)
            new.write(struct.pack("<Q", len(text)) + text)
            shutil.copyfileobj(old, new, _COPIED_BYTES)
            new.flush()
            os.fsync(new.fileno())
        shutil.copymode(path, draft)
        os.replace(draft, path)
    except BaseException:
        with contextlib.suppress(OSError):
            draft.unlink()
        raise
    return changed


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
