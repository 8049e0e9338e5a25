"""What this machine has: GPUs as nvidia-smi tells them, and host memory."""

from __future__ import annotations

from dataclasses import dataclass

from datakit.core.nvidia_driver import NoDriver, gpu_lines
from datakit.training.gpus import Gpu, gpu_named, gpu_of_driver

GIB = 1 << 30


@dataclass(frozen=True)
class Machine:
    """GPUs and memory of one node."""

    gpus: int
    gpu_bytes: int
    """Of the smallest GPU; 0 without one."""
    host_bytes: int
    measured: bool = True
    """False where figures were given by the user."""
    is_assumed: bool = False
    """Whether the GPUs are those that the recipe names, because this machine has none."""
    gpu: Gpu | None = None
    """Which it is; None without one, or for one that the table of datakit.training.gpus does not have."""


def this_machine(
    gpus: int | None = None,
    gpu_memory_gb: float | None = None,
    host_memory_gb: float | None = None,
    gpu: str | None = None,
) -> Machine:
    """This machine, with the given figures (GiB), or the GPU of this name, in place of what is found.

    Raises UserError for a name that the table of datakit.training.gpus does not have.
    """
    import psutil

    memories = gpu_memories()
    kind = gpu_named(gpu) if gpu else gpu_of_driver(next(iter(driver_says("name")), ""))
    if gpu_memory_gb is None and gpu and kind:
        gpu_memory_gb = kind.memory_gib
    size = min(memories, default=0) if gpu_memory_gb is None else int(gpu_memory_gb * GIB)
    host = psutil.virtual_memory().total if host_memory_gb is None else int(host_memory_gb * GIB)
    any_given = any(figure is not None for figure in (gpus, gpu_memory_gb, host_memory_gb))
    return Machine(len(memories) if gpus is None else gpus, size, host, measured=not any_given, gpu=kind)


def gpu_memories() -> list[int]:
    """Bytes of each GPU that nvidia-smi lists and CUDA_VISIBLE_DEVICES shows; empty where there is none."""
    return [int(size) << 20 for size in driver_says("memory.total") if size.isdigit()]


def driver_says(field: str) -> list[str]:
    """What nvidia-smi says of each of these GPUs; empty where there is none."""
    try:
        return gpu_lines(field)
    except NoDriver:  # a driver that does not answer gives no GPU to train on either
        return []
