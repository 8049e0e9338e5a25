"""A training outlives its driver: it is found, attached to, never met by a second one, ended by Ctrl-C."""

from __future__ import annotations

import errno
import fcntl
import json
import os
import signal
import socket
import subprocess
import sys
import termios
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from datakit.core.ends_with_parent import ending_with_this_process
from datakit.core.errors import UserError
from datakit.core.processes import descendants, process_mark
from datakit.handoff.status import read_status, status_lines
from datakit.training import supervise
from datakit.training.launch import Place, Trained, train
from datakit.training.logged_call import TrainerFailed
from datakit.training.machine_check import check_machine
from datakit.training.run_folder import RunFolder
from datakit.training.run_lock import held_run
from datakit.training.trainer_process import TrainerProcess, trainer_file
from tests.support.fake_trainer import calls, release
from tests.support.waiting import until

Make = Callable[..., Path]
Start = Callable[..., "Driver"]


def with_usual_signals() -> None:
    """Undoes what the caller of the tests ignores: Ctrl-C in a background job, SIGHUP under nohup."""
    for number in (signal.SIGINT, signal.SIGHUP):
        signal.signal(number, signal.SIG_DFL)


class Driver:
    """`datakit train` in a process of its own, and the training that it has started."""

    def __init__(self, build: Path, how: str, *words: str) -> None:
        self.run = RunFolder.of(build)
        self.process = subprocess.Popen(
            [sys.executable, "-m", "datakit.cli", *(words or ("train", "--cpu")), str(build)],
            env={**os.environ, "FAKE_TRAINER": how},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            preexec_fn=with_usual_signals,
        )

    def is_training(self) -> bool:
        """Whether the training has made its first step; its processes are noted down by then."""
        return (self.run.trained / "checkpoint-1" / "trainer_state.json").exists()

    @property
    def training(self) -> TrainerProcess:
        training = TrainerProcess.read(self.run.folder, 0)
        assert training is not None
        return training

    def kill(self) -> None:
        self.process.kill()
        self.process.communicate(timeout=60)

    def output(self, code: int) -> str:
        """What it said, once it has ended with this code."""
        text, _ = self.process.communicate(timeout=120)
        assert self.process.returncode == code, text
        return text


@pytest.fixture
def start(make_build: Make, trainer: Path) -> Iterator[Start]:
    """Starts drivers of one build; whatever is left of them and of their trainings ends with the test."""
    builds: list[Path] = []
    drivers: list[Driver] = []

    def started(how: str = "hold", *words: str, waits: bool = True) -> Driver:
        builds[:] = builds or [make_build()]
        driver = Driver(builds[0], how, *words)
        drivers.append(driver)
        if waits:
            until(driver.is_training, driver.process)
        return driver

    yield started
    for driver in drivers:
        driver.process.kill()
        driver.process.communicate(timeout=60)
        training = TrainerProcess.read(driver.run.folder, 0)
        if training is not None:
            training.end()


def attaching(start: Start) -> Driver:
    """A second driver that goes along with the training."""
    driver = start("", waits=False)
    assert driver.process.stdout is not None
    line = driver.process.stdout.readline()
    assert "This run is already training (process" in line, line + driver.process.communicate(timeout=60)[0]
    assert "step 1 of 4" in line
    return driver


@pytest.mark.fault(
    "the driver of a training is killed (SIGKILL) or its terminal closed, and the command given again",
    "the training goes on; the second command attaches to it and follows it to its end",
    kind="processes",
)
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGHUP], ids=["killed", "terminal closed"])
@pytest.mark.parametrize("how", ["hold", "worker"])
def test_training_outlives_its_driver_and_the_next_one_attaches(
    start: Start, trainer: Path, number: int, how: str
) -> None:
    first = start(how)
    first.process.send_signal(number)
    first.process.communicate(timeout=60)
    assert first.process.returncode in (-signal.SIGKILL, 128 + signal.SIGHUP)
    assert first.training.leads
    second = attaching(start)
    release(trainer.parent)
    assert "Trained:" in second.output(0)
    assert len(calls(trainer.parent)) == (2 if how == "worker" else 1)
    assert second.run.progress().step == 4


def test_closing_the_terminal_itself_leaves_the_training_alive(make_build: Make, trainer: Path) -> None:
    run = RunFolder.of(make_build())
    master, terminal = os.openpty()
    driver = subprocess.Popen(
        [sys.executable, "-m", "datakit.cli", "train", str(run.data.path), "--cpu"],
        env={**os.environ, "FAKE_TRAINER": "hold"},
        stdin=terminal,
        stdout=terminal,
        stderr=terminal,
        start_new_session=True,
        preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),
        text=True,
    )
    os.close(terminal)
    until((run.trained / "checkpoint-1" / "trainer_state.json").exists, driver)
    os.close(master)
    assert driver.wait(60) == 128 + signal.SIGHUP
    training = TrainerProcess.read(run.folder, 0)
    assert training is not None
    assert training.leads
    training.end()


