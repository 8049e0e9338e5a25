"""The base model that a bundle trains: whether it is here, whole and of the right family, or can be had."""

from __future__ import annotations

import json
import os
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from datakit.core.regular_files import read_regular
from datakit.handoff.bundle_settings import BundleSettings
from datakit.handoff.finding import FAULT, FINE, WARNING, Finding

_HUB = "https://huggingface.co"
_PATIENCE_S = 15.0
_YES = ("1", "TRUE", "ON", "YES")
_WEIGHTS = ("*.safetensors", "*.bin")
_PROCESSOR = ("preprocessor_config.json", "processor_config.json")
_TOKENIZER = ("tokenizer.json", "vocab.json")
_FOLDER = "Copy the whole folder of the model here and name it: MODEL=/folder"


def examine_base(settings: BundleSettings) -> Iterator[Finding]:
    """The folder that is trained, or the name at a hub: its cache first, then whether the hub has it."""
    if settings.base_url:
        return
    model = settings.model
    if not is_at_hub(model):
        yield from _examine_folder(Path(model).expanduser(), settings)
        return
    copy = cached(model)
    if copy is not None:
        yield from _family(_config(copy), f"{model}, in the cache {copy}", settings)
    elif any(os.environ.get(name, "").upper() in _YES for name in ("USE_MODELSCOPE_HUB", "USE_OPENMIND_HUB")):
        yield Finding("base model", WARNING, f"{model} comes from another hub, which was not asked")
    elif any(os.environ.get(name, "").upper() in _YES for name in ("HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE")):
        message = f"{model} is not in the cache, and HF_HUB_OFFLINE keeps it from being downloaded"
        yield Finding("base model", FAULT, message, _FOLDER)
    else:
        yield from _examine_hub(model, settings)


def _examine_folder(folder: Path, settings: BundleSettings) -> Iterator[Finding]:
    if not folder.is_dir():
        message = f"there is no folder {folder}"
        if not settings.model_given:
            message += ", where it lay when the build was made"
        yield Finding("base model", FAULT, message, _FOLDER)
        return
    config = _config(folder)
    if config is None:
        adapter = (folder / "adapter_config.json").is_file()
        what = "it is a LoRA adapter, not a model" if adapter else "it is no model, or was copied in part"
        yield Finding("base model", FAULT, f"{folder} has no config.json that can be read: {what}", _FOLDER)
        return
    lacking = [
        what
        for what, patterns in (("weights", _WEIGHTS), ("processor", _PROCESSOR), ("tokenizer", _TOKENIZER))
        if not any(path.stat().st_size for pattern in patterns for path in folder.glob(pattern))
    ]
    lacking += sorted(_shards(folder))
    if lacking:
        yield Finding("base model", FAULT, f"{folder} lacks {', '.join(lacking[:4])}", _FOLDER)
        return
    yield from _family(config, str(folder), settings)


def _shards(folder: Path) -> set[str]:
    """Files of weights that the model's index names and that are not there."""
    index = folder / "model.safetensors.index.json"
    if not index.is_file():
        return set()
    try:
        named = set(json.loads(read_regular(index))["weight_map"].values())
    except (OSError, ValueError, LookupError, AttributeError, TypeError):
        return {f"a whole {index.name}"}
    return {str(name) for name in named if not (folder / str(name)).is_file()}


def _family(config: dict[str, Any] | None, place: str, settings: BundleSettings) -> Iterator[Finding]:
    wanted, here = settings.needs.family, str((config or {}).get("model_type", ""))
    if wanted and here and here != wanted:
        message = f"{place} is of the type {here}; the data, its pixels and its template are for {wanted}"
        yield Finding("base model", FAULT, message, f"Name a model of the family of {settings.needs.base}.")
    else:
        yield Finding("base model", FINE, place)


def cached(model: str) -> Path | None:
    """The newest copy of a model in the hub's cache; None where there is none with its weights."""
    copies = [
        path
        for path in hub_cache().glob(f"models--{model.replace('/', '--')}/snapshots/*")
        if (path / "config.json").is_file() and any(path.glob("*.safetensors")) and not _shards(path)
    ]
    return max(copies, key=lambda path: path.stat().st_mtime, default=None)


def _examine_hub(model: str, settings: BundleSettings) -> Iterator[Finding]:
    hub = (os.environ.get("HF_ENDPOINT") or _HUB).rstrip("/")
    request = urllib.request.Request(f"{hub}/{model}/resolve/main/config.json")
    if token := os.environ.get("HF_TOKEN"):
        request.add_header("Authorization", f"Bearer {token}")
    try:
        with urllib.request.urlopen(request, timeout=_PATIENCE_S) as answer:
            config = json.loads(answer.read(1 << 20))
    except urllib.error.HTTPError as error:
        closed = error.code in (401, 403)
        message = f"{hub} does not give {model}: {error.code}"
        remedy = "Is the name right? A closed model wants HF_TOKEN." if closed else "Is the name right?"
        yield Finding("base model", FAULT, message, f"{remedy} {_FOLDER}")
    except (OSError, ValueError) as error:
        reason = getattr(error, "reason", error)
        message = f"{model} is not in the cache, and {hub} cannot be reached: {reason}"
        yield Finding("base model", FAULT, message, f"Set a proxy or HF_ENDPOINT. {_FOLDER}")
    else:
        size = f", {settings.needs.base_bytes / 1e9:.1f} GB" if settings.needs.base_bytes else ""
        place = f"{model}, to be downloaded from {hub}{size}"
        yield from _family(config if isinstance(config, dict) else None, place, settings)


def _config(folder: Path) -> dict[str, Any] | None:
    try:
        config = json.loads(read_regular(folder / "config.json"))
    except (OSError, ValueError):
        return None
    return config if isinstance(config, dict) else None


def hub_cache() -> Path:
    """Where the hub's client keeps what it downloads."""
    base = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    home = os.environ.get("HF_HOME") or os.path.join(base, "huggingface")
    return Path(os.environ.get("HF_HUB_CACHE") or os.path.join(home, "hub")).expanduser().absolute()


def is_at_hub(model: str) -> bool:
    """Whether a model is named, and no folder."""
    return not model.startswith(("/", ".", "~")) and not Path(model).is_dir()
