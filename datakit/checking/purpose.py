"""What a configuration is for, by its keys: only some of them name data."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

Purpose = Literal["training", "export", "inference", "accelerate", "deepspeed", "v1"]

FOREIGN: dict[Purpose, str] = {
    "accelerate": "a configuration of accelerate: name the training's own file; this one is given to "
    "`accelerate launch --config_file`",
    "deepspeed": "a configuration of DeepSpeed: name the training's own file; it names this one under "
    "`deepspeed`",
    "v1": "a configuration of LLaMA-Factory's version 1 (`USE_V1=1`), which is not checked",
}
"""Files that LLaMA-Factory 0.9.5 does not take as its own, and what they are."""
_MARKS: dict[Purpose, frozenset[str]] = {
    "accelerate": frozenset(("compute_environment", "distributed_type", "fsdp_config", "deepspeed_config")),
    "deepspeed": frozenset(("zero_optimization", "train_micro_batch_size_per_gpu", "train_batch_size")),
    "v1": frozenset(("model", "model_class", "train_dataset", "peft_config", "dist_config", "kernel_config")),
}
_TRAINS = ("do_train", "do_eval", "do_predict", "stage", "dataset", "eval_dataset", "output_dir")


def purpose_of(keys: Mapping[str, Any]) -> Purpose:
    """`training` for all that trains, evaluates or predicts, and for what shows no purpose."""
    if "model_name_or_path" not in keys:
        marked = (purpose for purpose, marks in _MARKS.items() if marks & keys.keys())
        return next(marked, "training")
    if keys.get("export_dir") is not None and not keys.get("do_train"):
        return "export"
    return "training" if any(keys.get(key) is not None for key in _TRAINS) else "inference"
