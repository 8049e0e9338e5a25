"""LLaMA-Factory as a program: where it is, what it is called with, what its failures mean."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from datakit.core.disk_faults import SAYS_FULL
from datakit.core.errors import UserError
from datakit.core.scripts import assignment, shell_words

VARIABLE = "DATAKIT_TRAINER"
"""Environment variable with the trainer's Python (or its llamafactory-cli), where it is not on the PATH."""
_PROGRAM = "llamafactory-cli"


@dataclass(frozen=True)
class Call:
    """One call of the trainer."""

    words: tuple[str, ...]
    folder: Path
    """It runs here."""
    settings: dict[str, str] = field(default_factory=dict)
    """Environment variables beside those of datakit's own process."""

    def environment(self) -> dict[str, str]:
        """The whole environment. torchrun is looked up on the PATH: the trainer's own stands first."""
        path = os.pathsep.join([str(Path(self.words[0]).parent), os.environ.get("PATH", os.defpath)])
        return {**os.environ, "PATH": path, "PYTHONUNBUFFERED": "1", **self.settings}

    def shown(self) -> str:
        """The call as a line for a shell."""
        settings = [assignment(name, value).strip("\n") for name, value in self.settings.items()]
        return f"cd {shell_words([str(self.folder)])} && {' '.join([*settings, shell_words(self.words)])}"


def find_trainer(given: str | None = None, *, must_exist: bool = True) -> Path:
    """llamafactory-cli of the `given` Python, of the variable DATAKIT_TRAINER, or of the PATH.

    Raises UserError where there is none, unless it need not exist.
    """
    source, place = ("--python", given) if given else (VARIABLE, os.environ.get(VARIABLE))
    if not place:
        on_path = shutil.which(_PROGRAM)
        if on_path is None and not must_exist:
            return Path(_PROGRAM)
        if on_path is None:
            raise UserError(
                f"{_PROGRAM} is not on the PATH",
                remedy='Install it here (pip install "llamafactory==0.9.5"), or name the Python of an '
                f"environment that has it: --python /envs/trainer/bin/python, or {VARIABLE}.",
            )
        return Path(on_path).absolute()
    path = Path(place).expanduser().absolute()
    program = path.parent / _PROGRAM if path.name.startswith("python") else path
    if path.is_dir():
        program = path / "bin" / _PROGRAM
    if must_exist and not program.is_file():
        raise UserError(
            f"{source} is {place}, but there is no {program}",
            remedy="Name the Python (or the folder) of an environment in which LLaMA-Factory is installed.",
        )
    return program


def distributed(
    *, gpus: int, nodes: int, deepspeed: bool, node_rank: int | None, master: str | None, port: int | None
) -> dict[str, str]:
    """The variables that start one process per GPU; `gpus` are those of this node.

    Raises UserError where a run on several nodes does not know its place.
    """
    if nodes == 1 and gpus <= 1 and not deepspeed:
        return {}
    variables = {"FORCE_TORCHRUN": "1", "NPROC_PER_NODE": str(max(1, gpus))}
    if nodes > 1:
        rank = _from_environment("NODE_RANK", node_rank)
        address = _from_environment("MASTER_ADDR", master)
        if rank is None or address is None:
            raise UserError(
                f"the training runs on {nodes} nodes, and this one does not know its place",
                remedy="On every node: --node-rank 0, 1, … and --master ADDRESS of node 0 (or the variables "
                "NODE_RANK and MASTER_ADDR).",
            )
        if not rank.isdigit() or int(rank) >= nodes:
            raise UserError(f"node rank {rank} is not in 0 to {nodes - 1}")
        variables |= {"NNODES": str(nodes), "NODE_RANK": rank, "MASTER_ADDR": address}
        variables["MASTER_PORT"] = _from_environment("MASTER_PORT", port) or "29500"
    elif port is not None:
        variables["MASTER_PORT"] = str(port)
    return variables


_ALLOCATOR = ("PYTORCH_CUDA_ALLOC_CONF", "PYTORCH_ALLOC_CONF")
"""The name that every PyTorch reads, and the one of 2.9 and newer."""


