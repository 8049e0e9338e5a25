"""GPU hours of a training with its export and answers: measured where one ran, else reckoned, roughly."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from datakit.artifacts.ablation import AblationFolder, AblationRecord, Job
from datakit.artifacts.build_folder import BuildFolder
from datakit.core.errors import Exit, UserError
from datakit.core.qwen_models import qwen_model
from datakit.handoff.stages import EXPORT, PREDICT, TRAIN, StageRecords
from datakit.training.memory import trained_by
from datakit.training.run_folder import RunFolder

PEAK_FLOPS = 989e12
"""One H100 SXM in bfloat16, dense (NVIDIA's data sheet)."""
USED = 0.3
"""Share of it that a training of pictures is reckoned to use."""
AROUND_H = 0.1
"""Hours beside the training's steps, each time: loading, export, start of the server, answers."""
BASIS = f"reckoned for an H100 at {USED:.0%} of its peak, within a factor of three; measured once one ran"


@dataclass(frozen=True)
class Cost:
    """Of one training."""

    job: Job
    hours: float | None
    """GPU hours; None where they cannot be reckoned."""
    done: bool
    """Whether it was trained and has answered, so that the hours are spent."""


def costs(folder: AblationFolder, record: AblationRecord) -> tuple[list[Cost], bool]:
    """The cost of each training, and whether they rest on a measured one.

    What is left is scaled from those that ran by its arithmetic. Raises UserError for a build that is not
    finished.
    """
    jobs = [(job, _work(folder.build(job)), _measured(folder.build(job))) for job in folder.jobs(record)]
    rates = [(hours - AROUND_H) / work for _, work, hours in jobs if hours and work and hours > AROUND_H]
    rate = sum(rates) / len(rates) if rates else 1 / (PEAK_FLOPS * USED * 3600)
    spent = [hours for _, _, hours in jobs if hours is not None]
    around = AROUND_H if rates or not spent else max(spent)
    steps = rate if rates or not spent else 0.0
    left = [None if work is None else around + work * steps for _, work, _ in jobs]
    return [
        Cost(job, rest if hours is None else hours, hours is not None)
        for (job, _, hours), rest in zip(jobs, left, strict=True)
    ], bool(spent)


def _measured(build: BuildFolder) -> float | None:
    """GPU hours of the stages as they were done; None while one is not."""
    run = RunFolder.of(build.path)
    records = StageRecords(run.folder)
    stages = [records.read(stage) for stage in (TRAIN, EXPORT, PREDICT)]
    seconds = 0.0
    for stage in stages:
        if stage is None or not stage.is_done:
            return None
        seconds += stage.seconds
    return seconds / 3600 * run.gpus


def _work(build: BuildFolder) -> float | None:
    """Floating-point operations of the training; None for data that no check counted, or an unknown model.

    Per token twice the parameters forward, as much for the gradients of activations and again for the
    forward pass that checkpointing repeats, and twice the trained ones for theirs (Kaplan and others 2020,
    section 2.1).
    """
    check, keys = build.check, build.training
    if check is None or check.steps is None:
        return None
    try:
        size = qwen_model(str(keys["model_name_or_path"]))
    except UserError:
        return None
    train = [own for own in check.data_sets if own.get("part") == "train" and own.get("kept")]
    rows = sum(int(own["kept"]) for own in train)
    if not rows:
        return None
    tokens = sum(int(own.get("text_tokens") or 0) + int(own.get("image_tokens") or 0) for own in train)
    batch = int(keys.get("per_device_train_batch_size", 1)) * int(keys.get("gradient_accumulation_steps", 1))
    seen = check.steps * batch * int(check.settings.get("gpus") or 1) * tokens / rows
    return seen * (6.0 * size.parameters + 2.0 * trained_by(keys, size).parameters)


def hours_of(planned: Sequence[Cost]) -> float | None:
    """All of them together; None where one is unknown."""
    known = [cost.hours for cost in planned if cost.hours is not None]
    return sum(known) if len(known) == len(planned) else None


def check_budget(planned: Sequence[Cost], budget: float | None, command: str) -> None:
    """Raises UserError (exit 4) where the trainings do not fit, naming the changes that do."""
    if budget is None:
        return
    total = hours_of(planned)
    if total is None:
        raise UserError(
            "GPU hours cannot be reckoned for this model, so no budget can be kept",
            remedy="Leave --budget-gpu-h out for the first training (--part); the rest is scaled from it.",
        )
    if total <= budget:
        return
    hours: dict[str, float] = {}
    for cost in planned:
        hours[cost.job.change.name] = hours.get(cost.job.change.name, 0.0) + (cost.hours or 0.0)
    words = {cost.job.change.name: cost.job.change for cost in planned}
    base, *changes = hours
    left, fitting = budget - hours[base], list[str]()
    for name in changes:
        if hours[name] <= left:
            left -= hours[name]
            fitting.append(name)
    lines = [f"The base alone takes {hours[base]:.2f} GPU hours."]
    if left < 0 or not fitting:
        lines.append("No change fits beside it.")
    else:
        lines.append("With it fit: " + "; ".join(words[name].words for name in fitting))
    left_out = [name for name in changes if name not in fitting]
    lines += [f"Not: {words[name].words} ({hours[name]:.2f} GPU hours)" for name in left_out]
    seeds = max(cost.job.seed for cost in planned)
    once = sum(cost.hours or 0.0 for cost in planned if cost.job.seed == 1)
    if seeds > 1 and once <= budget:
        lines.append(f"All of them fit with --seeds 1 ({once:.2f} GPU hours).")
    lines.append(f"Nothing was trained. Name those that fit with --again, or allow more: {command}")
    raise UserError(
        f"the trainings take {total:.2f} GPU hours, and the budget is {budget:g}",
        remedy="\n  ".join(lines),
        exit_code=Exit.BUDGET,
    )
