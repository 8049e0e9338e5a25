"""Environments of peers: one folder each, with that peer alone, so that no package of ours gives way to it.

PEER_PYTHON scripts/benchmarks/peer_work.py imagehash PATHS
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path


class PeerMissing(Exception):
    """Why an environment could not be made."""


def peer_python(folder: Path, packages: tuple[str, ...]) -> Path:
    """The interpreter of an environment with these packages, which is made where it is not whole yet."""
    home = folder / "-".join(packages)
    python = home / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
    whole = home / "installed"
    if not whole.exists():
        _do([sys.executable, "-m", "venv", "--clear", str(home)])
        _do([str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", *packages])
        whole.write_text("\n".join(packages) + "\n", "utf-8")
    return python


def peer_version(python: Path, package: str) -> str:
    """The version that stands in the environment."""
    code = f"from importlib.metadata import version; print(version({package!r}))"
    return _do([str(python), "-c", code]).strip()


def _do(command: list[str]) -> str:
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    except OSError as error:
        raise PeerMissing(f"{' '.join(command)}: {error}") from None
    if done.returncode:
        last = (done.stderr.strip().splitlines() or ["nothing"])[-1]
        raise PeerMissing(f"{' '.join(command)} ended with {done.returncode}: {last}")
    return done.stdout
