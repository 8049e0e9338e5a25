"""A Python 3.10 with the packages that a bundle may need, and no others."""

from __future__ import annotations

import fcntl
import os
import shutil
import subprocess
from pathlib import Path

import pytest

from datakit.bundling import light


@pytest.fixture(scope="session")
def bare_python_3_10(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The interpreter of an environment that all processes of a run share; tests are skipped without 3.10."""
    folder = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        folder = folder.parent
    with open(folder / "python3.10.lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        made = folder / "python3.10-made"
        if not made.exists():
            _make(folder / "python3.10")
            made.touch()
    return folder / "python3.10" / "bin" / "python"


def _make(folder: Path) -> None:
    packages = ["pillow" if name == "PIL" else name for name in light.PACKAGES]
    subprocess.run([_python_3_10(), "-m", "venv", folder], check=True)
    # The versions that CI pins (PIP_CONSTRAINT) are those of Python 3.11 and newer.
    own = {name: value for name, value in os.environ.items() if name != "PIP_CONSTRAINT"}
    command = [folder / "bin" / "pip", "install", "-q", *packages]
    subprocess.run(command, check=True, timeout=600, env=own)


def _python_3_10() -> Path:
    versions = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv")) / "versions"
    places = [shutil.which("python3.10"), *sorted(versions.glob("3.10.*/bin/python3.10"))]
    for place in filter(None, places):
        done = subprocess.run([str(place), "--version"], capture_output=True, text=True, check=False)
        if done.returncode == 0 and done.stdout.startswith("Python 3.10."):  # a shim may have no such version
            return Path(place)
    pytest.skip("there is no python3.10 on this machine, so only the present Python was tried")