def threads(workers: int, processes: int, *, updates_on_host: bool = False) -> dict[str, str]:
    """OMP_NUM_THREADS, so that the trainer's processes share the cores; the environment's own goes first.

    Each of its preprocessing workers would take every core: 12 workers on 16 cores read 3 records/s in place
    of 110 (LLaMA-Factory 0.9.5, H100 machine, 2026-11-24). With `updates_on_host`, where the processor
    updates all weights, each process has half of its cores, although the workers are slower for it: with one
    thread a step of Qwen2.5-VL-3B under z2_offload took 8.8 s, with 8 of 16 cores 2.9 s (H200 machine,
    2026-11-28).
    """
    if "OMP_NUM_THREADS" in os.environ:
        return {}
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    shared = max(1, cores // max(1, workers, processes))
    own = cores // (2 * max(1, processes)) if updates_on_host else 0
    return {"OMP_NUM_THREADS": str(max(shared, own))}


def updates_on_host(keys: Mapping[str, Any], deepspeed: Mapping[str, Any] | None) -> bool:
    """Whether the processor updates every weight: a full training whose optimizer is kept in host memory."""
    optimizer = (deepspeed or {}).get("zero_optimization", {}).get("offload_optimizer", {})
    return bool(keys.get("finetuning_type", "lora") == "full" and optimizer.get("device", "none") != "none")


def allocator() -> dict[str, str]:
    """PyTorch's setting that lets blocks of GPU memory grow; the environment's own goes first.

    Without it PyTorch keeps what rows of one length freed, and asks for more at the next length.
    """
    if any(name in os.environ for name in _ALLOCATOR):
        return {}
    return {_ALLOCATOR[0]: "expandable_segments:True"}


def _from_environment(name: str, value: int | str | None) -> str | None:
    return str(value) if value is not None else os.environ.get(name)


DISK_FULL = (
    "The disk is full, usually at a checkpoint: remove old runs and their checkpoints, raise what a quota or "
    "`ulimit -f` allows, or keep fewer (`save_total_limit`, `save_only_model`). A half-written one is set "
    "aside, and the same command goes on from the last whole one."
)
_KILLED = (
    "Something killed the trainer, usually the system because host memory ran out: take another mode of "
    "`datakit plan --train`, or lower `preprocessing_num_workers`. The same command goes on from the last "
    "whole checkpoint."
)
_KILLED_CODES = (-9, 137)
"""Of a process itself, and as a shell tells it."""
_FAILURES: Mapping[str, str] = {
    r"CUDA out of memory|torch\.OutOfMemoryError": "The GPU's memory is full: lower "
    "`per_device_train_batch_size` or `image_max_pixels`, or take a mode of `datakit plan --train`.",
    r"Some (keys|specified arguments) are not used by the HfArgumentParser": "train.yaml has a key that this "
    "version does not know: datakit writes for LLaMA-Factory 0.9.5; `llamafactory-cli version` tells yours.",
    r"DeepSpeed is not installed|No module named 'deepspeed'|requires.*deepspeed": "Install DeepSpeed in the "
    "trainer's environment (pip install deepspeed), or leave `deepspeed` out of the recipe.",
    r"liger.kernel": "Install it in the trainer's environment: pip install liger-kernel.",
    r"FlashAttention-?2|flash.attn.*not installed": "Install flash-attn in the trainer's environment, or use "
    "`flash_attn: sdpa`.",
    r"Image features and image tokens do not match|shape mismatch: value tensor": "`cutoff_len` cuts into "
    "pictures: raise it, or lower `image_max_pixels`. `datakit check` names the records.",
    r"size mismatch for [\w.]*lora|Error\(s\) in loading state_dict for Peft": "The adapter was trained on "
    "another base model: give that one (adapter_config.json names it), or train anew.",
    r"Processor was not found|does not (take|accept|support) (image|vision)": "The base model is of another "
    "family than the data: it has no processor for pictures.",
    r"EADDRINUSE|[Aa]ddress already in use": "The port is taken: give another with --master-port.",
    SAYS_FULL.pattern: DISK_FULL,
    r"Output directory already exists and is not empty": "The run folder holds a model without checkpoints: "
    "move it away and start again.",
    r"(Repository|Entry) ?Not ?Found|is not a local folder and is not a valid model identifier|"
    r"couldn't connect to|LocalEntryNotFoundError": "The model cannot be loaded: check `train.model`, or "
    "download it and give its folder.",
    r"bf16.*(not supported|GPU)|Your setup doesn't support bf16": "This GPU has no bf16: "
    "`bf16: false` and `fp16: true` in `train:`.",
    r"killed|SIGKILL|exitcode *: *-9": _KILLED,
}


def explain(log: str, code: int | None = None) -> str:
    """What to do about the failure at the end of a trainer's log, and its exit code; "" for unknown ones."""
    remedy = next((remedy for pattern, remedy in _FAILURES.items() if re.search(pattern, log)), "")
    return remedy or (_KILLED if code in _KILLED_CODES else "")
