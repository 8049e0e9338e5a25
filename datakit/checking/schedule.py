"""Settings that depend on the number of rows: steps that are never reached, splits that cannot be made."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from datakit.checking.finding import Findings
from datakit.checking.tally import Tally
from datakit.checking.training import Training
from datakit.training.config import total_steps

_DEFAULTS: dict[str, Any] = {
    "per_device_train_batch_size": 8,
    "gradient_accumulation_steps": 1,
    "num_train_epochs": 3.0,
}


def steps_of(training: Training, tallies: Sequence[Tally]) -> int | None:
    """Optimizer steps of the run; None where only the trainer can know (packing, interleaving)."""
    if training.file is None:
        return None
    if training.number("max_steps", -1) > 0:
        return int(training.number("max_steps", -1))
    mixed = str(training.keys.get("mix_strategy", "concat")) != "concat"
    if training.packed or training.on("streaming") or (mixed and len(tallies) > 1):
        return None
    rows = sum(_used(training, tally) for tally in tallies)
    val_size = training.number("val_size", 0)
    held_out = int(val_size) if val_size > 1 else -int(-rows * val_size // 1)
    keys = {key: training.number(key, default) for key, default in _DEFAULTS.items()}
    try:
        return total_steps(keys, max(0, rows - held_out), training.gpus) if rows else None
    except (ValueError, ZeroDivisionError):
        return None  # a batch size of 0 and the like: reported by type and range


def _used(training: Training, tally: Tally) -> int:
    most = int(training.number("max_samples", tally.kept))
    return min(tally.kept, most)


def check_schedule(training: Training, tallies: Sequence[Tally], findings: Findings) -> None:
    """Notes settings that never fire, and splits that fail or leak."""
    train = [tally for tally in tallies if tally.part == "train"]
    total = steps_of(training, train)
    if total is not None:
        for key, message in _idle(training, total):
            findings.add("never_fires", message, where=training.where(key))
    _split(training, sum(tally.kept for tally in train), findings)


def _idle(training: Training, total: int) -> list[tuple[str, str]]:
    keys = training.keys
    run = f"the training has {total:,} step{'s' if total != 1 else ''}"
    idle = []
    # Not save_steps: the trainer saves after the last step whatever it says.
    watched = [] if training.on("logging_first_step") else [("logging_steps", "logging_strategy", "steps")]
    # LLaMA-Factory evaluates once more in the end; what is missed before matters to these alone.
    if training.on("load_best_model_at_end") or training.on("early_stopping_steps"):
        watched.append(("eval_steps", "eval_strategy", "no"))
    for key, strategy, usual in watched:
        if key in keys and keys.get(strategy, usual) == "steps" and training.number(key, 0) > total:
            idle.append((key, f"`{key}` is {training.number(key, 0):g}, but {run}"))
    warm_up = training.number("warmup_steps", 0)
    if warm_up >= total and warm_up >= 1:
        message = f"`warmup_steps` is {warm_up:g}, but {run}: the learning rate is never reached"
        idle.append(("warmup_steps", message))
    return idle


def _split(training: Training, rows: int, findings: Findings) -> None:
    size = training.number("val_size", 0)
    if size <= 0 or training.names("eval_dataset"):
        return
    where = training.where("val_size")
    if size >= rows and size > 1:
        findings.add("setting_clash", f"`val_size` is {size:g}, but there are {rows:,} rows", where=where)
    else:
        findings.add("split_leaks", f"`val_size` is {size:g}", where=where)
