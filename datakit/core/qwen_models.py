"""What a Qwen-VL model is made of: from its config.json, or by name from the shipped table, without weights.

The table holds what the published config.json files say (2026-11); parameters are counted from them.
"""

from __future__ import annotations

import difflib
import re
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import orjson

from datakit.core.errors import UserError, did_you_mean
from datakit.core.regular_files import read_regular
from datakit.core.tokens import Template

_TABLE = Path(__file__).with_name("qwen_models.json")
_VARIANTS = (
    *("instruct", "thinking", "base", "chat", "awq", "gptq", "int4", "int8", "fp8", "gguf", "bnb", "4bit"),
    *("8bit", "bf16", "lora", "merged", "unsloth"),
)
"""Words that names of known models go on with."""
_LINEAGE = ("qwen2_5_vl", "qwen2_vl", "qwen3_vl_moe", "qwen3_vl")


@dataclass(frozen=True)
class ParameterCounts:
    """Parameters, in numbers."""

    embedding: int
    """Word embedding, and the output layer where it is not the same."""
    layer: int
    """One decoder layer."""
    layers: int
    """All decoder layers with the last norm."""
    active_layers: int
    """Of them what one token passes through: of a mixture of experts those that it is sent to."""
    vision: int
    """Vision tower without the projector."""
    projector: int
    """What maps the tower's output into the language model (with Qwen3-VL's deepstack)."""

    @property
    def total(self) -> int:
        return self.embedding + self.layers + self.vision + self.projector


