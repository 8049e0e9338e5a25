"""The trainer's processes share the cores of the machine."""

from __future__ import annotations

import os

import pytest

from datakit.training.trainer import allocator, threads


@pytest.fixture(autouse=True)
def sixteen_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OMP_NUM_THREADS")
    monkeypatch.setattr(os, "sched_getaffinity", lambda process: set(range(16)), raising=False)


@pytest.mark.parametrize(
    ("workers", "processes", "each"), [(4, 1, "4"), (12, 1, "1"), (64, 1, "1"), (4, 8, "2"), (0, 0, "16")]
)
def test_cores_are_shared_among_workers_and_processes(workers: int, processes: int, each: str) -> None:
    assert threads(workers, processes) == {"OMP_NUM_THREADS": each}


def test_environment_goes_first(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "3")
    assert threads(4, 1) == {}


def test_gpu_memory_grows_in_blocks_unless_the_environment_says_how(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("PYTORCH_CUDA_ALLOC_CONF", "PYTORCH_ALLOC_CONF"):
        monkeypatch.delenv(name, raising=False)
    assert allocator() == {"PYTORCH_CUDA_ALLOC_CONF": "expandable_segments:True"}
    monkeypatch.setenv("PYTORCH_ALLOC_CONF", "max_split_size_mb:64")
    assert allocator() == {}
