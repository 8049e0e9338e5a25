"""Weights of a checkpoint under the names that the trainer's model has, so that a resumed training gets them.

transformers writes Qwen2-VL and Qwen2.5-VL under the names of before its version 4.52 (`visual.…`,
`model.…`), and has them in memory under those of since (`model.visual.…`, `model.language_model.…`).
`from_pretrained` takes both. What loads a checkpoint when a training is resumed compares the names as they
are, and leaves out every tensor whose name it does not know. Qwen3-VL has one spelling, an adapter is loaded
by peft, and DeepSpeed has states of its own.
"""

from __future__ import annotations

import json
import os
import re
from pathlib import Path
from typing import Any

from datakit.core.disk_faults import disk_fault
from datakit.core.errors import UserError
from datakit.core.regular_files import read_regular
from datakit.training.safetensors import rename_tensors

_TYPES = ("qwen2_vl", "qwen2_5_vl")
_MOVED_IN = (4, 52)
"""The version of transformers in whose models the parts stand under `model.`."""
_WHOLE, _INDEX = "model.safetensors", "model.safetensors.index.json"


def mend_names(checkpoint: Path) -> int:
    """Gives a checkpoint's weights the names of the model in memory; how many tensors got another one.

    Shard by shard and the index last: ended at any moment, the next call does what is left. Checkpoints whose
    names are right, of other families or of other formats stay as they are. Raises UserError where the disk
    does not take it.
    """
    if not _is_renamed_when_saved(_json(checkpoint / "config.json")):
        return 0
    index = _json(checkpoint / _INDEX)
    places = index.get("weight_map")
    weight_map: dict[str, str] = places if isinstance(places, dict) else {}
    files = {_WHOLE, *(str(name) for name in weight_map.values())}
    try:
        count = sum(
            rename_tensors(checkpoint / name, in_memory)
            for name in sorted(files)
            if Path(name).name == name and (checkpoint / name).is_file()
        )
        mended = {in_memory(name): file for name, file in weight_map.items()}
        if mended.keys() != weight_map.keys():
            _replace(checkpoint / _INDEX, json.dumps({**index, "weight_map": mended}, indent=2) + "\n")
    except OSError as error:
        message, remedy = disk_fault(error, checkpoint)
        raise UserError(
            f"the weights of {checkpoint.name} must get other names before the training goes on, and cannot "
            f"be written: {message}",
            remedy=f"{remedy} It takes room for the largest file of the checkpoint once more.",
        ) from None
    return count


def in_memory(name: str) -> str:
    """The name of a tensor in the model that trains, such as `model.visual.…` for `visual.…`."""
    if name.startswith("visual."):
        return f"model.{name}"
    if name.startswith("model.") and not name.startswith(("model.visual.", "model.language_model.")):
        return f"model.language_model.{name.removeprefix('model.')}"
    return name


def _is_renamed_when_saved(config: dict[str, Any]) -> bool:
    version = re.match(r"(\d+)\.(\d+)", str(config.get("transformers_version") or ""))
    moved = version is None or tuple(map(int, version.groups())) >= _MOVED_IN
    return config.get("model_type") in _TYPES and moved


def _json(path: Path) -> dict[str, Any]:
    try:
        found = json.loads(read_regular(path))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def _replace(path: Path, text: str) -> None:
    draft = path.with_name(f"{path.name}.renaming")
    with open(draft, "w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    os.replace(draft, path)