@dataclass(frozen=True)
class QwenModel:
    """The architecture of one model."""

    name: str
    """Name at the hub, or the folder."""
    family: str
    """`qwen2_vl`, `qwen2_5_vl`, `qwen3_vl` or `qwen3_vl_moe`."""
    hidden: int
    intermediate: int
    layers: int
    heads: int
    kv_heads: int
    head_dim: int
    vocab: int
    max_positions: int
    vision_heads: int
    vision_hidden: int
    vision_intermediate: int
    vision_depth: int
    vision_windowed: int
    """Blocks of the tower whose attention looks at a picture window by window."""
    patch: int
    parts: ParameterCounts

    @property
    def parameters(self) -> int:
        """All parameters."""
        return self.parts.total

    @property
    def size_family(self) -> str:
        """Its family in datakit.core.pixels: mixtures of experts see pictures as their siblings do."""
        return self.family.removesuffix("_moe")

    def kv_bytes_per_token(self, tensor_parallel: int = 1, element_bytes: float = 2) -> float:
        """Bytes of the key-value cache for one token on one GPU."""
        kv_heads = max(1, self.kv_heads // tensor_parallel)
        return self.layers * kv_heads * 2 * self.head_dim * element_bytes


@cache
def known_models() -> dict[str, dict[str, Any]]:
    """Name at the hub -> the part of its config.json that says how it is built."""
    models: dict[str, dict[str, Any]] = orjson.loads(_TABLE.read_bytes())
    return models


def qwen_model(model: str | Path) -> QwenModel:
    """The architecture of a folder with config.json, or of a model that the table knows by name.

    Raises UserError for an unknown name, a folder without config.json, or another architecture.
    """
    path = Path(model)
    if path.is_dir():
        return _from_folder(path)
    models = known_models()
    word = str(model).lower()
    for name in models:  # quantised and base variants are built like their Instruct sibling
        stem = name.removesuffix("-Instruct").lower()
        short = stem.rpartition("/")[2]
        if word == name.lower() or _variant(word, stem) or _variant(word.rpartition("/")[2], short):
            return model_of(str(model), models[name])
    raise UserError(
        f"the architecture of `{model}` is not known: it is no folder here and not in the table",
        remedy=did_you_mean(str(model), models)
        or f"Give a folder with config.json, or: {', '.join(models)}.",
    )


def _variant(word: str, stem: str) -> bool:
    return word == stem or word.startswith(f"{stem}-")


def misspelt(model: str) -> str:
    """The name that was meant by that of a model at the hub, "" where nothing looks misspelt.

    Names of other owners and further words pass: only what is near a known name and is none is told.
    """
    owner, _, name = model.rpartition("/")
    if model.startswith((".", "/", "~")) or "/" in owner or not name:
        return ""
    known_names = {known.partition("/")[2].lower(): known for known in known_models()}
    stems = [short.removesuffix("-instruct") for short in known_names]
    stem = max((stem for stem in stems if _variant(name.lower(), stem)), key=len, default=None)
    if stem is None:
        near = difflib.get_close_matches(name.lower(), known_names, n=1, cutoff=_NEAR)
        if not near or ("vl" not in name.lower() and _likeness(name.lower(), near[0]) < _VERY_NEAR):
            return ""
        if re.findall(r"\d", name) != re.findall(r"\d", near[0]):
            return ""  # a size that the table does not have
        return known_names[near[0]]
    words = name[len(stem) :].split("-")
    mended = [_mended(word) for word in words]
    own = "Qwen" if owner and difflib.get_close_matches(owner.lower(), ["qwen"], cutoff=0.7) else owner
    meant = f"{own}/" * bool(own) + name[: len(stem)] + "-".join(mended)
    return meant if meant.lower() != model.lower() else ""


_NEAR, _VERY_NEAR = 0.85, 0.95
"""Likeness of two names. That of Qwen2.5-7B, a text model, to Qwen2.5-VL-7B lies between the two."""


def _likeness(first: str, second: str) -> float:
    return difflib.SequenceMatcher(None, first, second).ratio()


def _mended(word: str) -> str:
    if word.lower() in _VARIANTS or len(word) < 4:
        return word
    near = difflib.get_close_matches(word.lower(), _VARIANTS, n=1, cutoff=0.75)
    return near[0].capitalize() if near and near[0].isalpha() else near[0] if near else word


def chat_layout(model: str, template: str | None, base: Path) -> Template:
    """The chat layout that a training with this model, and LLaMA-Factory's `template`, counts tokens by.

    `base` is where a model's folder is looked for. That of Qwen2.5-VL where nothing tells.
    """
    name = template or model
    config = base / model / "config.json"
    if template is None and config.is_file():
        with suppress(OSError, orjson.JSONDecodeError):
            name = str(orjson.loads(read_regular(config)).get("model_type", ""))
    plain = re.sub(r"[-_.]", "", name.lower())
    return "qwen3_vl" if "qwen3" in plain else "qwen2_vl"


def _from_folder(path: Path) -> QwenModel:
    file = path / "config.json"
    try:
        config = orjson.loads(read_regular(file))
    except FileNotFoundError:
        adapter = (path / "adapter_config.json").exists()
        raise UserError(
            f"{path} holds no config.json" + (": it is a LoRA adapter, not a model" if adapter else ""),
            remedy="Merge it first: datakit export BUILD." if adapter else "Give the model's own folder.",
        ) from None
    except (OSError, orjson.JSONDecodeError) as error:
        raise UserError(f"cannot read {file}: {error}", remedy="Is the model whole?") from None
    return model_of(str(path), config)


def model_of(name: str, config: dict[str, Any]) -> QwenModel:
    """The architecture that a config.json describes. Raises UserError for one that is no Qwen-VL."""
    family = str(config.get("model_type", ""))
    text = config.get("text_config") or config
    vision = config.get("vision_config")
    if family not in _LINEAGE or not vision:
        raise UserError(
            f"{name} is of the type `{family or 'none'}`, not a Qwen-VL model",
            remedy="Known: Qwen2-VL, Qwen2.5-VL and Qwen3-VL.",
        )
    try:
        heads = int(text["num_attention_heads"])
        tied = bool(config.get("tie_word_embeddings", text.get("tie_word_embeddings", False)))
        return QwenModel(
            name=name,
            family=family,
            hidden=text["hidden_size"],
            intermediate=text["intermediate_size"],
            layers=text["num_hidden_layers"],
            heads=heads,
            kv_heads=text["num_key_value_heads"],
            head_dim=text.get("head_dim") or text["hidden_size"] // heads,
            vocab=text["vocab_size"],
            max_positions=text.get("max_position_embeddings", 32_768),
            vision_heads=vision["num_heads"],
            vision_hidden=_tower_width(family, vision),
            vision_intermediate=_tower_inner(vision, _tower_width(family, vision)),
            vision_depth=vision["depth"],
            vision_windowed=_windowed(family, vision),
            patch=vision.get("patch_size", 14),
            parts=_parts(family, text, vision, tied),
        )
    except KeyError as error:
        raise UserError(f"the config.json of {name} lacks {error}", remedy="Is it the model's own?") from None


def _tower_width(family: str, vision: dict[str, Any]) -> int:
    return int(vision["embed_dim"] if family == "qwen2_vl" else vision["hidden_size"])


def _windowed(family: str, vision: dict[str, Any]) -> int:
    if family != "qwen2_5_vl":
        return 0
    whole = vision.get("fullatt_block_indexes", (7, 15, 23, 31))  # those of all published models
    return int(vision["depth"] - sum(index < vision["depth"] for index in whole))


def _tower_inner(vision: dict[str, Any], width: int) -> int:
    return int(vision.get("intermediate_size") or width * vision.get("mlp_ratio", 4))


def _parts(family: str, text: dict[str, Any], vision: dict[str, Any], tied: bool) -> ParameterCounts:
    embedding = text["vocab_size"] * text["hidden_size"] * (1 if tied else 2)
    layer = _layer(family, text)
    tower, projector = _vision(family, vision, text["hidden_size"])
    return ParameterCounts(
        embedding=embedding,
        layer=layer,
        layers=layer * text["num_hidden_layers"] + text["hidden_size"],
        active_layers=_layer(family, text, active=True) * text["num_hidden_layers"] + text["hidden_size"],
        vision=tower,
        projector=projector,
    )


def _layer(family: str, text: dict[str, Any], *, active: bool = False) -> int:
    hidden, heads, kv = text["hidden_size"], text["num_attention_heads"], text["num_key_value_heads"]
    head = text.get("head_dim") or hidden // heads
    attention = hidden * head * (2 * heads + 2 * kv)
    attention += 2 * head if family.startswith("qwen3") else head * (heads + 2 * kv)
    if family.endswith("_moe"):
        experts = text["num_experts"]
        used = text["num_experts_per_tok"] if active else experts
        mlp = hidden * experts + 3 * hidden * text["moe_intermediate_size"] * used
    else:
        mlp = 3 * hidden * text["intermediate_size"]
    return int(attention + mlp + 2 * hidden)


def _vision(family: str, vision: dict[str, Any], hidden: int) -> tuple[int, int]:
    width, depth, patch = _tower_width(family, vision), vision["depth"], vision.get("patch_size", 14)
    pixels = 3 * 2 * patch * patch  # two frames of three colours
    attention = width * 3 * width + 3 * width + width * width + width
    four = 4 * width  # two by two patches make one token
    merge = four * four + four + four * hidden + hidden
    if family == "qwen2_5_vl":
        inner = vision["intermediate_size"]
        block = attention + 2 * (width * inner + inner) + inner * width + width + 2 * width
        return pixels * width + depth * block, merge + width
    inner = _tower_inner(vision, width)
    block = attention + width * inner + inner + inner * width + width + 4 * width
    if family == "qwen2_vl":
        return pixels * width + depth * block, merge + 2 * width
    tower = pixels * width + width + vision.get("num_position_embeddings", 2304) * width + depth * block
    deep = len(vision.get("deepstack_visual_indexes", ())) * (merge + 2 * four)
    return tower, merge + 2 * width + deep


_SEES = re.compile(r"(?<![a-z])(vl|vlm|vision|llava|omni|internvl|minicpm-?v)(?![a-z])", re.IGNORECASE)


def is_vision_model(name: str, base: Path = Path()) -> bool:
    """Whether a model sees, by its config.json (a folder's, relative to `base`) or by its name."""
    config = base / name / "config.json"
    try:
        facts = orjson.loads(read_regular(config))
    except (OSError, orjson.JSONDecodeError):
        return _SEES.search(name) is not None
    return isinstance(facts, dict) and (
        "vision_config" in facts or _SEES.search(str(facts.get("model_type", ""))) is not None
    )
