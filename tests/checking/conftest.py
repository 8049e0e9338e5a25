"""What the tests of the check share."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.data_folder import DataFolder


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> DataFolder:
    """An empty data folder, which is the working folder too."""
    monkeypatch.chdir(tmp_path)
    return DataFolder(tmp_path)
