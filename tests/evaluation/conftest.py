"""One real build for all tests of this folder; they only read it."""

from __future__ import annotations

from pathlib import Path

import pytest

from datakit.artifacts.build_folder import BuildFolder
from tests.support.card_builds import ecom
from tests.support.evaluated_builds import make_build, make_project


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A build folder in a project of its own."""
    return make_build(make_project(tmp_path_factory.mktemp("evaluated")))


@pytest.fixture(scope="session")
def small(folder: Path) -> BuildFolder:
    """The build, opened."""
    return BuildFolder.open(folder)


@pytest.fixture(scope="session")
def screens(tmp_path_factory: pytest.TempPathFactory) -> BuildFolder:
    """A build whose records have the texts of their pictures."""
    folder = ecom(tmp_path_factory.mktemp("screens")).write()
    return BuildFolder.open(folder)
