"""Between which values a number of the training makes sense. Outside, no training comes of it."""

from __future__ import annotations

import math
from typing import Any, NamedTuple


class Bounds(NamedTuple):
    """From `least` to `most`; `above`: `least` itself is too little."""

    least: float
    most: float
    above: bool = False


_STEPS = Bounds(0, 1e9, above=True)
_COUNT = Bounds(1, 65_536)
_WORKERS = Bounds(1, 4096)
_SHARE = Bounds(0, 1)
_SEED = Bounds(0, 2**32 - 1)
_PIXELS = Bounds(1, 1e9)
BOUNDS: dict[str, Bounds] = {
    "per_device_train_batch_size": _COUNT,
    "per_device_eval_batch_size": _COUNT,
    "gradient_accumulation_steps": Bounds(1, 1_000_000),
    "num_train_epochs": Bounds(0, 10_000, above=True),
    "max_steps": Bounds(-1, 1e9),  # -1: not given
    "max_samples": Bounds(1, 1e12),
    "learning_rate": Bounds(0, 10, above=True),
    "weight_decay": Bounds(0, 10),
    "adam_beta1": _SHARE,
    "adam_beta2": _SHARE,
    "adam_epsilon": Bounds(0, 1, above=True),
    "max_grad_norm": Bounds(0, 1e6),
    "warmup_ratio": _SHARE,
    "warmup_steps": Bounds(0, 1e9),
    "label_smoothing_factor": _SHARE,
    "lora_rank": _COUNT,
    "lora_alpha": Bounds(1, 1_000_000),
    "lora_dropout": _SHARE,
    "loraplus_lr_ratio": Bounds(0, 1e6, above=True),
    "cutoff_len": Bounds(16, 4_194_304),
    "preprocessing_num_workers": _WORKERS,
    "preprocessing_batch_size": Bounds(1, 1e9),
    "dataloader_num_workers": Bounds(0, 4096),
    "dataloader_prefetch_factor": _COUNT,
    "save_steps": _STEPS,
    "eval_steps": _STEPS,
    "logging_steps": _STEPS,
    "save_total_limit": Bounds(0, 1e6),
    "early_stopping_steps": Bounds(1, 1e9),
    "seed": _SEED,
    "data_seed": _SEED,
    "ddp_timeout": Bounds(1, 1e10),
    "image_max_pixels": _PIXELS,
    "image_min_pixels": _PIXELS,
    "video_max_pixels": _PIXELS,
    "video_min_pixels": _PIXELS,
    "quantization_bit": Bounds(1, 8),
    "export_size": Bounds(1, 1e6),
    "val_size": Bounds(0, 1e12),
    "top_p": _SHARE,
    "temperature": Bounds(0, 1e6),
    "freeze_trainable_layers": Bounds(-4096, 4096),
}
_ANY = Bounds(-1e15, 1e15)
"""Of every other number."""
NEVER_NULL = (
    *("per_device_train_batch_size", "gradient_accumulation_steps", "num_train_epochs", "learning_rate"),
    *("cutoff_len", "lora_rank", "freeze_trainable_layers"),
)
"""Numbers that the trainer reckons with: null ends in a TypeError there."""


def out_of_bounds(key: str, value: Any) -> str:
    """Why no training comes of a value of the right type; "" where it may."""
    if value is None:
        return f"`{key}` is null; it must be a number" if key in NEVER_NULL else ""
    bounds = BOUNDS.get(key, _ANY)
    if isinstance(value, bool) or not isinstance(value, int | float):
        return ""
    if not math.isfinite(value) or value > bounds.most:
        return f"`{key}` is {_shown(value)}; it must be at most {_shown(bounds.most)}"
    if value < bounds.least or (bounds.above and value == bounds.least):
        words = "above" if bounds.above else "at least"
        return f"`{key}` is {_shown(value)}; it must be {words} {_shown(bounds.least)}"
    if key == "val_size" and value > 1 and value != int(value):
        return f"`{key}` is {_shown(value)}; above 1 it counts rows, and must be a whole number"
    return ""


def _shown(value: float) -> str:
    return f"{int(value):,}" if abs(value) < 1e15 and value == int(value) else f"{value:g}"
