"""Leases: one holder at a time, whoever he is, until he lets go or his process ends."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from datakit.core.outcome import Done
from datakit.core.sub_results import QUESTION
from datakit.run.leases import LOST_S, FileLeases
from datakit.run.store import Store
from tests.support.waiting import until

HOLD = """
import sys, time
from pathlib import Path
from datakit.run.leases import FileLeases
leases = FileLeases(Path(sys.argv[1]))
assert leases.take(bytes.fromhex(sys.argv[2]))
print("held", flush=True)
time.sleep(1000)
"""
Q = bytes(range(16))


def questions(count: int) -> list[bytes]:
    return [number.to_bytes(16, "big") for number in range(count)]


def test_question_is_one_holders_at_a_time(tmp_path: Path) -> None:
    first, second = FileLeases(tmp_path), FileLeases(tmp_path)
    assert first.take(Q)
    assert first.take(Q)
    assert not second.take(Q)
    first.release(Q)
    assert second.take(Q)
    assert not first.take(Q)
    second.close()
    assert first.take(Q)


def test_questions_are_held_each_by_itself(tmp_path: Path) -> None:
    first, second = FileLeases(tmp_path), FileLeases(tmp_path)
    asked = questions(3000)
    assert all(first.take(question) for question in asked[::2])
    assert [second.take(question) for question in asked] == [False, True] * 1500
    for question in asked[::2]:
        first.release(question)
    assert all(second.take(question) for question in asked)


@pytest.mark.skipif(sys.platform != "linux", reason="other systems do not tell")
@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM])
def test_holder_is_named_until_he_dies(tmp_path: Path, how: signal.Signals) -> None:
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(tmp_path), Q.hex()], stdout=subprocess.PIPE, text=True
    )
    assert holder.stdout is not None
    assert holder.stdout.readline() == "held\n"
    leases = FileLeases(tmp_path)
    assert not leases.take(Q)
    assert leases.holder(Q) == holder.pid
    holder.send_signal(how)
    holder.wait()
    until(lambda: leases.take(Q))
    assert FileLeases(tmp_path).holder(Q) is not None
    leases.close()
    assert leases.holder(Q) is None


def test_child_processes_of_a_dead_holder_hold_nothing(tmp_path: Path) -> None:
    code = HOLD.replace("print", "import subprocess\nsubprocess.Popen(['sleep', '1000'])\nprint")
    holder = subprocess.Popen(
        [sys.executable, "-c", code, str(tmp_path), Q.hex()],
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    assert holder.stdout is not None
    assert holder.stdout.readline() == "held\n"
    try:
        holder.kill()
        holder.wait()
        leases = FileLeases(tmp_path)
        until(lambda: leases.take(Q))
    finally:
        os.killpg(holder.pid, signal.SIGKILL)


def test_lease_ends_when_the_answer_is_stored(tmp_path: Path) -> None:
    store, other = Store(tmp_path), Store(tmp_path)
    assert store.leases.take(Q)
    store.leases.answered(Q)
    assert not other.leases.take(Q)
    store.put(b"k" * 16, "toy.work", Done({"raw": "x"}, {QUESTION: Q.hex()}))
    assert other.leases.take(Q)
    assert other.answers_to(Q) == [Done({"raw": "x"}, {})]
    store.close()
    other.close()


def test_answer_that_nobody_stores_is_not_waited_for_for_good(tmp_path: Path) -> None:
    now = [0.0]
    first, second = FileLeases(tmp_path, lambda: now[0]), FileLeases(tmp_path)
    early, late = questions(2)
    assert first.take(early)
    first.answered(early)
    now[0] = LOST_S - 1
    assert first.take(late)
    first.answered(late)
    assert not second.take(early)
    now[0] = LOST_S
    assert first.take(Q)
    assert second.take(early)
    assert not second.take(late)


def test_store_that_a_group_shares_keeps_its_leases_open_to_it(tmp_path: Path) -> None:
    tmp_path.chmod(0o770)
    leases = FileLeases(tmp_path)
    leases.take(Q)
    (file,) = (tmp_path / "leases").iterdir()
    assert file.stat().st_size == 0
    alone = tmp_path / "alone"
    alone.mkdir(0o700)
    FileLeases(alone).take(Q)
    assert (alone / "leases").stat().st_mode & 0o777 == 0o700
