"""The texts of train.yaml and export.yaml: keys in sections, with comments that say how to run them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from datakit.core.plain_yaml import ONE_LINE, dump
from datakit.core.scripts import comment

_SECTIONS = {
    "model": ("model_name_or_path", "trust_remote_code", "image_max_pixels", "image_min_pixels"),
    "method": (
        "stage",
        "do_train",
        "finetuning_type",
        "lora_rank",
        "lora_alpha",
        "lora_dropout",
        "lora_target",
        "freeze_trainable_layers",
        "freeze_vision_tower",
        "freeze_multi_modal_projector",
        "deepspeed",
    ),
    "data": (
        "dataset",
        "eval_dataset",
        "dataset_dir",
        "media_dir",
        "template",
        "cutoff_len",
        "preprocessing_num_workers",
        "dataloader_num_workers",
    ),
    "evaluation and saving": (
        "eval_strategy",
        "eval_steps",
        "per_device_eval_batch_size",
        "save_strategy",
        "save_steps",
        "save_total_limit",
        "load_best_model_at_end",
        "metric_for_best_model",
        "greater_is_better",
        "logging_steps",
        "plot_loss",
        "report_to",
        "output_dir",
    ),
}


def train_text(head: Iterable[str], keys: dict[str, Any], reasons: Mapping[str, str]) -> str:
    """train.yaml: the lines of `head` as comments, then the keys; those of no section count as training.

    `reasons` are the comments above keys whose values were reckoned.
    """
    lines = [comment(line) for line in head]
    sectioned = {key for section in _SECTIONS.values() for key in section}
    sections = {**_SECTIONS, "training": tuple(key for key in keys if key not in sectioned)}
    for title in ("model", "method", "data", "training", "evaluation and saving"):
        entries = {key: keys[key] for key in sections[title] if key in keys}
        if entries:
            lines += ["", f"### {title}"]
        for key, value in entries.items():
            lines += [comment(reasons[key])] if key in reasons else []
            lines.append(dump({key: value}, width=ONE_LINE).rstrip())
    return "\n".join(lines) + "\n"


def export_text(keys: dict[str, Any], target: str) -> str:
    """An adapter is merged into its base model; any other method left a whole model, to be halved."""
    adapter = keys["finetuning_type"] == "lora"
    export_keys = {
        "model_name_or_path": keys["model_name_or_path"] if adapter else keys["output_dir"],
        **({"adapter_name_or_path": keys["output_dir"], "finetuning_type": "lora"} if adapter else {}),
        "template": keys["template"],
        "trust_remote_code": keys["trust_remote_code"],
        "infer_dtype": "float16" if keys.get("fp16") else "bfloat16",
        "export_dir": target,
        "export_size": 5,
        "export_device": "cpu",
    }
    head = comment(
        "The served model, made of the trained one. run in this folder: llamafactory-cli export export.yaml"
    )
    return f"{head}\n{dump(export_keys, width=ONE_LINE)}"
