"""Runs one benchmark as a process of its own and says what it found, what it cost, or why it did not run."""

from __future__ import annotations

import glob
import json
import os
import shutil
import sys
import tempfile
from dataclasses import asdict
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from benchmarks.cost import measured
from benchmarks.table import Benchmark, Figure

RAN, FAILED, NOT_RUN = "ran", "failed", "not run"
ERROR_LINES = 12


def missing(benchmark: Benchmark) -> str:
    """Why it cannot run here, with what to do about it; empty where it can."""
    if benchmark.by_hand:
        return benchmark.by_hand
    lacking = [name for name in benchmark.packages if not installed(name)]
    lacking += [words for words in benchmark.programs if not any(map(_found, words.split("|")))]
    if not lacking:
        return ""
    names = ", ".join(words.split("|")[0] for words in lacking)
    return f"{names} is not installed. Install: {benchmark.install}"


def _found(program: str) -> bool:
    return bool(glob.glob(program)) if "/" in program else shutil.which(program) is not None


def installed(name: str) -> str:
    """The version of a distribution; empty where it is not installed."""
    try:
        return version(name)
    except PackageNotFoundError:
        return ""


def run(
    benchmark: Benchmark, scripts: Path, *, full: bool, timeout_s: float, peer_python: Path | None = None
) -> dict[str, Any]:
    """One entry of the results. Peak memory is that of the largest process, in MB of 2^20 bytes."""
    words = [benchmark.file, *(benchmark.full if full else benchmark.small)]
    entry = {
        "name": benchmark.name,
        "measures": benchmark.measures,
        "command": f"python scripts/{' '.join(words)}",
    }
    why = missing(benchmark)
    if why:
        return {**entry, "status": NOT_RUN, "why": why}
    command = [sys.executable, str(scripts / words[0]), *words[1:]]
    if peer_python is not None:
        command += ["--peer-python", str(peer_python)]
    with tempfile.TemporaryDirectory(prefix="bench.") as folder:
        cost = _measured(command, Path(folder), scripts.parent, timeout_s)
        printed = (Path(folder) / "out").read_text("utf-8", errors="replace")
        errors = (Path(folder) / "err").read_text("utf-8", errors="replace")
    numbers = last_json(printed)
    timed_out = cost.pop("timed_out")
    if numbers is None or cost["exit"] < 0:
        said = "\n".join((errors.strip() or printed.strip()).splitlines()[-ERROR_LINES:])
        return {
            **entry,
            **cost,
            "status": FAILED,
            "why": _reason(cost, timeout_s if timed_out else None, said),
        }
    figures = [told(figure, numbers, benchmark, full=full) for figure in benchmark.figures]
    return {**entry, **cost, "status": RAN, "figures": figures, "numbers": numbers}


def _reason(cost: dict[str, Any], timeout_s: float | None, said: str) -> str:
    if timeout_s is not None:
        return f"stopped after {timeout_s:g} s; give more with --timeout-s. It said: {said or 'nothing'}"
    return f"ended with {cost['exit']} and printed no figures. It said: {said or 'nothing'}"


def _measured(command: list[str], folder: Path, root: Path, timeout_s: float) -> dict[str, Any]:
    """Runs a command, its output in two files of `folder`, and tells its costs with those of its children."""
    paths = [str(root), *filter(None, [os.environ.get("PYTHONPATH")])]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(paths)}
    with (folder / "out").open("wb") as out, (folder / "err").open("wb") as err:
        return asdict(
            measured(command, timeout_s=timeout_s, stdout=out, stderr=err, env=environment, cwd=folder)
        )


def last_json(printed: str) -> Any:
    """The whole output as JSON, or its last line; None where neither is an object or a list."""
    lines = printed.strip().splitlines()
    for text in (printed, lines[-1] if lines else ""):
        try:
            value = json.loads(text)
        except ValueError:
            continue
        if isinstance(value, dict | list):
            return value
    return None


def told(figure: Figure, numbers: Any, benchmark: Benchmark, *, full: bool) -> dict[str, Any]:
    """Our number, the peer's, the ratio and whether a goal is reached; None for what was not measured."""
    ours, peer = number(numbers, figure.ours), number(numbers, figure.peer)
    ratio = number(numbers, figure.ratio)
    if ratio is None and ours is not None and peer:
        ratio = float(f"{ours / peer:.3g}")
    line: dict[str, Any] = {"what": figure.what, "ours": ours, "peer": peer, "peer_name": figure.peer_name}
    line["ratio"] = ratio
    if ours is None:
        line["why"] = f"{benchmark.file} told no {figure.ours}"
    elif peer is None and figure.peer:
        packages = ", ".join(benchmark.peers)
        remedy = f"--peers FOLDER installs {packages}" if packages else benchmark.install
        line["why"] = remedy or f"it told no {figure.peer}"
    if figure.goal is not None:
        goal = figure.goal
        judged = {"ratio": ratio, "ours": ours}[goal.of]
        line["goal"] = f"{goal.of} {goal.word} {goal.bound:.3g}"
        if judged is not None and (full or not goal.full):
            line["reached"] = goal.reached(judged)
    return line


def number(numbers: Any, keys: str) -> float | None:
    """The number under keys with `/` between them; None where there is none."""
    if not keys:
        return None
    for key in keys.split("/"):
        try:
            numbers = numbers[int(key)] if isinstance(numbers, list) else numbers[key]
        except (KeyError, IndexError, ValueError, TypeError):
            return None
    return numbers if isinstance(numbers, int | float) and not isinstance(numbers, bool) else None
