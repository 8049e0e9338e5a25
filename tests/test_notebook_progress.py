"""Progress in a real notebook: a bar while work goes on and none after it; an interrupt, and on again."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import nbformat
import pytest
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError

from tests.support.waiting import until

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


STORED = """
import time
import datakit as dk
from tests.support.toys import Numbers

@dk.step(gives={"n": int}, reads="text", pays=True, version=1)
def slow(record):
    with open("paid.log", "a") as file:
        file.write(record["text"] + "\\n")
    time.sleep(0.1)
    return int(record["text"])

print(dk.apply([slow], Numbers(count=40)).report[-1].new)
"""


def test_a_kernel_that_is_interrupted_pays_nothing_twice(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As the button of a notebook does it: a signal to the kernel while a cell is at work."""
    from jupyter_client.manager import start_new_kernel

    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    log = project / "paid.log"
    manager, client = start_new_kernel(cwd=str(project))
    try:
        asked = client.execute(STORED)
        until(lambda: log.exists() and len(log.read_text().split()) >= 5)
        manager.interrupt_kernel()
        replies = iter(lambda: client.get_shell_msg(timeout=60), None)
        reply = next(one for one in replies if one["parent_header"]["msg_id"] == asked)
        assert reply["content"]["ename"] == "KeyboardInterrupt"
        before = log.read_text().split()
        assert 5 <= len(before) < 40
        shown: list[str] = []
        status = "aborted"  # what a kernel answers to the cells that come while it still ends the last one
        while status == "aborted":
            reply = client.execute_interactive(
                STORED, timeout=60, output_hook=lambda message: shown.append(said(message))
            )
            status = reply["content"]["status"]
        assert status == "ok"
    finally:
        client.stop_channels()
        manager.shutdown_kernel(now=True)
    paid = log.read_text().split()
    assert sorted(paid, key=int) == [str(number) for number in range(40)]
    assert "".join(shown).strip() == str(40 - len(before))


def said(message: dict[str, Any]) -> str:
    """What a cell printed."""
    return str(message["content"]["text"]) if message["msg_type"] == "stream" else ""
