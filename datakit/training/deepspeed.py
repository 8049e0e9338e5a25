"""DeepSpeed configurations by name: ZeRO stage 0, 2 or 3, and what is kept in host memory."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import orjson

from datakit.core.errors import UserError
from datakit.core.regular_files import read_regular

NAMES = ("z0", "z2", "z2_offload", "z3", "z3_offload_optimizer", "z3_offload")

_COMMON: dict[str, Any] = {
    "train_batch_size": "auto",
    "train_micro_batch_size_per_gpu": "auto",
    "gradient_accumulation_steps": "auto",
    "gradient_clipping": "auto",
    "zero_allow_untested_optimizer": True,
    "fp16": {
        "enabled": "auto",
        "loss_scale": 0,
        "loss_scale_window": 1000,
        "initial_scale_power": 16,
        "hysteresis": 2,
        "min_loss_scale": 1,
    },
    "bf16": {"enabled": "auto"},
}
_STAGE_0_OR_2: dict[str, Any] = {
    "allgather_partitions": True,
    "allgather_bucket_size": 500_000_000,
    "overlap_comm": False,
    "reduce_scatter": True,
    "reduce_bucket_size": 500_000_000,
    "contiguous_gradients": True,
    "round_robin_gradients": True,
}
_STAGE_3: dict[str, Any] = {
    "overlap_comm": False,
    "contiguous_gradients": True,
    "sub_group_size": 1_000_000_000,
    "reduce_bucket_size": "auto",
    "stage3_prefetch_bucket_size": "auto",
    "stage3_param_persistence_threshold": "auto",
    "stage3_max_live_parameters": 1_000_000_000,
    "stage3_max_reuse_distance": 1_000_000_000,
    "stage3_gather_16bit_weights_on_model_save": True,
}
_IN_HOST_MEMORY = {"device": "cpu", "pin_memory": True}


def configuration(name: str) -> dict[str, Any]:
    """The configuration for a ZeRO stage: `_offload` keeps all that it can in host memory, with stage 3
    parameters too, `_offload_optimizer` the optimizer alone."""
    stage, _, offload = name.removeprefix("z").partition("_")
    zero: dict[str, Any] = {"stage": int(stage), **(_STAGE_3 if stage == "3" else _STAGE_0_OR_2)}
    if offload:
        zero["offload_optimizer"] = dict(_IN_HOST_MEMORY)
        if stage == "3" and offload == "offload":
            zero["offload_param"] = dict(_IN_HOST_MEMORY)
    return {**_COMMON, "zero_optimization": zero}


def settings_of(wanted: str | None, base: Path) -> dict[str, Any] | None:
    """The configuration by its name, or out of a JSON file relative to `base`. Raises UserError."""
    if not wanted:
        return None
    if wanted in NAMES:
        return configuration(wanted)
    try:
        settings = _sound(orjson.loads(read_regular(base / wanted)))
    except (OSError, ValueError) as error:
        raise UserError(
            f"`train.deepspeed` names {base / wanted}, which cannot be read: {_why(error)}",
            remedy=_same_by_name(wanted)
            or f"Give a JSON file relative to the recipe, or one of {', '.join(NAMES)}.",
        ) from None
    return settings


def _why(error: Exception) -> str:
    return (error.strerror or str(error)) if isinstance(error, OSError) else str(error)


def _same_by_name(path: str) -> str:
    """The name for one of LLaMA-Factory's own example files, such as ds_z3_offload_config.json."""
    name = path.rpartition("/")[2].removeprefix("ds_").removesuffix("_config.json")
    return f"LLaMA-Factory's own file of that name is `deepspeed: {name}` here." if name in NAMES else ""


def _sound(settings: Any) -> dict[str, Any]:
    """The configuration. Raises ValueError where the parts that datakit looks at are none of DeepSpeed's."""
    if not isinstance(settings, dict):
        raise ValueError("it is no object")
    zero = settings.get("zero_optimization", {})
    if not isinstance(zero, dict):
        raise ValueError("`zero_optimization` is no object")
    if zero.get("stage", 0) not in (0, 1, 2, 3) or isinstance(zero.get("stage", 0), bool):
        raise ValueError(f"the ZeRO stage is {str(zero['stage'])[:40]!r}, not 0, 1, 2 or 3")
    for key in ("offload_optimizer", "offload_param"):
        if not isinstance(zero.get(key, {}), dict):
            raise ValueError(f"`{key}` is no object")
    return settings
