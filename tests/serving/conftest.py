"""A small real build, and a server on this machine that answers as a served model would."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from datakit.core.labels import LabelSet, load_labels
from tests.support.loopback import KEY, Loopback
from tests.support.served import ROOT, made_build, saying


@pytest.fixture(scope="session")
def small(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A build whose answers are the label alone."""
    return made_build(tmp_path_factory.mktemp("project"))


@pytest.fixture(scope="session")
def labels() -> LabelSet:
    return load_labels(ROOT / "templates" / "ecom" / "labels.yaml")


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Loopback]:
    """A server that says 购物车页面 to everything."""
    monkeypatch.setenv("VLLM_API_KEY", KEY)
    with Loopback(models=("small",)) as found:
        found.script = lambda call: saying("购物车页面")
        yield found
