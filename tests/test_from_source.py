"""datakit runs from its source alone, where no package of that name is installed."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import polars as pl
import pytest

import datakit

ROOT = Path(datakit.__file__).parents[1]


@pytest.fixture(scope="module")
def others(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The packages of this environment without datakit's own entry among them."""
    folder = tmp_path_factory.mktemp("site")
    for path in Path(pl.__file__).parents[1].iterdir():
        if "datakit" not in path.name and path.suffix != ".pth":
            (folder / path.name).symlink_to(path)
    return folder


def test_no_command_needs_datakit_to_be_installed(others: Path, tmp_path: Path) -> None:
    def run(*words: str, fine: tuple[int, ...] = (0,)) -> str:
        done = subprocess.run(
            [sys.executable, "-S", "-m", "datakit.cli", *words],
            env={**os.environ, "PYTHONPATH": f"{ROOT}{os.pathsep}{others}"},
            cwd=tmp_path,
            capture_output=True,
            text=True,
            timeout=240,
            check=False,
        )
        assert done.returncode in fine, done.stdout + done.stderr
        assert "Traceback" not in done.stderr
        return done.stdout

    assert datakit.__version__ in run("--version")
    run("init", "--example", "shop")
    recipe = str(tmp_path / "shop" / "recipes" / "shop.yaml")
    data = tmp_path / "shop" / "data" / "train.jsonl"
    data.write_text("\n".join(data.read_text("utf-8").splitlines()[:16]) + "\n", "utf-8")
    run("build", recipe, "--quiet")
    assert "Nothing has changed" in run("plan", recipe)
    build = tmp_path / "shop" / "build" / "shop"
    assert f'"{datakit.__version__}"' in (build / "manifest.json").read_text("utf-8")
    run("bundle", str(build), "-o", str(tmp_path / "b.tar"))
    assert "runs from its source, not installed" in run("doctor", fine=(0, 1))
