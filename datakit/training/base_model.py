"""Whether the base model of a run is one that its data, its template and its adapters are made for.

Looked at before the trainer starts: it reads all weights first, and ends with a line about tensors' sizes.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from datakit.core.errors import UserError
from datakit.core.regular_files import read_regular
from datakit.training.family import Family, family_of, is_qwen_layout, why_not
from datakit.training.safetensors import shapes

_LAYERS = "layers."
_ANEW = "Name the right one: `train.model` of the recipe, then build again; or MODEL of a bundle."


def refuse_other_base(keys: Mapping[str, Any], folder: Path) -> None:
    """Raises UserError for a base model, or adapters to go on with, that cannot be trained on these data.

    Relative paths of `keys` begin at `folder`, where the trainer runs. Of a model that is at a hub only the
    name is looked at.
    """
    model, template = str(keys["model_name_or_path"]), str(keys.get("template") or "")
    family = family_of(model, folder)
    if model.startswith("/") and not os.path.isdir(model):
        family = Family("missing", place=model)
    words = why_not(model, family, template, shows_images=is_qwen_layout(template))
    if (
        not words
        and family.template
        and _plain(family.template) != _plain(template)
        and is_qwen_layout(template)
    ):
        words = (
            f"{family.place or model} is of the family of `{family.template}`, but the data were made for "
            f"`{template}`: pictures have other tokens there"
        )
    if words:
        raise UserError(f"this training cannot start: {words}", remedy=_ANEW)
    for adapter in str(keys.get("adapter_name_or_path") or "").split(","):
        if adapter.strip():
            refuse_other_adapter(folder / adapter.strip(), folder / model)


def refuse_other_adapter(adapter: Path, base: Path) -> None:
    """Raises UserError for an adapter whose tensors do not fit the base model; both are folders here."""
    misfits = list(_misfits(shapes(adapter), shapes(base))) if adapter.is_dir() and base.is_dir() else []
    if misfits:
        trained_on = _trained_on(adapter)
        named = f"; its adapter_config.json names `{trained_on}`" if trained_on else ""
        raise UserError(
            f"the adapter {adapter} was trained on another base model than {base}: {misfits[0]}{named}",
            remedy="Give the base model that it was trained on, or train anew on this one.",
        )


def _misfits(adapter: Mapping[str, tuple[int, ...]], base: Mapping[str, tuple[int, ...]]) -> Iterator[str]:
    """Where tensors of the language model's layers differ; names before `layers.` depend on versions."""
    layers = {_inner(name): shape for name, shape in base.items() if _is_language(name)}
    if not layers:
        return  # weights of the base in another format
    for name, shape in sorted(adapter.items()):
        if not _is_language(name) or ".lora_" not in name:
            continue
        inner, _, rest = _inner(name).partition(".lora_")
        of_base = layers.get(f"{inner}.weight")
        if of_base is None:
            yield f"it has no {inner}"
        elif rest.startswith("A") and shape[1] != of_base[1]:
            yield f"{inner} takes {shape[1]:,} values in the adapter and {of_base[1]:,} in the model"
        elif rest.startswith("B") and shape[0] != of_base[0]:
            yield f"{inner} gives {shape[0]:,} values in the adapter and {of_base[0]:,} in the model"


def _is_language(name: str) -> bool:
    return _LAYERS in name and "visual" not in name


def _inner(name: str) -> str:
    return name[name.index(_LAYERS) :]


def _trained_on(adapter: Path) -> str:
    try:
        config: Any = json.loads(read_regular(adapter / "adapter_config.json"))
    except (OSError, ValueError):
        return ""
    return str(config.get("base_model_name_or_path") or "") if isinstance(config, dict) else ""


def _plain(template: str) -> str:
    return template.removesuffix("_nothink")
