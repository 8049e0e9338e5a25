"""The trainer's processes share the cores of the machine."""

from __future__ import annotations

import os

import pytest

from datakit.training.deepspeed import configuration
from datakit.training.trainer import allocator, threads, updates_on_host


@pytest.fixture(autouse=True)
def sixteen_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OMP_NUM_THREADS")
    monkeypatch.setattr(os, "sched_getaffinity", lambda process: set(range(16)), raising=False)


@pytest.mark.parametrize(
    ("workers", "processes", "each"), [(4, 1, "4"), (12, 1, "1"), (64, 1, "1"), (4, 8, "2"), (0, 0, "16")]
)
def test_cores_are_shared_among_workers_and_processes(workers: int, processes: int, each: str) -> None:
    assert threads(workers, processes) == {"OMP_NUM_THREADS": each}


@pytest.mark.parametrize(
    ("workers", "processes", "each"), [(14, 1, "8"), (14, 2, "4"), (1, 1, "16"), (4, 16, "1")]
)
def test_a_processor_that_updates_all_weights_has_half_of_the_cores(
    workers: int, processes: int, each: str
) -> None:
    assert threads(workers, processes, updates_on_host=True) == {"OMP_NUM_THREADS": each}


@pytest.mark.parametrize(
    ("method", "mode", "expected"),
    [
        ("full", "z2_offload", True),
        ("full", "z3_offload", True),
        ("full", "z2", False),
        ("lora", "z2_offload", False),
    ],
)
def test_only_full_trainings_with_the_optimizer_in_host_memory_update_there(
    method: str, mode: str, expected: bool
) -> None:
    assert updates_on_host({"finetuning_type": method}, configuration(mode)) is expected
    assert not updates_on_host({"finetuning_type": method}, None)


def test_environment_goes_first(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "3")
    assert threads(4, 1) == {}


def test_gpu_memory_grows_in_blocks_unless_the_environment_says_how(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("PYTORCH_CUDA_ALLOC_CONF", "PYTORCH_ALLOC_CONF"):
        monkeypatch.delenv(name, raising=False)
    assert allocator() == {"PYTORCH_CUDA_ALLOC_CONF": "expandable_segments:True"}
    monkeypatch.setenv("PYTORCH_ALLOC_CONF", "max_split_size_mb:64")
    assert allocator() == {}
