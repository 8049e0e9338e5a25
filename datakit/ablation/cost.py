"""GPU hours of a training with its export and answers: measured where one ran, else reckoned, roughly."""

from __future__ import annotations

from collections.abc import Sequence

from datakit.ablation.hours import GPU, Cost, hours_of, measured_hours
from datakit.artifacts.ablation import AblationFolder, AblationRecord
from datakit.artifacts.build_folder import BuildFolder
from datakit.core.errors import Exit, UserError
from datakit.core.qwen_models import qwen_model
from datakit.evaluation.taking_over import BROUGHT
from datakit.handoff.stages import StageRecords
from datakit.training.forecast import forecast, work_of
from datakit.training.gpus import gpu_named
from datakit.training.memory import mode_of
from datakit.training.run_folder import RunFolder

AROUND_H = 0.1
"""Hours beside the training's steps, each time: loading, export, start of the server, answers."""


def costs(folder: AblationFolder, record: AblationRecord) -> tuple[list[Cost], bool]:
    """The cost of each training, and whether they rest on a measured one.

    What is left is scaled from those that ran by its forecast. Raises UserError for a build that is not
    finished.
    """
    jobs = [(job, _forecast(folder.build(job)), _measured(folder.build(job))) for job in folder.jobs(record)]
    rates = [(hours - AROUND_H) / told for _, told, hours in jobs if hours and told and hours > AROUND_H]
    rate = sum(rates) / len(rates) if rates else 1.0
    spent = [hours for _, _, hours in jobs if hours is not None]
    around = AROUND_H if rates or not spent else max(spent)
    steps = rate if rates or not spent else 0.0
    left = [None if told is None else around + told * steps for _, told, _ in jobs]
    return [
        Cost(job, rest if hours is None else hours, hours is not None)
        for (job, _, hours), rest in zip(jobs, left, strict=True)
    ], bool(spent)


def _measured(build: BuildFolder) -> float | None:
    """GPU hours of a training that ran here, or on the machine that its results came from."""
    run = RunFolder.of(build.path)
    there = measured_hours(StageRecords(run.folder / BROUGHT), run.gpus)
    return there or measured_hours(StageRecords(run.folder), run.gpus)


def _forecast(build: BuildFolder) -> float | None:
    """GPU hours of the training; None for data that no check counted, or an unknown model."""
    run, keys = RunFolder.of(build.path), build.training
    work = work_of(build, keys, run.gpus)
    try:
        size = qwen_model(str(keys["model_name_or_path"]))
    except UserError:
        return None
    if work is None:
        return None
    return forecast(size, keys, mode_of(run.deepspeed()), work, gpu_named(GPU), run.gpus, None).gpu_hours


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
