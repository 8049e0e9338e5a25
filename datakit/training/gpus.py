"""The GPUs that `datakit plan --train --gpu` knows: what their makers say of them, and what was measured."""

from __future__ import annotations

from dataclasses import dataclass

from datakit.core.errors import UserError, did_you_mean


@dataclass(frozen=True)
class Gpu:
    """One GPU; figures are those of NVIDIA's data sheets, dense and without sparsity."""

    name: str
    memory_gib: float
    tflops: float
    """Of bfloat16 with sums in float32, in 10^12 a second."""
    memory_gb_s: float
    """Of its own memory."""
    link_gb_s: float
    """To another GPU of the node, one way: NVLink where it has one, else PCIe."""
    measured: bool = False
    """Whether the forecast was held against trainings on it (scripts/bench_train.py)."""

    @property
    def flops(self) -> float:
        return self.tflops * 1e12


GPUS = (
    Gpu("H100", 80, 989, 3350, 450, measured=True),
    Gpu("H100-PCIe", 80, 756, 2000, 32),
    Gpu("H800", 80, 989, 3350, 200),
    Gpu("H200", 141, 989, 4800, 450),
    Gpu("H20", 96, 148, 4000, 450),
    Gpu("A100-80GB", 80, 312, 2039, 300),
    Gpu("A100-40GB", 40, 312, 1555, 300),
    Gpu("A800", 80, 312, 2039, 200),
    Gpu("L40S", 48, 362, 864, 32),
    Gpu("L40", 48, 181, 864, 32),
    Gpu("L20", 48, 119.5, 864, 32),
    Gpu("A6000", 48, 154.8, 768, 32),
    Gpu("A10", 24, 125, 600, 32),
    Gpu("RTX-4090", 24, 165.2, 1008, 32),
    Gpu("RTX-3090", 24, 71, 936, 32),
)


def gpu_named(name: str) -> Gpu:
    """The GPU of this name, spelt in any case. Raises UserError for one that the table does not have.

    Examples:
        >>> gpu_named("h100").memory_gib
        80
    """
    for gpu in GPUS:
        if gpu.name.lower() == name.lower():
            return gpu
    names = [gpu.name for gpu in GPUS]
    raise UserError(
        f"no GPU `{name}` is known", remedy=did_you_mean(name, names) or f"Known: {', '.join(names)}."
    )


def gpu_of_driver(name: str) -> Gpu | None:
    """The GPU that nvidia-smi calls `name`; None for one that the table does not have.

    Examples:
        >>> gpu_of_driver("NVIDIA H100 80GB HBM3").name
        'H100'
        >>> gpu_of_driver("NVIDIA A100-SXM4-40GB").name
        'A100-40GB'
        >>> gpu_of_driver("NVIDIA GeForce RTX 4090").name
        'RTX-4090'
    """
    words = name.upper().replace("-", " ").split()
    fitting = [gpu for gpu in GPUS if set(gpu.name.upper().split("-")) <= set(words)]
    return max(fitting, key=lambda gpu: gpu.name.count("-"), default=None)
