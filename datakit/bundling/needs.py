"""What a machine must have for a build: memory, disk and work, reckoned from its data and settings."""

from __future__ import annotations

import math
from contextlib import suppress
from dataclasses import replace
from typing import Any

from datakit.artifacts.build_folder import BuildFolder
from datakit.artifacts.needs import Needs
from datakit.artifacts.serving import Serving
from datakit.core.errors import UserError
from datakit.core.qwen_models import QwenModel, qwen_model
from datakit.serving.plan import weight_bytes
from datakit.serving.requirements import longest_prompt
from datakit.training import memory
from datakit.training.config import total_steps
from datakit.training.launch import gpus_and_nodes
from datakit.training.machine import Machine
from datakit.training.machine_check import plan_of
from datakit.training.run_folder import RunFolder

GIB = 1 << 30


def needs_of(run: RunFolder) -> Needs:
    """The figures of a build; those of its base model are 0 where the architecture is not known here."""
    build, keys = run.build, run.keys
    gpus, nodes = gpus_and_nodes(run)
    base = str(keys["model_name_or_path"])
    needs = replace(
        _amounts(build),
        base=base,
        method=run.method,
        gpus=gpus,
        nodes=nodes,
        mode=memory.mode_of(run.deepspeed()),
        checkpoints=_checkpoints(keys, _steps(run)),
        serve_gpus=build.serving.tensor_parallel if build.serving is not None else 1,
        serve_bytes=_serving_bytes(build.serving) if build.serving is not None else 0,
        workers=int(keys.get("preprocessing_num_workers") or 1),
        steps=_steps(run),
    )
    with suppress(UserError):  # another family, or a folder that is elsewhere: its figures stay 0
        needs = _with_model(needs, run, qwen_model(base))
    return needs


def _with_model(needs: Needs, run: RunFolder, size: QwenModel) -> Needs:
    keys = run.keys
    trained = memory.trained_by(keys, size)
    plan = plan_of(run, Machine(needs.gpus, 0, 0), gpus=needs.gpus, nodes=needs.nodes)
    checkpoint, weights = checkpoint_bytes(keys, trained, needs.mode)
    return replace(
        needs,
        base_bytes=weight_bytes(size),
        family=size.family,
        parameters=size.parameters,
        gpu_bytes=int(plan.choice.gpu_gb * GIB),
        host_bytes=int(plan.choice.host_gb * GIB),
        checkpoint_bytes=checkpoint,
        trained_bytes=weights,
        served_bytes=2 * size.parameters,
        tokens=_training_tokens(run, plan.tokens),
        token_flops=_token_flops(keys, trained),
    )


def checkpoint_bytes(keys: dict[str, Any], trained: memory.Trained, mode: str) -> tuple[int, int]:
    """Bytes of a checkpoint, and those of its weights alone.

    Weights are saved as they are held: trained ones in float32, or in half precision under DeepSpeed, which
    keeps float32 ones beside them in its optimizer states. Adam has two moments of 4 bytes a parameter.
    """
    t, frozen = trained.parameters, trained.frozen
    if keys.get("finetuning_type", "lora") == "lora":
        frozen = 0  # the adapter alone is saved
    shared = mode != "none"
    weights = 2 * (t + frozen) if shared and frozen else 4 * t + 2 * frozen
    if keys.get("save_only_model"):
        return weights, weights
    states = 12 * t + (0 if mode.startswith("z3") else 2 * (t + frozen)) if shared else 8 * t
    return weights + states, weights


def _checkpoints(keys: dict[str, Any], steps: int) -> int:
    """Most that stand at once: the trainer removes the oldest after it has written the newest."""
    strategy = keys.get("save_strategy", "steps")
    if strategy == "no":
        return 0
    epochs = math.ceil(float(keys.get("num_train_epochs") or 1))
    every = float(keys.get("save_steps") or 500)
    every = every * steps if every < 1 else every
    saves = max(1, epochs if strategy == "epoch" else math.ceil(steps / every))
    limit = keys.get("save_total_limit")
    if limit is None:
        return saves
    kept = max(int(limit), 2 if keys.get("load_best_model_at_end") else 1)
    return min(saves, kept + 1)


def _steps(run: RunFolder) -> int:
    gpus, nodes = gpus_and_nodes(run)
    return total_steps(run.keys, _rows(run.build, "train", "general"), gpus * nodes)


def _rows(build: BuildFolder, *parts: str) -> int:
    return build.emitted.rows(*parts) if build.emitted is not None else 0


def _amounts(build: BuildFolder) -> Needs:
    """Rows, pictures and questions of a build."""
    questions = len({row["id"] for row in build.rows("val")})
    return Needs(
        rows=_rows(build, "train", "general"),
        pictures=sum(len(row.get("images") or ()) for row in build.rows("train", "general", "val")),
        questions=questions,
        question_tokens=questions * longest_prompt(build) if questions else 0,
    )


def _training_tokens(run: RunFolder, longest: int) -> int:
    """Tokens of all steps: rows as the build's check counted them, else each as the longest one."""
    keys, rows = run.keys, _rows(run.build, "train", "general")
    sets = run.build.check.data_sets if run.build.check is not None else []
    counted = [entry for entry in sets if entry.get("part") == "train" and not entry.get("uncounted")]
    tokens = sum(int(entry.get("text_tokens", 0)) + int(entry.get("image_tokens", 0)) for entry in counted)
    each = tokens / sum(int(entry.get("kept", 0)) for entry in counted) if tokens else float(longest)
    gpus, nodes = gpus_and_nodes(run)
    a_step = int(keys["per_device_train_batch_size"]) * int(keys["gradient_accumulation_steps"])
    epochs = float(keys.get("num_train_epochs") or 1)
    passes = _steps(run) * a_step * gpus * nodes if keys.get("max_steps", -1) > 0 else rows * epochs
    return int(each * passes)


def _token_flops(keys: dict[str, Any], trained: memory.Trained) -> int:
    """2 a parameter forward, 2 backward through it, 2 more where it is trained, and 2 to recompute it."""
    total = trained.parameters + trained.frozen
    again = 0 if keys.get("disable_gradient_checkpointing") else 2 * total
    return 4 * total + again + 2 * trained.parameters


def _serving_bytes(serving: Serving) -> int:
    """Weights, working memory and the cache of one longest request, on each GPU."""
    figures = serving.memory
    cache = float(figures.get("bytes_per_token", 0)) * serving.max_model_len
    return int(figures.get("weights", 0)) + int(figures.get("working", 0)) + int(cache)