@pytest.mark.fault(
    "driver and first process of a training are killed while its workers live, as with torchrun",
    "no second training starts in its folder: the next command follows the workers to their end",
    kind="processes",
)
def test_workers_without_their_first_process_are_no_place_for_a_second_training(
    start: Start, trainer: Path
) -> None:
    first = start("worker")
    first.kill()
    os.kill(first.training.pid, signal.SIGKILL)
    until(lambda: not first.training.leads)
    assert first.training.living()
    second = attaching(start)
    assert second.process.stdout is not None
    lines = iter(second.process.stdout.readline, "")
    assert any("Its first process is gone; these go on:" in line for line in lines)
    release(trainer.parent)
    second.output(0)
    assert len(calls(trainer.parent)) == 2


def test_hung_workers_without_their_first_process_are_ended(
    start: Start, make_build: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = start("worker")
    first.kill()
    os.kill(first.training.pid, signal.SIGKILL)
    monkeypatch.setattr(supervise, "_SILENT_S", 0.0)
    with pytest.raises(TrainerFailed, match="nobody saw how"):
        trained(first.run)
    assert first.training.living() == []


@pytest.mark.fault(
    "the first process of a training is killed while its driver lives",
    "its workers are ended, and the command says what killed it and that it can go on",
    kind="processes",
)
def test_killed_trainer_leaves_no_workers_and_is_told(start: Start) -> None:
    driver = start("worker")
    workers = [pid for pid in driver.training.living() if pid != driver.training.pid]
    os.kill(driver.training.pid, signal.SIGKILL)
    text = driver.output(1)
    assert "was ended by signal 9" in text
    assert "host memory ran out" in text
    assert workers
    assert not any(map(process_mark, workers))
    assert driver.training.exit == -signal.SIGKILL


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=["ctrl-c", "scheduler"])
@pytest.mark.parametrize("attached", [False, True], ids=["own", "attached"])
def test_interrupting_ends_every_process_of_a_training(start: Start, number: int, attached: bool) -> None:
    driver = start("worker")
    training = driver.training
    assert len(training.living()) == 2
    if attached:
        driver.kill()
        driver = attaching(start)
    driver.process.send_signal(number)
    assert "run the same command to go on" in driver.output(128 + number)
    assert training.living() == []


@pytest.mark.fault(
    "a training is driven twice at once",
    "the second command is refused, and says who drives it since when",
    kind="processes",
)
def test_second_driver_is_told_who_drives(start: Start, trainer: Path) -> None:
    first = start()
    text = start("", waits=False).output(2)
    assert f"process {first.process.pid} on {socket.gethostname()} since" in text
    assert "(datakit train" in text
    assert "--status" in text
    first.kill()
    attaching(start)
    assert "works on this run already" in start("", waits=False).output(2)
    assert len(calls(trainer.parent)) == 1


def test_attached_training_that_fails_is_judged_by_its_folder(start: Start, trainer: Path) -> None:
    start("hold:die").kill()
    second = attaching(start)
    release(trainer.parent)
    text = second.output(1)
    assert "nobody saw how" in text
    assert "ValueError: toy failure" in text
    assert "Going on from checkpoint-1." in start("", waits=False).output(0)


def test_what_a_finished_training_leaves_behind_is_no_training(start: Start, trainer: Path) -> None:
    assert "Trained:" in start("stray", waits=False).output(0)
    driver = start("", waits=False)
    training = driver.training
    training.exit = None  # as if nobody had seen its end
    assert len(training.living()) == 1
    training.write(trainer_file(driver.run.folder, 0))
    assert "has come to its end before" in driver.output(0)
    training.end()


def test_attached_training_outlives_a_second_driver_too(start: Start, trainer: Path) -> None:
    start().kill()
    second = attaching(start)
    second.process.send_signal(signal.SIGHUP)
    assert "the same command attaches to it" in second.output(128 + signal.SIGHUP)
    third = attaching(start)
    release(trainer.parent)
    third.output(0)
    assert len(calls(trainer.parent)) == 1


def test_training_that_says_nothing_is_told_of_by_the_clock(start: Start) -> None:
    """Its steps, its losses, and the end of its log, while nothing else comes."""
    driver = start()
    assert driver.process.stdout is not None
    line = next(line for line in driver.process.stdout if " train: 0:" in line)
    assert "step 1 of 4, loss 1.0000" in line
    assert "the log ends with: fake trainer: train train.yaml" in line
    status = read_status(driver.run.folder)
    assert status is not None
    assert (status.stage, status.state, status.pid) == ("train", "running", driver.process.pid)
    driver.kill()
    lines = "\n".join(status_lines(driver.run.folder))
    assert "interrupted" in lines
    assert f"The training goes on by itself (process {driver.training.pid} on " in lines


