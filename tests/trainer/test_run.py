"""`datakit train` and `datakit export` with the real LLaMA-Factory: adapter, whole model, kill and resume."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from datakit.training.export import export
from datakit.training.launch import Place, train
from datakit.training.machine_check import check_machine
from datakit.training.run_folder import checkpoints
from datakit.training.safetensors import shapes
from datakit.training.trainer_process import TrainerProcess
from tests.support.waiting import until

pytestmark = pytest.mark.trainer

Make = Callable[..., Any]
PYTHON = sys.executable


@pytest.mark.parametrize("method", ["lora", "full"])
def test_trained_and_exported_model_has_the_tensors_of_its_base(small_build: Make, method: str) -> None:
    run = small_build(f"train.method={method}", "train.max_steps=2")
    done = train(run, Place(python=PYTHON, cpu=True), print, check_machine=check_machine)
    assert done.steps == 2
    assert done.loss is not None
    assert done.loss < 15
    made = export(run, PYTHON, print)
    base = Path(str(run.keys["model_name_or_path"]))
    assert made.tensors == len(shapes(base))
    assert (run.served / "tokenizer.json").is_file()
    trained = shapes(run.trained)
    assert all("lora_" in name for name in trained) == (method == "lora")


def test_killed_training_resumes_from_its_checkpoint_and_makes_no_step_twice(small_build: Make) -> None:
    run = small_build("train.max_steps=6")
    command = [PYTHON, "-m", "datakit.cli", "train", str(run.build.path), "--cpu", "--python", PYTHON]
    process = subprocess.Popen(command, start_new_session=True, stdout=subprocess.DEVNULL, text=True)
    until(lambda: checkpoints(run.trained)[0], process, within_s=240)
    import psutil

    for child in psutil.Process(process.pid).children(recursive=True):
        os.kill(child.pid, signal.SIGKILL)
    process.wait(60)
    assert process.returncode == 1
    first = checkpoints(run.trained)[0][-1].name
    done = train(run, Place(python=PYTHON, cpu=True), print, check_machine=check_machine)
    assert (done.resumed_from, done.steps) == (first, 6)
    log = [json.loads(line) for line in (run.trained / "trainer_log.jsonl").read_text().splitlines()]
    assert done.eval_loss is not None
    steps = [entry["current_steps"] for entry in log if "loss" in entry]
    assert steps[-1] >= 5


def test_training_whose_driver_is_killed_goes_on_and_is_attached_to(small_build: Make) -> None:
    run = small_build("train.max_steps=8")
    command = [PYTHON, "-m", "datakit.cli", "train", str(run.build.path), "--cpu", "--python", PYTHON]
    driver = subprocess.Popen(command, stdout=subprocess.DEVNULL, text=True)
    until(lambda: checkpoints(run.trained)[0], driver, within_s=240)
    driver.kill()
    driver.wait()
    training = TrainerProcess.read(run.folder, 0)
    assert training is not None
    assert training.leads
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert f"This run is already training (process {training.pid} on " in done.stdout
    assert "(8 steps" in done.stdout
    assert len(list(run.logs.glob("train-*.log"))) == 1  # one trainer has done it all


def test_failure_of_the_real_trainer_is_told_with_its_cause(small_build: Make) -> None:
    from datakit.training.logged_call import TrainerFailed

    run = small_build("train.max_steps=2", "train.seed=1")
    with open(run.build.path / "train.yaml", "a") as file:
        file.write("no_such_key: 1\n")
    with pytest.raises(TrainerFailed, match="a key that this version does not know"):
        train(run, Place(python=PYTHON, cpu=True), print, check_machine=check_machine)
