"""status.json, and what `--status` says of it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from datakit.cli import run
from datakit.core.clock import utc_now
from datakit.core.processes import process_mark
from datakit.handoff.stages import StageRecord, StageRecords
from datakit.handoff.status import (
    Status,
    read_status,
    status_file,
    status_lines,
    write_status,
)


def test_status_of_a_living_process_is_running_with_steps_and_time_left(tmp_path: Path) -> None:
    fields = {"stage": "train", "step": 812, "total_steps": 4000, "eta_s": 3725.0, "gpu": "H100, 93% busy"}
    write_status(tmp_path, Status.of_this_process(**fields, log="/x/train.log", last_line="loss 0.5"))
    text = "\n".join(status_lines(tmp_path))
    assert text.startswith("train: running since 20")
    assert "step 812 of 4,000, 1:02:05 left" in text
    assert "GPU: H100, 93% busy\nLast line: loss 0.5\nLog: /x/train.log" in text
    assert f"process {os.getpid()}" in text


def test_status_of_a_process_that_is_gone_is_interrupted_and_says_what_to_type(tmp_path: Path) -> None:
    code = "import sys; from pathlib import Path; from datakit.handoff.status import *; " + (
        "write_status(Path(sys.argv[1]), Status.of_this_process(stage='predict', next_command='datakit go'))"
    )
    subprocess.run([sys.executable, "-c", code, str(tmp_path)], check=True)
    assert json.loads(status_file(tmp_path).read_text())["state"] == "running"
    status = read_status(tmp_path)
    assert status is not None
    assert status.state == "interrupted"
    text = "\n".join(status_lines(tmp_path))
    assert "predict: interrupted" in text
    assert "Next: datakit go" in text


def test_number_of_a_process_that_another_one_took_is_not_alive(tmp_path: Path) -> None:
    if not os.path.exists("/proc/self/stat"):
        pytest.skip("this system does not tell when a process started")
    status = Status.of_this_process(stage="train")
    assert status.is_alive
    assert not status.model_copy(update={"process": "earlier boot:17"}).is_alive


def test_driver_on_another_host_is_judged_by_when_it_last_wrote(tmp_path: Path) -> None:
    status = Status.of_this_process(stage="train", host="another-host")
    assert status.is_alive
    old = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() - 3600))
    assert not status.model_copy(update={"updated": old}).is_alive


def test_stages_that_have_left_something_are_listed(tmp_path: Path) -> None:
    records, now = StageRecords(tmp_path), utc_now()
    records.write(StageRecord(stage="train", inputs={}, begun=now, finished=now, exit=0))
    records.write(StageRecord(stage="export", inputs={}, begun=now, finished=now, exit=1))
    write_status(tmp_path, Status.of_this_process(stage="predict"))
    text = "\n".join(status_lines(tmp_path))
    assert "train: done on 20" in text
    assert "export: ended with exit code 1 on 20" in text


@pytest.mark.parametrize("text", ["", "{", '{"stage": 3}', "[]"])
def test_damaged_status_is_none(tmp_path: Path, text: str) -> None:
    status_file(tmp_path).write_text(text)
    assert read_status(tmp_path) is None
    nothing = f"No handoff has run in {tmp_path} yet."
    assert list(status_lines(tmp_path)) == [nothing]
    assert list(status_lines(tmp_path, begin="./run.sh")) == [nothing, "Next: ./run.sh"]


def test_process_that_has_ended_has_no_mark() -> None:
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    assert process_mark(process.pid) == ""
    assert process_mark(os.getpid()) != ""


def test_status_before_any_run_names_the_command_that_begins(
    make_build: Callable[..., Path], capsys: pytest.CaptureFixture[str]
) -> None:
    build = make_build()
    assert run(["handoff", str(build), "--status"]) == 0
    assert f"Next: datakit handoff {build}\n" in capsys.readouterr().out
