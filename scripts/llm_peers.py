"""Other clients on the work of bench_llm.py, each in a virtual environment of its own.

2,000 calls of 200 ms at 64 in flight: time over ideal, CPU of the whole process a call, calls repeated after
kill -9 at half way, and the time of a run with nothing to do.
"""

from __future__ import annotations

import json
import os
import resource
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

CALLS, OPEN, LATENCY_S = 2000, 64, 0.2
LONGEST_S = 180.0
PEERS = {
    "distilabel": ["distilabel[openai]==1.5.3", "requests"],
    "curator": ["bespokelabs-curator==0.1.31"],
}
DISTILABEL = """
import sys, os
from distilabel.models import OpenAILLM
from distilabel.pipeline import Pipeline
from distilabel.steps import LoadDataFromDicts
from distilabel.steps.tasks import TextGeneration
url, calls, width, folder = sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), sys.argv[4]
if __name__ == "__main__":
    with Pipeline(name="bench", cache_dir=folder) as pipeline:
        rows = [{"instruction": f"question [id:r{n}]"} for n in range(calls)]
        load = LoadDataFromDicts(data=rows, batch_size=width)
        llm = OpenAILLM(model="gpt-4o-mini", base_url=url, api_key=os.environ["OPENAI_API_KEY"])
        load >> TextGeneration(llm=llm, input_batch_size=width)
    found = pipeline.run(use_cache=True)
    assert len(found["default"]["train"]) == calls
"""
CURATOR = """
import sys, os
url, calls, width, folder = sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), sys.argv[4]
os.environ["CURATOR_CACHE_DIR"] = folder
os.environ["TELEMETRY_ENABLED"] = "0"
from bespokelabs import curator
if __name__ == "__main__":
    params = {"base_url": url, "max_concurrent_requests": width, "max_requests_per_minute": 10**7,
              "max_tokens_per_minute": 10**10}
    llm = curator.LLM(model_name="gpt-4o-mini", backend="openai", backend_params=params)
    found = llm([f"question [id:r{n}]" for n in range(calls)])
    rows = getattr(found, "dataset", found)
    assert len(rows) == calls
"""
SCRIPTS = {"distilabel": DISTILABEL, "curator": CURATOR}

Command = list[str]


def compare(
    install: bool,
    server: Callable[..., AbstractContextManager[str]],
    stats: Callable[[str], dict[str, Any]],
    environment: dict[str, str],
    ours: Callable[[str, Path], Command],
) -> None:
    """A line for datakit and one for each peer that can be installed."""
    _measure("datakit", ours, server, stats, environment)
    for name, packages in PEERS.items():
        python = _python_of(name, packages, install)
        if python is not None:
            script = Path(tempfile.mkdtemp(prefix="bench-llm-")) / f"{name}_bench.py"
            script.write_text(SCRIPTS[name], encoding="utf-8")
            command = [str(python), str(script)]
            _measure(name, _command_of(command), server, stats, environment)


def _command_of(start: Command) -> Callable[[str, Path], Command]:
    return lambda url, folder: [*start, url, str(CALLS), str(OPEN), str(folder)]


def _python_of(name: str, packages: list[str], install: bool) -> Path | None:
    """The interpreter of a peer's environment; None, with a line that says why, when there is none."""
    folder = Path(tempfile.gettempdir()) / f"datakit-bench-{name}"
    python = folder / "bin" / "python"
    if (folder / "ready").exists():
        return python
    if not install:
        print(f"  {name}: skipped, not installed; --peers installs it into {folder}")
        return None
    steps = [
        [sys.executable, "-m", "venv", str(folder)],
        [str(python), "-m", "pip", "install", "-q", *packages],
    ]
    for step in steps:
        result = subprocess.run(step, capture_output=True, text=True)
        if result.returncode:
            last = (result.stderr.strip().splitlines() or ["no word"])[-1]
            print(f"  {name}: skipped, cannot be installed: {last}")
            return None
    (folder / "ready").touch()
    return python


def _measure(
    name: str,
    command: Callable[[str, Path], Command],
    server: Callable[..., AbstractContextManager[str]],
    stats: Callable[[str], dict[str, Any]],
    environment: dict[str, str],
) -> None:
    with server() as url, tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        code, _ = _run(command(url, place / "whole"), environment)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        if code:
            print(f"  {name}: failed with {code}")
            return
        span = stats(url)["seconds"] + LATENCY_S
        cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
        whole = stats(url)["count"]
        code, again_s = _run(command(url, place / "whole"), environment)
        again = (
            f"{again_s:.1f} s, {stats(url)['count'] - whole} calls" if code == 0 else f"failed with {code}"
        )
        repeated = _killed(command(url, place / "killed"), lambda: stats(url)["count"], environment)
    print(
        f"  {name}: {span:.1f} s from first to last call, {span / (CALLS * LATENCY_S / OPEN):.2f} of ideal, "
        f"{cpu / CALLS * 1000:.2f} ms CPU a call with start-up; kill -9 at half way: {repeated}; "
        f"second run: {again}"
    )


def _killed(command: Command, count: Callable[[], int], environment: dict[str, str]) -> str:
    """How many calls a second run repeats when the first was killed at half way."""
    before = count()
    quiet: dict[str, Any] = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    process = subprocess.Popen(command, env=environment, start_new_session=True, **quiet)
    while count() - before < CALLS // 2 and process.poll() is None:
        time.sleep(0.05)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    code, _ = _run(command, environment)
    if code:
        return f"the run after it failed with {code}"
    return f"{count() - before - CALLS} calls repeated"


def _run(command: Command, environment: dict[str, str]) -> tuple[int | str, float]:
    """Exit code and wall seconds of a process."""
    began = time.monotonic()
    process = subprocess.Popen(
        command,
        env=environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        return process.wait(LONGEST_S), time.monotonic() - began
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        return f"no end within {LONGEST_S:.0f} s", time.monotonic() - began


def ours(bench: str) -> Callable[[str, Path], Command]:
    """datakit's command on the same work."""

    def command(url: str, folder: Path) -> Command:
        work = {"way": "engine", "url": url, "records": CALLS, "concurrency": OPEN, "folder": str(folder)}
        return [sys.executable, bench, "--child", json.dumps(work)]

    return command
