"""The GPU machine: what it is, how much memory is in use, and how a program and all it started are ended."""

from __future__ import annotations

import json
import os
import platform
import signal
import subprocess
import threading
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

Row = dict[str, Any]


def kill(top: int) -> None:
    """Ends a process and all that it started, which may have sessions of their own, as a trainer does."""
    doomed: list[int] = []
    while fresh := [one for one in (top, *_children(doomed)) if one not in doomed]:
        for one in fresh:  # stopped first, so that none starts another meanwhile
            _send(one, signal.SIGSTOP)
        doomed += fresh
    for one in doomed:
        _send(one, signal.SIGKILL)


def _children(parents: list[int]) -> list[int]:
    found = []
    for status in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = status.read_text("utf-8", "replace").rpartition(")")[2].split()
        except OSError:  # it has ended meanwhile
            continue
        if int(fields[1]) in parents:
            found.append(int(status.parent.name))
    return found


def _send(process: int, signal_: signal.Signals) -> None:
    with suppress(ProcessLookupError):
        os.kill(process, signal_)


def machine() -> Row:
    """What the figures were measured on."""
    about: Row = {"python": platform.python_version(), "cores": os.cpu_count(), "date": time.strftime("%F")}
    from importlib.metadata import PackageNotFoundError, version

    for package in ("torch", "transformers", "llamafactory", "vllm"):
        try:
            about[package] = version(package)
        except PackageNotFoundError:
            about[package] = None
    gpus = smi("name,memory.total").splitlines()
    about["gpu"] = gpus[0] if gpus else ""
    about["gpus"] = len(gpus)
    return about


def smi(fields: str, gpu: str = "") -> str:
    """What nvidia-smi says, of one GPU where its number is given; "" where there is none."""
    try:
        words = ["nvidia-smi", f"--query-gpu={fields}", "--format=csv,noheader,nounits"]
        words += ["-i", gpu] if gpu else []
        return subprocess.run(words, capture_output=True, text=True, timeout=20, check=False).stdout.strip()
    except (OSError, subprocess.TimeoutExpired):
        return ""


class Watch:
    """The most memory of a GPU in use while it lasts, in MiB, beyond what was in use before."""

    def __init__(self, path: Path, gpu: str) -> None:
        self.path, self.gpu, self.over = path, gpu, threading.Event()
        self.thread = threading.Thread(target=self._look, daemon=True)

    def __enter__(self) -> None:
        self.thread.start()

    def __exit__(self, *_: object) -> None:
        self.over.set()
        self.thread.join()

    def _look(self) -> None:
        used, busy = [], []
        while not self.over.is_set():
            first = smi("memory.used,utilization.gpu", self.gpu).splitlines()[:1]
            if first and first[0].count(",") == 1:
                memory, share = first[0].split(",")
                used.append(int(memory))
                busy.append(int(share) if share.strip().isdigit() else 0)
            self.over.wait(1.0)
        if used:
            row = {"before_mib": used[0], "peak_mib": max(used), "most_busy": max(busy)}
            self.path.write_text(json.dumps(row), "utf-8")
