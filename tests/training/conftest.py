"""Builds with a `train:` section, and a fake trainer."""

from __future__ import annotations

import pytest

from tests.support.train_builds import _builds, make_build, trainer

__all__ = ["_builds", "make_build", "own_threads", "trainer"]


@pytest.fixture(autouse=True)
def own_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    """The environment says how many threads, so that calls read the same on every machine."""
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
