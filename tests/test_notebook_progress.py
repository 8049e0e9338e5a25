"""Progress in a real notebook: a bar while work goes on and none after it; an interrupt, and on again."""

from __future__ import annotations

from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError

ROOT = Path(__file__).resolve().parent.parent
STEP = """
import time
import datakit as dk
from tests.support.toys import Numbers

@dk.step(gives={"n": int}, reads="text", pays=True, version=1)
def slow(record):
    if STOPS and record["text"] == "5":
        raise KeyboardInterrupt
    time.sleep(0.4)
    return int(record["text"])
"""


def test_bar_is_shown_and_an_interrupted_cell_goes_on(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    work = "dk.apply([slow], Numbers(count=8)).report[-1].new"
    cells = [f"STOPS = True\n{STEP}\n{work}", f"STOPS = False\n{STEP}\n{work}"]
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell) for cell in cells])
    client = NotebookClient(
        notebook, timeout=120, allow_errors=True, resources={"metadata": {"path": str(project)}}
    )
    shown: list[str] = []
    client.on_cell_executed = lambda cell, cell_index, execute_reply: shown.extend(
        output.get("data", {}).get("text/plain", output.get("ename", "")) for output in cell.outputs
    )
    bars: list[str] = []
    take = client.process_message

    def watched(message, cell, cell_index):  # type: ignore[no-untyped-def]
        if message["msg_type"] in ("display_data", "update_display_data"):
            bars.append(message["content"]["data"].get("text/html", ""))
        return take(message, cell, cell_index)

    monkeypatch.setattr(client, "process_message", watched)
    try:
        client.execute()
    except CellExecutionError as error:  # pragma: no cover
        pytest.fail(str(error))
    assert "KeyboardInterrupt" in shown
    assert shown[-1] == "3"  # five were paid before the interrupt
    assert any("<progress value='" in bar and "max='8'" in bar for bar in bars)
    assert bars[-1] == ""
