"""A project whose build `killed` is stopped and goes on, in processes of its own; what came of it."""

from __future__ import annotations

import json
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from pathlib import Path

import polars as pl
import psutil

PATIENCE_S = 180.0
_OF_THE_RUN = ("report.json", "manifest.json", "records.parquet", "inputs.parquet", "card.json")
"""Files that say when and where they were made."""


def write_data(project: Path, rows: list[dict[str, str]], question: str, answer: str) -> None:
    lines = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
    (project / "data.jsonl").write_text(lines, "utf-8")
    (project / "templates" / "describe.j2").write_text(question, "utf-8")
    (project / "templates" / "ask.j2").write_text("<image>" + question, "utf-8")
    (project / "templates" / "answer.j2").write_text(answer, "utf-8")


def start(project: Path, *more: str) -> subprocess.Popen[str]:
    """Begins `datakit build` in the project."""
    command = [sys.executable, "-m", "datakit.cli", "build", "recipes/killed.yaml", *more]
    return subprocess.Popen(
        command, cwd=project, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=os.environ
    )


def finish(project: Path, *more: str) -> None:
    """Builds to the end."""
    process = start(project, *more)
    _, told = process.communicate(timeout=PATIENCE_S)
    assert process.returncode == 0, told


def stop(process: subprocess.Popen[str], how: signal.Signals) -> tuple[float, str]:
    """When the signal was sent, and what the build said. No process of the build may outlive it."""
    family = psutil.Process(process.pid).children(recursive=True)
    at = time.monotonic()
    process.send_signal(how)
    _, told = process.communicate(timeout=PATIENCE_S)
    _, alive = psutil.wait_procs(family, timeout=15)
    assert alive == []
    return at, told


def outcome(project: Path) -> dict[str, object]:
    """What a build holds, apart from seconds and from what was new or cached in it."""
    build = project / "build" / "killed"
    names = [
        path.relative_to(build).as_posix()
        for path in sorted(build.rglob("*"))
        if path.is_file() and path.name not in _OF_THE_RUN
    ]
    records = pl.read_parquet(build / "records.parquet")
    records = records.select(name for name in records.columns if not name.startswith("@"))
    kept = [name for name in records.columns if name not in ("source_file", "images")]  # paths of the project
    report = json.loads((build / "report.json").read_bytes())
    counts = [(step["name"], step["records_in"], step["records_out"]) for step in report["steps"]]
    return {
        **{name: (build / name).read_bytes() for name in names},
        "records": records.select(kept).to_dicts(),
        "content": json.loads((build / "manifest.json").read_bytes())["content"],
        "counts": counts,
    }


def undisturbed(project: Path, *more: str) -> dict[str, object]:
    """The same outcome, of a copy of the project that nobody stops."""
    copy = project.with_name(f"{project.name}-undisturbed")
    shutil.copytree(project, copy, ignore=shutil.ignore_patterns("build", ".datakit"))
    finish(copy, *more)
    return outcome(copy)


def stored(project: Path, step: str) -> dict[bytes, tuple[bytes, int]]:
    """Key -> value and time of every result that the store holds for a step."""
    path = project / ".datakit" / "results.sqlite"
    if not path.exists():
        return {}
    db = sqlite3.connect(f"file:{path}?mode=ro", uri=True, timeout=10)
    try:
        rows = db.execute("SELECT key, value, created FROM results WHERE step=?", (step,)).fetchall()
    except sqlite3.OperationalError:  # not made yet
        return {}
    finally:
        db.close()
    return {key: (value, created) for key, value, created in rows}
