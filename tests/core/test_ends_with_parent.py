"""A command ends with the process that wanted it, and all that it started too; else as it would alone."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from datakit.core.ends_with_parent import ending_with_this_process
from datakit.core.processes import process_mark
from tests.support.waiting import until

FAMILY = """\
import os, pathlib, signal, subprocess, sys, time
here = pathlib.Path(sys.argv[1])
if sys.argv[2] == "deaf":
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(300)"])
(here / "pids.part").write_text(f"{os.getpid()} {child.pid}")
os.rename(here / "pids.part", here / "pids")
time.sleep(300)
"""
DRIVER = """\
import subprocess, sys
from datakit.core.ends_with_parent import ending_with_this_process
subprocess.Popen(ending_with_this_process(sys.argv[1:]), start_new_session=True).wait()
"""


def started(words: list[str]) -> subprocess.Popen[bytes]:
    return subprocess.Popen(ending_with_this_process(words), start_new_session=True)


def family(folder: Path, how: str = "") -> list[str]:
    (folder / "family.py").write_text(FAMILY)
    return [sys.executable, str(folder / "family.py"), str(folder), how]


def pids(folder: Path) -> list[int]:
    until((folder / "pids").exists)
    return [int(word) for word in (folder / "pids").read_text().split()]


@pytest.mark.parametrize("how", ["", "deaf"])
def test_command_and_its_child_end_when_the_parent_is_killed(tmp_path: Path, how: str) -> None:
    driver = subprocess.Popen([sys.executable, "-c", DRIVER, *family(tmp_path, how)])
    members = pids(tmp_path)
    assert all(map(process_mark, members))
    driver.kill()
    driver.wait()
    until(lambda: not any(map(process_mark, members)))


def test_command_ends_when_the_process_in_between_is_killed(tmp_path: Path) -> None:
    process = started(family(tmp_path))
    command, child = pids(tmp_path)
    process.kill()
    process.wait()
    until(lambda: not process_mark(command))
    os.kill(child, signal.SIGKILL)


def test_command_outlives_the_thread_that_started_it(tmp_path: Path) -> None:
    processes: list[subprocess.Popen[bytes]] = []
    thread = threading.Thread(target=lambda: processes.append(started(family(tmp_path))))
    thread.start()
    thread.join()
    members = pids(tmp_path)
    with pytest.raises(subprocess.TimeoutExpired):
        processes[0].wait(2)
    assert all(map(process_mark, members))
    os.killpg(processes[0].pid, signal.SIGKILL)
    processes[0].wait()


@pytest.mark.parametrize(
    ("code", "expected"),
    [("pass", 0), ("raise SystemExit(3)", 3), ("import os; os.kill(os.getpid(), 15)", -15)],
)
def test_exit_code_is_that_of_the_command(code: str, expected: int) -> None:
    assert started([sys.executable, "-c", code]).wait(60) == expected


def test_missing_program_is_told_as_by_a_shell(tmp_path: Path) -> None:
    process = subprocess.Popen(
        ending_with_this_process([str(tmp_path / "none")]), stderr=subprocess.PIPE, start_new_session=True
    )
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 127
    assert b"none: No such file" in errors


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_signal_to_the_group_reaches_the_command_once(tmp_path: Path, number: int) -> None:
    code = (
        "import signal, sys, time\n"
        "seen = []\n"
        f"signal.signal({int(number)}, lambda *_: seen.append(1))\n"
        f"open({str(tmp_path / 'ready')!r}, 'w').close()\n"
        "while not seen: time.sleep(0.01)\n"
        "time.sleep(0.5)\n"
        "sys.exit(len(seen) + 40)\n"
    )
    process = started([sys.executable, "-c", code])
    until((tmp_path / "ready").exists)
    os.killpg(process.pid, number)
    assert process.wait(60) == 41
