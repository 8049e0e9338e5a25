"""Processes are told from later ones with their number, found by what they inherit, and ended to the last."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator

import pytest

from datakit.core.processes import descendants, end, process_mark
from tests.support.waiting import until

SLEEP = "import time; time.sleep(300)"
TWO = f"""\
import subprocess, sys, time
subprocess.Popen([sys.executable, "-c", {SLEEP!r}], start_new_session=True)
time.sleep(300)
"""
DEAF = """\
import signal, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
print("deaf", flush=True)
time.sleep(300)
"""


@pytest.fixture
def value() -> Iterator[str]:
    """A value of its own for the variable; what still has it at the end is killed."""
    own = os.urandom(8).hex()
    yield own
    for pid in descendants("TOY", own, 0, ""):
        os.kill(pid, signal.SIGKILL)


def started(code: str, value: str, **options: object) -> subprocess.Popen[str]:
    return subprocess.Popen(  # type: ignore[call-overload,no-any-return]
        [sys.executable, "-c", code], env={**os.environ, "TOY": value}, text=True, **options
    )


def test_mark_is_that_of_one_process_and_gone_with_it(value: str) -> None:
    first = started(SLEEP, value)
    mark = process_mark(first.pid)
    assert mark == process_mark(first.pid) != ""
    assert mark != process_mark(os.getpid())
    first.kill()
    until(lambda: process_mark(first.pid) == "")  # a zombie, while nobody has waited for it
    first.wait()
    assert process_mark(first.pid) == ""


def test_what_a_process_started_is_found_in_whatever_session(value: str) -> None:
    process = started(TWO, value)
    until(lambda: len(descendants("TOY", value, 0, "")) == 2)
    process.kill()
    process.wait()
    assert len(descendants("TOY", value, 0, "")) == 1
    assert descendants("TOY", value + "0", 0, "") == []


def test_group_counts_while_its_number_is_that_of_its_first_process(value: str) -> None:
    process = started(SLEEP, value, start_new_session=True)
    pid, mark = process.pid, process_mark(process.pid)
    assert descendants("OTHER", value, pid, mark) == [pid]
    boot, _, begun = mark.partition(":")
    assert descendants("OTHER", value, pid, f"{boot}:{int(begun) + 1}") == []
    assert descendants("OTHER", value, pid, f"other:{begun}") == []
    assert descendants("OTHER", value, pid, "") == []


def test_end_reaches_all_and_kills_what_does_not_listen(value: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("datakit.core.processes._END_S", 1.0)
    kind, deaf = started(TWO, value), started(DEAF, value, stdout=subprocess.PIPE)
    assert deaf.stdout is not None
    deaf.stdout.readline()
    until(lambda: len(descendants("TOY", value, 0, "")) == 3)
    end(lambda: descendants("TOY", value, 0, ""))
    assert descendants("TOY", value, 0, "") == []
    assert (kind.wait(60), deaf.wait(60)) == (-signal.SIGTERM, -signal.SIGKILL)
