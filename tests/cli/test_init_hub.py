"""`datakit init owner/name`: a data set of a hub, asked for as `datasets` does, becomes a project."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import polars as pl
import pytest

from datakit.emit.hub import Hub
from tests.support.emitter_records import emit, several
from tests.support.hub_of_data import HubOfData

ROOT = Path(__file__).resolve().parents[2]


def init_at(url: str, folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    """`datakit init` in a process of its own: the hub's address is read once, when the library loads."""
    own = ("HF_", "OPENAI_", "DATAKIT_")
    known = {key: value for key, value in os.environ.items() if not key.startswith(own)}
    known |= {"HF_ENDPOINT": url, "HF_HOME": str(folder / "home"), "HF_HUB_DISABLE_XET": "1"}
    known["PYTHONPATH"] = str(ROOT)
    command = [sys.executable, "-m", "datakit.cli", "init", *words]
    return subprocess.run(command, cwd=folder, env=known, capture_output=True, text=True, check=False)


@pytest.fixture
def given(tmp_path: Path) -> Path:
    """What emit.hub wrote, with a column that bears the name of a step's and is another."""
    (tmp_path / "made").mkdir()
    build, _ = emit(Hub(), tmp_path / "made", several(tmp_path / "made"))
    for path in (build / "hub" / "data").iterdir():
        frame = pl.read_parquet(path)
        frame.with_columns(looks=pl.lit("nice")).write_parquet(path)
    (build / "hub" / "README.md").write_text("# Shop\n", "utf-8")
    return build / "hub"


def test_a_name_of_the_hub_becomes_a_project_with_a_first_build(tmp_path: Path, given: Path) -> None:
    with HubOfData("owner/shop", given) as hub:
        done = init_at(hub.url, tmp_path, "owner/shop", "--json")
        assert done.returncode == 0, done.stdout + done.stderr
        assert any(path.endswith("train-00000-of-00001.parquet") for path in hub.asked)
    made = json.loads(done.stdout)
    assert made["found"]["format"] == "hub"
    assert (tmp_path / "shop-project" / "recipes" / "shop.yaml").is_file()
    rows = json.loads(next((tmp_path / "shop-project" / "build").glob("*/*_train.json")).read_text("utf-8"))
    assert {message["role"] for row in rows for message in row["messages"]} >= {"user", "assistant"}


@pytest.mark.parametrize("name", ["owner/shpo", "other/shop"])
def test_a_name_that_the_hub_does_not_know_is_told_and_leaves_nothing(
    tmp_path: Path, given: Path, name: str
) -> None:
    with HubOfData("owner/shop", given) as hub:
        done = init_at(hub.url, tmp_path, name)
    assert done.returncode == 2
    assert f"cannot load the data set {name}" in done.stderr
    assert "Traceback" not in done.stderr
    assert not list(tmp_path.glob("*-project"))