def test_export_ends_with_its_driver(start: Start, trainer: Path) -> None:
    start("", waits=False).output(0)
    driver = start("slow_export", "export", waits=False)
    until(lambda: len(calls(trainer.parent)) == 2, driver.process)
    exports = descendants("FAKE_TRAINER", "slow_export", 0, "")
    assert len(exports) == 3  # the driver, the process in between, and the trainer
    driver.kill()
    until(lambda: not any(map(process_mark, exports)))


def trained(run: RunFolder, say: Callable[[str], None] = lambda line: None) -> Trained:
    return train(run, Place(cpu=True), say, check_machine=check_machine)


@cache
def _leader() -> subprocess.Popen[bytes]:
    return subprocess.Popen(ending_with_this_process(["sleep", "600"]), start_new_session=True)


def leader() -> int:
    """A process that leads a group of its own, and ends with these tests."""
    return _leader().pid


@pytest.fixture(scope="module", autouse=True)
def end_of_leader() -> Iterator[None]:
    yield
    if _leader.cache_info().currsize:
        with _leader() as process:
            os.killpg(process.pid, signal.SIGKILL)


def noted(run: RunFolder, **changes: Any) -> TrainerProcess:
    """A trainer.json that names a living process, which leads its group, as the training's."""
    pid = leader()
    own = {"pid": pid, "process": process_mark(pid), "token": "t", "host": socket.gethostname()}
    training = TrainerProcess.model_validate({**own, **changes})
    training.write(trainer_file(run.folder, 0))
    return training


@pytest.mark.fault(
    "trainer.json names a process number that is reused, one of before a reboot, or of another host",
    "it counts as ended, and the training starts",
    kind="processes",
)
@pytest.mark.parametrize("what", ["number reused", "rebooted", "other host", "seen to end", "damaged"])
def test_left_over_trainer_json_names_no_training(make_build: Make, trainer: Path, what: str) -> None:
    run = RunFolder.of(make_build())
    mark = process_mark(leader())
    assert noted(run).living()  # by itself it names one
    boot, _, begun = mark.partition(":")
    changes: dict[str, dict[str, Any]] = {
        "number reused": {"process": f"{boot}:{int(begun) - 1}"},
        "rebooted": {"process": f"another-boot:{begun}"},
        "other host": {"host": "elsewhere", "log": "/nowhere"},
        "seen to end": {"exit": 0},
        "damaged": {},
    }
    assert noted(run, **changes[what]).living() == [] or what == "damaged"
    if what == "damaged":
        trainer_file(run.folder, 0).write_text("{")
    assert trained(run).steps == 4


def test_lock_that_somebody_unseen_holds_is_respected(make_build: Make, trainer: Path) -> None:
    run = RunFolder.of(make_build())
    run.folder.mkdir(parents=True)
    with open(run.folder / ".lock-0", "a") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        with pytest.raises(UserError, match="that this machine does not see") as caught:
            trained(run)
    assert ".lock-0" in caught.value.remedy
    assert calls(trainer.parent) == []


@pytest.fixture
def no_locks(monkeypatch: pytest.MonkeyPatch) -> None:
    """A file system that answers flock as some network disks do."""

    def refused(*_: object) -> None:
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(fcntl, "flock", refused)


@pytest.mark.fault(
    "the run's folder lies on a file system without locks",
    "a warning; drivers of this machine and trainings elsewhere that write are seen all the same",
    kind="processes",
)
def test_file_system_without_locks_is_a_warning(make_build: Make, trainer: Path, no_locks: None) -> None:
    run, lines = RunFolder.of(make_build()), list[str]()
    with (
        held_run(run.folder, 0, "datakit train x", "look"),
        pytest.raises(UserError, match=f"process {os.getpid()} on .*datakit train x"),
    ):
        trained(run)
    (run.folder / "log").write_text("a line just now")
    noted(run, host="elsewhere", log=str(run.folder / "log"))
    with pytest.raises(UserError, match="is training elsewhere"):
        trained(run)
    os.utime(run.folder / "log", (0, 0))
    assert trained(run, lines.append).steps == 4
    assert any("knows no locks" in line for line in lines)


def test_terminal_that_takes_no_more_words_ends_no_training(make_build: Make, trainer: Path) -> None:
    def closed(line: str) -> None:
        raise OSError(errno.EIO, "Input/output error")

    assert trained(RunFolder.of(make_build()), closed).steps == 4


def test_other_nodes_note_their_trainer_beside(
    make_build: Make, trainer: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = RunFolder.of(make_build(gpus=2, nodes=2))
    place = Place(cpu=True, node_rank=1, master="10.0.0.1")
    train(run, place, print, check_machine=check_machine)
    assert json.loads((run.folder / "trainer-1.json").read_text())["exit"] == 0
    assert not (run.folder / "trainer.json").exists()
