"""Fixtures for all tests: a project of one's own, away from the checkout."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from datakit.core.tools import Tools

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "tests"))  # so that toy transforms can be imported, by worker processes too


@pytest.fixture(autouse=True)
def _no_provider(monkeypatch: pytest.MonkeyPatch) -> None:
    """No test reaches an endpoint or a store of the user's by accident."""
    own = ("OPENAI_API_KEY", "OPENAI_BASE_URL", "OPENAI_API_VERSION", "DATAKIT_STORE")
    for name in (*own, "AZURE_OPENAI_API_KEY", "AZURE_OPENAI_ENDPOINT"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """An empty project folder."""
    (tmp_path / "recipes").mkdir()
    (tmp_path / "templates").mkdir()
    return tmp_path


@pytest.fixture
def make_tools(project: Path) -> Callable[..., Tools]:
    """Makes the surroundings of a step in the test's project."""

    def make(**changes: object) -> Tools:
        return Tools(**{"base": project / "recipes", "project": project, **changes})  # type: ignore[arg-type]

    return make
