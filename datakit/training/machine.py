"""What this machine has: GPUs as nvidia-smi tells them, and host memory."""

from __future__ import annotations

import shutil
import subprocess
from dataclasses import dataclass

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


def this_machine(
    gpus: int | None = None, gpu_memory_gb: float | None = None, host_memory_gb: float | None = None
) -> Machine:
    """This machine, with the given figures (GiB) in place of what is found."""
    import psutil

    memories = gpu_memories()
    size = min(memories, default=0) if gpu_memory_gb is None else int(gpu_memory_gb * GIB)
    host = psutil.virtual_memory().total if host_memory_gb is None else int(host_memory_gb * GIB)
    any_given = any(figure is not None for figure in (gpus, gpu_memory_gb, host_memory_gb))
    return Machine(len(memories) if gpus is None else gpus, size, host, measured=not any_given)


def gpu_memories() -> list[int]:
    """Bytes of each GPU that nvidia-smi lists; empty where there is none."""
    program = shutil.which("nvidia-smi")
    if program is None:
        return []
    query = [program, "--query-gpu=memory.total", "--format=csv,noheader,nounits"]
    try:
        result = subprocess.run(query, capture_output=True, text=True, timeout=30, check=True)
    except (OSError, subprocess.SubprocessError):
        return []  # a driver that does not answer gives no GPU to train on either
    sizes = [line.strip() for line in result.stdout.splitlines()]
    return [int(size) << 20 for size in sizes if size.isdigit()]
