"""Steps of a training: how many there are, and when it warms up, logs, evaluates and saves."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

_RECKONED = (
    *("warmup_steps", "logging_steps", "eval_steps", "save_steps", "save_strategy", "eval_strategy"),
    *("per_device_eval_batch_size", "load_best_model_at_end", "metric_for_best_model", "greater_is_better"),
)
"""Keys whose null means that they are not given."""
_EVALUATION = ("eval_strategy", "load_best_model_at_end", "early_stopping_steps", "do_eval", "eval_on_start")
"""Keys that the trainer refuses without validation records."""
STEPS_REMEDY = (
    "Leave `eval_steps` and `save_steps` out of `train:`, and give `warmup_ratio` (such as 0.1) for "
    "`warmup_steps`: they are computed from the data."
)


def total_steps(keys: dict[str, Any], rows: int, gpus: int) -> int:
    """Optimizer steps of a run over `rows`, by the trainer's own rule."""
    if (keys.get("max_steps") or -1) > 0:
        return int(keys["max_steps"])
    batches = math.ceil(rows / (int(keys["per_device_train_batch_size"]) * gpus))
    per_epoch = max(1, math.ceil(batches / int(keys["gradient_accumulation_steps"])))
    return max(1, math.ceil(float(keys["num_train_epochs"]) * per_epoch))


def scheduled(keys: dict[str, Any], total: int, *, evaluates: bool, evaluations: int) -> dict[str, Any]:
    """The keys with warm-up, logging, evaluation and saving in steps, of `total` in all.

    What the recipe says stays; of `eval_steps` and `save_steps` one stands for both. Without validation
    records the keys of evaluation go.
    """
    packed = bool(keys.get("packing") or keys.get("neat_packing"))
    keys = {key: value for key, value in keys.items() if value is not None or key not in _RECKONED}
    interval = keys.get("eval_steps") or keys.get("save_steps") or max(1, total // evaluations)
    steps = {key: value for key, value in keys.items() if evaluates or key not in _EVALUATION}
    # A whole number: transformers reads a `warmup_steps` below 1 as a share, and refuses `warmup_ratio`.
    share = float(steps.pop("warmup_ratio", None) or 0)
    steps["warmup_steps"] = int(keys.get("warmup_steps", math.ceil(total * share)))
    steps.setdefault("logging_steps", max(1, min(10, total // 20)))
    # Packing joins rows, so that only the trainer knows the number of steps.
    steps.setdefault("save_strategy", "epoch" if packed else "steps")
    if steps["save_strategy"] == "steps":
        steps["save_steps"] = keys.get("save_steps", interval)
    if evaluates:
        steps.setdefault(
            "eval_strategy", "epoch" if steps["save_strategy"] == "best" else steps["save_strategy"]
        )
        steps.setdefault("per_device_eval_batch_size", 1)
        if steps["eval_strategy"] == "steps":
            steps["eval_steps"] = keys.get("eval_steps", interval)
        steps.setdefault("load_best_model_at_end", saves_what_it_evaluates(steps))
        steps.setdefault("metric_for_best_model", "eval_loss")
        steps.setdefault("greater_is_better", False)
    return steps


def is_in_steps(keys: dict[str, Any]) -> bool:
    """Whether the keys count something in steps that the data may be too few for."""
    return any(keys.get(key) for key in ("eval_steps", "save_steps", "warmup_steps"))


def never_firing(keys: dict[str, Any], total: int, *, evaluates: bool) -> Iterator[tuple[str, str]]:
    """Settings that have no effect in a training of `total` steps: the key, and why."""
    if keys.get("packing") or keys.get("neat_packing"):
        return
    run = f"the training has {total:,} step{'s' if total != 1 else ''}"
    every = keys.get("eval_steps") or keys.get("save_steps") or 0
    if evaluates and keys.get("eval_strategy", "steps") == "steps" and every > total:
        key = "eval_steps" if keys.get("eval_steps") else "save_steps"
        yield key, f"evaluation and saving every {every:g} steps never happen: {run}"
    if (keys.get("warmup_steps") or 0) >= total > 1:
        yield "warmup_steps", f"the warm-up of {keys['warmup_steps']:,g} steps never ends: {run}"


def best_unsaved(keys: dict[str, Any]) -> str:
    """What becomes of the best step where evaluation and saving differ; "" where it is always kept.

    The trainer takes such keys: as its best model it has those steps alone that were saved.
    """
    evaluate, save = keys.get("eval_steps"), keys.get("save_steps")
    if not keys.get("eval_strategy") == keys.get("save_strategy", "steps") == "steps":
        return ""
    if not evaluate or not save or evaluate == save:
        return ""
    kept = "may be lost" if keys.get("load_best_model_at_end") else "is not kept"
    words = f"evaluated every {evaluate:g} steps, saved every {save:g}: the best one {kept}"
    return f"{words}. `save_steps: {evaluate:g}` keeps it"


def saves_what_it_evaluates(keys: dict[str, Any]) -> bool:
    """Whether each step that is saved is one that is evaluated, without which there is no best model."""
    evaluate, save = keys["eval_strategy"], keys["save_strategy"]
    if evaluate != save or evaluate != "steps":
        return bool(evaluate == save != "no")
    return bool(round(keys["save_steps"] * 1e6) % round(keys["eval_steps"] * 1e6) == 0)  # may be shares
