"""Builds with a `train:` section, and a fake trainer."""

from __future__ import annotations

from tests.support.train_builds import _builds, make_build, trainer

__all__ = ["_builds", "make_build", "trainer"]
