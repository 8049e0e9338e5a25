"""Which modes of training fit a machine: the table of `datakit plan --train`, the gate of `datakit train`."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from pydantic import BaseModel, Field

from datakit.artifacts.build_folder import BuildFolder
from datakit.core.errors import UserError
from datakit.core.qwen_models import QwenModel, qwen_model
from datakit.recipe.recipe import load_recipe
from datakit.training import memory
from datakit.training.config import TrainSettings, all_keys
from datakit.training.deepspeed import settings_of
from datakit.training.forecast import Forecast, forecast, work_of
from datakit.training.gpus import GPUS
from datakit.training.longest import longest_row
from datakit.training.machine import Machine
from datakit.training.memory import GIB, HOST_FACTOR, Need

HOST_SLACK = 1.16
"""Host figures are bounds: full training of 7B, 139 GB by the formula, is known to run in about 120."""


class ModeRow(BaseModel):
    """One mode on this machine; all sizes in GiB."""

    mode: str
    states_gb: float
    """Weights, gradients and optimizer on each GPU."""
    activations_gb: float
    """Estimate of what a step holds besides."""
    gpu_gb: float
    """The sum, with what CUDA itself takes."""
    host_gb: float
    """Of each node."""
    fits: bool
    tight: str = ""
    """Where it fits by a run that is known alone: what the formula asks for."""
    chosen: bool = False
    short_of: str = ""
    """What is missing, where it does not fit."""


class MemoryPlan(BaseModel):
    """What the training of a recipe needs, mode by mode."""

    model: str
    parameters: int
    trained: int
    largest_layer: int
    gpus: int
    """Of each node."""
    nodes: int
    gpu_memory_gb: float
    host_memory_gb: float
    rows: int
    """Per GPU and step."""
    tokens: int
    tokens_from: str
    modes: list[ModeRow]
    chosen: str
    notes: list[str] = Field(default_factory=list)
    forecast: Forecast | None = None
    """Of tokens and time; None where nothing is built or the GPU is not known."""

    @property
    def choice(self) -> ModeRow:
        return next(row for row in self.modes if row.chosen)

    @property
    def quickest(self) -> ModeRow | None:
        """The first mode that fits; None when none does."""
        return next((row for row in self.modes if row.fits), None)


def memory_plan(
    size: QwenModel,
    keys: dict[str, Any],
    configuration: dict[str, Any] | None,
    machine: Machine,
    *,
    gpus: int,
    nodes: int,
    longest: tuple[int, int] | None,
) -> MemoryPlan:
    """The plan for `gpus` GPUs on each of `nodes` nodes like `machine`.

    `longest` are the tokens of the longest row and of its pictures; `cutoff_len` stands in for them.
    """
    trained = memory.trained_by(keys, size)
    cutoff = int(keys.get("cutoff_len", 4096))
    batch = memory.batch_of(keys, *(longest or (cutoff, cutoff // 2)))
    mode = memory.mode_of(configuration)
    needs = memory.inputs(size, trained, batch, gpus=gpus, nodes=nodes)
    return MemoryPlan(
        model=size.name,
        parameters=size.parameters,
        trained=trained.parameters,
        largest_layer=memory.largest_layer(size),
        gpus=gpus,
        nodes=nodes,
        gpu_memory_gb=_gib(machine.gpu_bytes),
        host_memory_gb=_gib(machine.host_bytes),
        rows=batch.rows,
        tokens=batch.tokens,
        tokens_from="the longest row of the build" if longest else "cutoff_len, because nothing is built",
        modes=[_row(need, machine, chosen=need.mode == mode) for need in needs],
        chosen=mode,
        notes=_notes(keys, machine),
    )


def of_recipe(
    path: Path,
    overrides: Iterable[str],
    out: Path | None,
    machine: Machine,
    *,
    gpus: int | None,
    price: float | None = None,
) -> MemoryPlan:
    """The plan for a recipe, with the longest row of its build where there is one, and with its forecast.

    `price` is that of one GPU for an hour.
    """
    recipe = load_recipe(path, overrides=overrides, sections={"train": TrainSettings})
    settings = recipe.sections.get("train")
    if not isinstance(settings, TrainSettings):
        raise UserError(f"{path} has no `train:` section", remedy="Add one: train: {model: …, method: lora}")
    base = recipe.path.parent
    local = base / settings.model
    size = qwen_model(local if local.is_dir() else settings.model)
    build = BuildFolder(out or recipe.build_folder)
    keys = all_keys(settings)
    longest, built = None, keys
    if build.training_file is not None:
        pixels = {key: keys[key] for key in ("image_max_pixels",) if key in keys}
        row_tokens = longest_row(build, {**build.training, **pixels}, 2 * size.patch)
        built = {**build.training, **keys}
        longest = row_tokens if row_tokens[0] else None
    each = gpus or settings.gpus // settings.nodes
    plan = memory_plan(
        size,
        keys,
        settings_of(keys.get("deepspeed"), base),
        machine,
        gpus=each,
        nodes=settings.nodes,
        longest=longest,
    )
    return _foreseen(plan, size, built, build, machine, price)


def _foreseen(
    plan: MemoryPlan,
    size: QwenModel,
    keys: dict[str, Any],
    build: BuildFolder,
    machine: Machine,
    price: float | None,
) -> MemoryPlan:
    """The plan with its forecast, or with a note that says what it lacks."""
    gpus = plan.gpus * plan.nodes
    work = work_of(build, keys, gpus) if build.training_file is not None else None
    if work is None:
        lack = "Tokens, steps and hours are told once the recipe is built and checked: datakit build."
    elif machine.gpu is None:
        lack = f"Hours are told for a known GPU: --gpu {GPUS[0].name}, or another of {_names()}."
    else:
        told = forecast(size, keys, plan.chosen, work, machine.gpu, gpus, price)
        return plan.model_copy(update={"forecast": told})
    return plan.model_copy(update={"notes": [*plan.notes, lack]})


def _names() -> str:
    return ", ".join(gpu.name for gpu in GPUS)


def refuse_what_cannot_fit(plan: MemoryPlan) -> str:
    """A warning, or "" when the chosen mode fits.

    Raises UserError when not even the states fit: the start would fail. Activations are an estimate,
    so that a mode that fails by them alone is tried, with the warning.
    """
    row = plan.choice
    if not plan.gpu_memory_gb:
        return ""
    if row.fits:
        return row.tight
    words = f"the mode `{row.mode}` needs {row.short_of}"
    if row.states_gb < plan.gpu_memory_gb and _fits_host(row.host_gb, plan.host_memory_gb):
        return f"{words}, by an estimate. {_remedy(plan)}"
    raise UserError(
        f"{plan.model} cannot be trained here: {words}",
        remedy=f"{_remedy(plan)} The table: datakit plan --train. To try all the same: --ignore-memory",
    )


def _remedy(plan: MemoryPlan) -> str:
    quickest = plan.quickest
    if quickest is not None and not quickest.chosen:
        change = "no `deepspeed`" if quickest.mode == "none" else f"`deepspeed: {quickest.mode}`"
        return f"What fits: {change} in the recipe's `train:`, then build again."
    return (
        "No mode fits: train `method: lora` (with `quantization_bit: 4` if need be) or a smaller model, on "
        "more GPUs, with a batch of 1, or with smaller pictures (`image_max_pixels`)."
    )


def _row(need: Need, machine: Machine, *, chosen: bool) -> ModeRow:
    short = []
    if need.gpu > machine.gpu_bytes:
        short.append(f"{_gib(need.gpu):g} GiB on each GPU of {_gib(machine.gpu_bytes):g}")
    if not _fits_host(need.host, machine.host_bytes):
        short.append(f"{_gib(need.host):g} GiB of host memory of {_gib(machine.host_bytes):g}")
    return ModeRow(
        mode=need.mode,
        states_gb=_gib(need.gpu_states),
        activations_gb=_gib(need.gpu_activations),
        gpu_gb=_gib(need.gpu),
        host_gb=_gib(need.host),
        fits=not short,
        tight="" if short else _tight(need, machine),
        chosen=chosen,
        short_of=" and ".join(short),
    )


def _fits_host(needed: float, present: float) -> bool:
    return needed <= present * HOST_SLACK


def _tight(need: Need, machine: Machine) -> str:
    if need.host <= machine.host_bytes:
        return ""
    return (
        f"the mode `{need.mode}` leaves no host memory: {_gib(need.host):g} GiB by the formula, of which a "
        f"known run took {1 / HOST_SLACK:.0%}; here are {_gib(machine.host_bytes):g}. Run nothing beside it."
    )


def _notes(keys: dict[str, Any], machine: Machine) -> list[str]:
    notes = [
        "Activations are an estimate; states follow DeepSpeed's own formulas, which allow "
        f"{HOST_FACTOR:g} times as much host memory.",
    ]
    if machine.is_assumed:
        notes.append(
            f"No GPU was found: reckoned for that of the recipe, serve.gpu_memory_gb "
            f"{_gib(machine.gpu_bytes):g}; --gpu (or --gpu-memory-gb) and --gpus name another."
        )
    elif not machine.gpu_bytes:
        notes.append("No GPU was found: give --gpu (or --gpu-memory-gb) and --gpus of the one that trains.")
    if not keys.get("enable_liger_kernel"):
        notes.append("With `enable_liger_kernel: true` the loss holds no logits: see the estimate shrink.")
    return notes


def _gib(size: float) -> float:
    return round(size / GIB, 1)
