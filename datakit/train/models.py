"""How large a model is: its parameters by part, reckoned from config.json alone."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import orjson

from datakit.core.errors import UserError, did_you_mean

_TABLE = Path(__file__).with_name("models.json")
FAMILIES = ("qwen2_vl", "qwen2_5_vl", "qwen3_vl")


@dataclass(frozen=True)
class ModelSize:
    """Parameters of a vision-language model, and the widths that decide what a training step needs."""

    name: str
    parameters: int
    """All of them, tied ones once."""
    vision: int
    """Of them in the vision tower, without the projector."""
    projector: int
    """Of them in the projector (merger), with those of Qwen3-VL's deep stack."""
    largest_layer: int
    """The largest single module, as DeepSpeed counts it: it is gathered whole on each GPU."""
    hidden: int
    layers: int
    intermediate: int
    key_value: int
    """Width of keys (and of values)."""
    query: int
    vocabulary: int
    vision_hidden: int
    merge: int
    patch_px: int

    @property
    def language(self) -> int:
        """Parameters of the language model."""
        return self.parameters - self.vision - self.projector

    @property
    def layer(self) -> int:
        """Parameters of one layer of the language model, without biases and norms."""
        attention = self.hidden * (2 * self.query + 2 * self.key_value)
        return attention + 3 * self.hidden * self.intermediate


def size_of(model: str) -> ModelSize:
    """The size of a model by its folder or its name at the hub. Raises UserError for an unknown one."""
    folder = Path(model)
    if (folder / "config.json").is_file():
        return _size(model, orjson.loads((folder / "config.json").read_bytes()))
    if folder.is_dir():
        raise UserError(f"{model} has no config.json", remedy="Give the folder of a whole model.")
    found = _known().get(_plain(model))
    if found is None:
        hint = did_you_mean(_plain(model), _known())
        raise UserError(
            f"the size of `{model}` is not known",
            remedy=f"{hint} Or download the model and give its folder, which has a config.json.".strip(),
        )
    return _size(model, found)


@cache
def _known() -> dict[str, dict[str, Any]]:
    """Lower-case name without publisher and ending -> the figures of its config.json."""
    table: dict[str, dict[str, Any]] = orjson.loads(_TABLE.read_bytes())
    return {_plain(name): config for name, config in table.items()}


def _plain(name: str) -> str:
    """`Qwen/Qwen3-VL-8B-Thinking` -> `qwen3-vl-8b`: Instruct, Thinking and base models have one size."""
    plain = name.rstrip("/").rsplit("/", 1)[-1].lower()
    for ending in ("-instruct", "-thinking"):
        plain = plain.removesuffix(ending)
    return plain


def _size(name: str, config: dict[str, Any]) -> ModelSize:
    family = config.get("model_type")
    if family not in FAMILIES:
        raise UserError(
            f"{name} is a model of the type `{family}`; memory is reckoned for {', '.join(FAMILIES)}",
            remedy="The training itself does not depend on it: pass --ignore-memory to `datakit train`.",
        )
    text = {**config, **config.get("text_config", {})}  # older files keep the text model's keys at the top
    vision = config["vision_config"]
    tower, projector, widest = _VISION[family](vision, int(text["hidden_size"]))
    head = int(text.get("head_dim") or text["hidden_size"] // text["num_attention_heads"])
    query, key_value = head * text["num_attention_heads"], head * text["num_key_value_heads"]
    hidden, inner, words = text["hidden_size"], text["intermediate_size"], text["vocab_size"]
    attention = hidden * (2 * query + 2 * key_value)
    attention += 2 * head if family == "qwen3_vl" else query + 2 * key_value  # norms of q and k, or biases
    layer = attention + 3 * hidden * inner + 2 * hidden
    tied = config.get("tie_word_embeddings", text.get("tie_word_embeddings", False))
    language = text["num_hidden_layers"] * layer + hidden + words * hidden * (1 if tied else 2)
    return ModelSize(
        name=name,
        parameters=language + tower + projector,
        vision=tower,
        projector=projector,
        largest_layer=max(words * hidden, hidden * inner, widest),
        hidden=hidden,
        layers=text["num_hidden_layers"],
        intermediate=inner,
        key_value=key_value,
        query=query,
        vocabulary=words,
        vision_hidden=vision.get("embed_dim", vision["hidden_size"]),
        merge=vision.get("spatial_merge_size", 2),
        patch_px=vision.get("patch_size", 14),
    )


def _patches(vision: dict[str, Any], width: int) -> int:
    channels = vision.get("in_channels", vision.get("in_chans", 3))
    return int(channels * vision.get("temporal_patch_size", 2) * vision["patch_size"] ** 2 * width)


def _qwen2(vision: dict[str, Any], out: int) -> tuple[int, int, int]:
    """Tower, projector and widest module: LayerNorm, a plain MLP of `mlp_ratio`."""
    width = vision["embed_dim"]
    inner = int(width * vision.get("mlp_ratio", 4))
    block = 4 * width + 4 * width * width + 4 * width + 2 * width * inner + inner + width
    merged = width * vision.get("spatial_merge_size", 2) ** 2
    projector = 2 * width + merged * merged + merged + merged * out + out
    return vision["depth"] * block + _patches(vision, width), projector, merged * max(merged, out) + out


def _qwen25(vision: dict[str, Any], out: int) -> tuple[int, int, int]:
    """RMSNorm, a gated MLP with biases."""
    width, inner = vision["hidden_size"], vision["intermediate_size"]
    block = 2 * width + 4 * width * width + 4 * width + 3 * width * inner + 2 * inner + width
    merged = width * vision.get("spatial_merge_size", 2) ** 2
    projector = width + merged * merged + merged + merged * out + out
    return vision["depth"] * block + _patches(vision, width), projector, merged * max(merged, out) + out


def _qwen3(vision: dict[str, Any], out: int) -> tuple[int, int, int]:
    """Learned positions, LayerNorm, and one more projector for each layer of the deep stack."""
    width, inner = vision["hidden_size"], vision["intermediate_size"]
    block = 4 * width + 4 * width * width + 4 * width + 2 * width * inner + inner + width
    tower = vision["depth"] * block + _patches(vision, width) + width
    tower += vision["num_position_embeddings"] * width
    merged = width * vision.get("spatial_merge_size", 2) ** 2
    mlp = merged * merged + merged + merged * out + out
    deep = len(vision.get("deepstack_visual_indexes", ()))
    return tower, 2 * width + mlp + deep * (2 * merged + mlp), merged * max(merged, out) + out


_VISION = {"qwen2_vl": _qwen2, "qwen2_5_vl": _qwen25, "qwen3_vl": _qwen3}
