"""Whether this machine can train a build: its GPUs, and their memory by the plan. Not in a bundle."""

from __future__ import annotations

from datakit.core.errors import UserError
from datakit.core.qwen_models import qwen_model
from datakit.training.launch import Place, share
from datakit.training.logged_call import Say
from datakit.training.longest import longest_row
from datakit.training.machine import Machine, this_machine
from datakit.training.memory_plan import MemoryPlan, memory_plan, refuse_what_cannot_fit
from datakit.training.run_folder import RunFolder


def check_machine(run: RunFolder, place: Place, say: Say) -> None:
    """Says what is tight. Raises UserError for what cannot train here, with what would help."""
    gpus, nodes = share(run, place)
    machine = this_machine()
    if not machine.gpus:
        raise UserError(
            "this machine has no GPU that nvidia-smi would list",
            remedy="Pack the build for one that has: datakit bundle BUILD -o build.tar. "
            "A tiny model trains without: --cpu",
        )
    if machine.gpus < gpus:
        raise UserError(
            f"the training wants {gpus} GPUs on this node, which has {machine.gpus}",
            remedy=f"Build again for them: --set train.gpus={machine.gpus * nodes}",
        )
    if place.ignore_memory:
        return
    try:
        plan = plan_of(run, machine, gpus=gpus, nodes=nodes)
    except UserError as error:  # another family: no plan, and no reason not to train
        say(f"Memory is not checked: {error.message}")
        return
    warning = refuse_what_cannot_fit(plan)
    if warning:
        say(f"Warning: {warning}")


def plan_of(run: RunFolder, machine: Machine, *, gpus: int, nodes: int) -> MemoryPlan:
    """The memory plan of a build's training. Raises UserError for a model whose size is not known."""
    size = qwen_model(str(run.keys["model_name_or_path"]))
    longest = longest_row(run.build, run.keys, 2 * size.patch)
    return memory_plan(
        size,
        run.keys,
        run.deepspeed(),
        machine,
        gpus=gpus,
        nodes=nodes,
        longest=longest if all(longest) else None,
    )
