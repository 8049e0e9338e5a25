"""examples/notebook.ipynb runs from the first cell to the last, and is committed with what it shows."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import nbformat
import pytest

from datakit.run import progress

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "scripts"))

import run_notebook  # noqa: E402 (its folder is no package)


def kinds(notebook: Any) -> list[list[str]]:
    """What each code cell shows: kinds of output and of data."""
    return [
        [
            f"{output.output_type} {' '.join(sorted(output.get('data', {})))}".strip()
            for output in cell.outputs
        ]
        for cell in notebook.cells
        if cell.cell_type == "code"
    ]


@pytest.fixture(scope="module")
def committed() -> Any:
    return nbformat.read(run_notebook.NOTEBOOK, as_version=4)


def test_notebook_runs_and_shows_what_is_committed(
    committed: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTHONPATH", str(ROOT))  # the kernel is a process of its own
    ran = run_notebook.executed(tmp_path)
    assert kinds(ran) == kinds(committed), "run python scripts/run_notebook.py"
    sources = [cell.source for cell in ran.cells]
    assert sources == [cell.source for cell in committed.cells]


def test_progress_of_a_slow_machine_is_left_out_and_a_warning_stays(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(progress, "PLAIN_EVERY_S", 0.0)
    with progress.Progress() as shown:
        shown.start("annotate.ocr", 4)
        shown.advance(1, "$0.02")
        shown.advance(1)
    text = capsys.readouterr().err
    assert text.count("\n") == 2
    assert run_notebook._is_progress(nbformat.v4.new_output("stream", name="stderr", text=text))
    for other in (
        nbformat.v4.new_output("stream", name="stderr", text=f"{text}Warning: 2 labels"),
        nbformat.v4.new_output("stream", name="stdout", text=text),
        nbformat.v4.new_output("display_data", data={"text/plain": text}),
    ):
        assert not run_notebook._is_progress(other)


def test_committed_cells_were_run_in_order_without_errors(committed: Any) -> None:
    code = [cell for cell in committed.cells if cell.cell_type == "code"]
    assert [cell.execution_count for cell in code] == list(range(1, len(code) + 1))
    assert sum(bool(cell.outputs) for cell in code) >= len(code) - 1
    assert [cell.source for cell in code if any(out.output_type == "error" for out in cell.outputs)] == []


def test_committed_notebook_is_small_and_names_no_place_of_a_machine() -> None:
    text = run_notebook.NOTEBOOK.read_text("utf-8")
    assert len(text) < 200_000
    assert re.findall(r"/(?:tmp|home|root|Users)/", text) == []


def test_without_jupyters_packages_the_script_says_what_to_install(tmp_path: Path) -> None:
    (tmp_path / "nbformat.py").write_text("raise ModuleNotFoundError(name='nbformat')", "utf-8")
    told = subprocess.run(
        [sys.executable, run_notebook.__file__],
        env={**os.environ, "PYTHONPATH": str(tmp_path)},
        capture_output=True,
        text=True,
    )
    assert told.returncode == 1
    assert told.stderr.strip() == "nbformat is not installed. Install it: pip install -e '.[test]'"
