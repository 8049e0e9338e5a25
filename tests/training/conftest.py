"""Builds with a `train:` section, and a fake trainer."""

from __future__ import annotations

import pytest

from tests.support.train_builds import _builds, make_build, trainer

__all__ = ["_builds", "make_build", "own_settings", "trainer"]


@pytest.fixture(autouse=True)
def own_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    """The environment says threads and allocator, so that calls show what a test is about alone."""
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    monkeypatch.setenv("PYTORCH_CUDA_ALLOC_CONF", "expandable_segments:True")
