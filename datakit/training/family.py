"""The family of a model, by its config.json or by its name, and why one cannot be trained on these data."""

from __future__ import annotations

import json
import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from datakit.core.regular_files import read_regular

Kind = Literal["qwen_vl", "text", "other", "adapter", "missing", "empty", "unreadable", "unknown"]
_KNOWN = "Qwen2-VL, Qwen2.5-VL or Qwen3-VL"
_INSTEAD = f"Take a {_KNOWN} model, such as `Qwen/Qwen2.5-VL-7B-Instruct`."
_QWEN_LAYOUTS = ("qwen2_vl", "qwen3_vl", "qwen3_vl_nothink")
_TEXT_TYPES = (
    *("qwen", "qwen2", "qwen2_moe", "qwen3", "qwen3_moe", "llama", "mistral", "mixtral", "gemma", "gemma2"),
    *("phi", "phi3", "chatglm", "internlm2", "baichuan", "deepseek_v2", "deepseek_v3", "gpt2", "gpt_oss"),
)
_TEXT_NAMES = re.compile(
    r"(?:^|/)(?:qwen(?:1\.5|2|2\.5|3)?-[\d.]+b(?:-|$)|(?:meta-)?llama-?[23][\d.]*-(?!.*vision)|mistral-|mixtral-|"
    r"deepseek-(?:r1|v[23]|llm)|baichuan|internlm[23]?-|chatglm|glm-4-|phi-[234]-(?!.*vision)|yi-[\d.]+)"
)
_OTHER_NAMES = re.compile(
    r"llava|internvl|minicpm-?v|minicpm-?o|pixtral|paligemma|gemma-?[34]|glm-?4\.?\d?v|kimi-vl|mllama|yi-vl|"
    r"(?:llama|phi).*vision|qwen-vl|qwen2-audio|omni|deepseek-vl|ovis|smolvlm|idefics|molmo|florence|blip"
)
_PATHS = (".", "/", "~")


@dataclass(frozen=True)
class Family:
    """What a model is."""

    kind: Kind
    template: str = ""
    """LLaMA-Factory's chat template of a Qwen-VL model."""
    type: str = ""
    """`model_type` of config.json; for an adapter the name of its base."""
    place: str = ""
    """The folder that was looked at."""


def family_of(model: str, base: Path | None = None) -> Family:
    """The family of a folder (relative ones are looked for in `base`) or of a name at a hub."""
    folder = (base or Path()) / model
    if os.path.isdir(folder):
        return _of_folder(folder, model)
    plain = model.lower().replace("_", "").replace("-", "").replace(".", "")
    if model.startswith((".", "~")):  # one elsewhere may be named absolutely; this one is nowhere
        return Family("missing", place=os.path.normpath(folder))
    if "qwen3vl" in plain or "qwen25vl" in plain or "qwen2vl" in plain:
        return Family("qwen_vl", _template(plain, model))
    if model.startswith("/"):
        return Family("missing", place=model)
    if _OTHER_NAMES.search(model.lower()):
        return Family("other")
    return Family("text" if _TEXT_NAMES.search(model.lower()) else "unknown")


def why_not(model: str, family: Family, template: str | None, *, shows_images: bool | None = None) -> str:
    """Why a model cannot be trained on these data; "" when it can, as far as its family tells.

    With a `template` of the user's own the family is theirs to know. `shows_images` is whether the data have
    pictures; None where only reading them tells.
    """
    if family.kind == "qwen_vl":
        return ""
    if family.kind == "missing":
        return (
            f"there is no model folder {family.place}. Mend the path (relative ones begin at the recipe's "
            "folder), or give the model's name at the hub"
        )
    if family.kind == "adapter":
        trained = f", trained on `{family.type}`" if family.type else ""
        return (
            f"{family.place} is a LoRA adapter{trained}, not a model. Give its base model, and the adapter "
            "as `adapter_name_or_path` to go on with it; or merge the two first"
        )
    if family.kind == "empty":
        return f"{family.place} holds no config.json: it is no model's folder. Is the download whole?"
    if family.kind == "unreadable":
        return f"{family.place}/config.json is no JSON object, so it is no model. Is the download whole?"
    if family.kind == "text" and shows_images:
        return f"{_named(model, family)} is a text model, and the data have pictures. {_INSTEAD}"
    if template is not None and not (family.kind == "other" and is_qwen_layout(template)):
        return ""
    if family.kind == "text":
        sees = "" if shows_images is False else f" that sees no pictures. {_INSTEAD}"
        layout = "For data without pictures, name its chat layout, such as `template: qwen`"
        return f"{_named(model, family)} is a text model{sees or '.'} {layout}"
    if family.kind == "other":
        return (
            f"{_named(model, family)} is of another family than the data are made for, {_KNOWN}. "
            f"{_INSTEAD} To train it all the same, name its layout by `template`, such as "
            "`template: llava`"
        )
    return (
        f"the family of `{model}` cannot be told from its name. Give the model's folder, or name the layout: "
        "`template: qwen2_vl` for a Qwen2-VL or Qwen2.5-VL model, `template: qwen3_vl_nothink` for Qwen3-VL"
    )


def is_qwen_layout(template: str) -> bool:
    """Whether a chat template is that of a Qwen-VL family."""
    return template in _QWEN_LAYOUTS


def template_of(model: str) -> str:
    """The chat template of a model's family, by its config.json or by its name. Raises ValueError."""
    family = family_of(model)
    words = why_not(model, family, None)
    if words:
        raise ValueError(words)
    return family.template


def _of_folder(folder: Path, model: str) -> Family:
    place = os.path.normpath(folder)
    try:
        config: Any = json.loads(read_regular(folder / "config.json"))
    except FileNotFoundError:
        return _without_config(folder, place)
    except (OSError, ValueError):
        return Family("unreadable", place=place)
    if not isinstance(config, dict):
        return Family("unreadable", place=place)
    kind = str(config.get("model_type", ""))
    plain = kind.lower().replace("_", "")
    if "qwen3vl" in plain or "qwen25vl" in plain or "qwen2vl" in plain:
        return Family("qwen_vl", _template(plain, model), kind, place)
    if kind in _TEXT_TYPES and "vision_config" not in config:
        return Family("text", type=kind, place=place)
    return Family("other", type=kind or "none", place=place)


def _without_config(folder: Path, place: str) -> Family:
    try:
        adapter: Any = json.loads(read_regular(folder / "adapter_config.json"))
    except FileNotFoundError:
        return Family("empty", place=place)
    except (OSError, ValueError):
        adapter = None
    base = adapter.get("base_model_name_or_path") if isinstance(adapter, dict) else None
    return Family("adapter", type=str(base or ""), place=place)


def _template(plain: str, model: str) -> str:
    if "qwen3vl" not in plain:
        return "qwen2_vl"
    # The template without "nothink" puts an empty thought before each answer.
    return "qwen3_vl" if "thinking" in model.lower() else "qwen3_vl_nothink"


def _named(model: str, family: Family) -> str:
    return f"{family.place} (`model_type: {family.type}`)" if family.place else f"`{model}`"
