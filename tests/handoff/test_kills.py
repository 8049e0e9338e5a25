"""A handoff whose driver is killed at a stage: the same command goes on, and nothing half-done counts."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable

import pytest

from datakit.handoff.status import read_status
from tests.handoff.conftest import Home
from tests.support import fake_trainer
from tests.support.waiting import until


def start(home: Home, **environment: str) -> subprocess.Popen[str]:
    """The handoff in a process of its own."""
    return subprocess.Popen(
        [sys.executable, "-m", "datakit.cli", "handoff", *home.words, "--split", "train"],
        env={**os.environ, **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def exporting(home: Home) -> bool:
    return (home.run.folder / "served.part").is_dir() and home.trainings() == ["train", "export"]


def asking(home: Home) -> bool:
    return home.asked() > 3


@pytest.mark.parametrize(
    ("stage", "environment", "reached"),
    [
        ("export", {"FAKE_TRAINER": "slow_export"}, exporting),
        ("predict", {"FAKE_VLLM": "hangs:3"}, asking),
    ],
)
@pytest.mark.fault(
    "`datakit handoff` is killed (kill -9) while it exports or asks",
    "the same command goes on: nothing is trained again, no half model is served, answers had are kept",
    kind="signals",
)
def test_killed_handoff_goes_on_at_its_stage(
    home: Home, stage: str, environment: dict[str, str], reached: Callable[[Home], bool]
) -> None:
    process = start(home, **environment)
    until(lambda: reached(home), process)
    process.kill()
    process.communicate()
    status = read_status(home.run.folder)
    assert status is not None
    assert (status.stage, status.state) == (stage, "interrupted")
    assert home.go("--status") == 0
    assert f"{stage}: interrupted" in home.output
    assert f"Next: datakit handoff {home.build}" in home.output
    account = home.account("--split", "train")
    assert account["exit"] == 0, account
    reasons = {entry["stage"]: entry["reason"] for entry in account["stages"]}
    assert "inputs unchanged" in reasons["train"]
    assert "did not come to its end" in reasons[stage]
    assert home.trainings().count("train") == 1


def test_interrupted_handoff_says_how_to_go_on(home: Home) -> None:
    process = start(home, FAKE_VLLM="hangs:3")
    until(lambda: asking(home), process)
    process.terminate()  # a shell may have SIGINT ignored in what it starts
    output, _ = process.communicate(timeout=120)
    assert process.returncode == 143
    assert "run the same command to go on" in output
    status = read_status(home.run.folder)
    assert status is not None
    assert (status.stage, status.state) == ("predict", "interrupted")


def stepping(home: Home) -> bool:
    return (home.run.trained / "trainer_log.jsonl").is_file()


@pytest.mark.fault(
    "`datakit handoff` is killed (kill -9) while it trains",
    "the training lives on; the same command attaches to it and goes on to the scores",
    kind="signals",
)
def test_training_outlives_a_killed_handoff_and_the_next_one_attaches(home: Home) -> None:
    process = start(home, FAKE_TRAINER="hold")
    until(lambda: stepping(home), process)
    process.kill()
    process.communicate()
    assert home.go("--status") == 0
    assert "train: interrupted" in home.output
    assert "The training goes on by itself (process " in home.output
    assert home.go("--again", "train") == 2
    assert "this run is training (process " in home.output
    following = start(home)
    lines = iter(following.stdout.readline, "") if following.stdout is not None else iter(())
    until(lambda: "already training" in next(lines), following)
    fake_trainer.release(home.trainer.parent)
    output, _ = following.communicate(timeout=120)
    assert following.returncode == 0, output
    assert "macro F1" in output
    assert home.trainings() == ["train", "export"]


@pytest.mark.fault(
    "`datakit handoff` is started twice for one run", "the second is told who works on it", kind="signals"
)
def test_second_handoff_is_told_who_works_on_the_run_and_how_to_look(home: Home) -> None:
    process = start(home, FAKE_TRAINER="hold")
    until(lambda: stepping(home), process)
    assert home.go() == 2
    assert f"process {process.pid} on " in home.output
    assert "works on this run already" in home.output
    assert "--status" in home.output
    assert home.go("--status") == 0
    assert "train: running since 20" in home.output
    assert f"(process {process.pid} on " in home.output
    fake_trainer.release(home.trainer.parent)
    process.communicate(timeout=120)
    assert process.returncode == 0
    assert home.trainings() == ["train", "export"]


def test_server_alone_lasts_until_it_is_ended_and_is_asked_by_another_handoff(home: Home) -> None:
    assert home.ran("train", "export") == ["train", "export"]
    words = [sys.executable, "-m", "datakit.cli", "handoff", *home.words, "--only", "serve"]
    with subprocess.Popen(words, stdout=subprocess.PIPE, text=True) as serving:
        assert serving.stdout is not None
        lines = iter(serving.stdout.readline, "")
        until(lambda: "Serving at" in next(lines), serving)
        assert home.ran("--from", "predict") == ["predict", "evaluate"]
        assert serving.poll() is None
        serving.terminate()
        serving.communicate(timeout=120)
    assert serving.returncode == 143
    assert home.go() == 0, home.output  # the port is free again
