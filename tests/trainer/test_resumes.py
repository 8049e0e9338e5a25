"""A training that is killed and resumed is the same training: the weights of a checkpoint reach the model."""

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

from datakit.training.checkpoint_names import mend_names
from datakit.training.launch import Place, train
from datakit.training.machine_check import check_machine
from datakit.training.run_folder import RunFolder, checkpoints
from datakit.training.safetensors import shapes
from tests.support.waiting import until

pytestmark = pytest.mark.trainer

Make = Callable[..., Any]
PYTHON = sys.executable
CPU = Place(python=PYTHON, cpu=True)
STEPS = (
    "train.max_steps=6",
    "train.save_total_limit=4",
    "train.learning_rate=0.002",
    "train.warmup_steps=0",
    "train.eval_steps=6",
    "train.load_best_model_at_end=false",
)


@pytest.mark.fault(
    "a training of all weights is killed behind a checkpoint and resumed",
    "it goes on with the checkpoint's weights, which the trainer itself would leave out in silence, and ends "
    "with the very weights of one that nobody killed",
    kind="processes",
)
@pytest.mark.parametrize("method", ["full", "freeze", "lora"])
def test_killed_and_resumed_training_ends_with_the_weights_of_one_that_was_not(
    small_build: Make, method: str
) -> None:
    run = small_build(f"train.method={method}", *STEPS)
    train(run, CPU, print, check_machine=check_machine)
    whole = run.folder.rename(run.folder.with_name(f"{run.folder.name}-whole")) / "trained"
    kill_behind_a_checkpoint(run)
    done = train(run, CPU, print, check_machine=check_machine)
    assert done.resumed_from in ("checkpoint-2", "checkpoint-4")
    before, after = losses(whole), losses(run.trained)
    assert before[1] - before[6] > 0.3  # else the base model's weights would pass too
    assert after == pytest.approx(before, abs=2e-3)
    assert distance(whole, run.trained) < 1e-3


def kill_behind_a_checkpoint(run: RunFolder) -> None:
    """Trains up to the first checkpoint, and kills trainer and driver as the system does."""
    command = [PYTHON, "-m", "datakit.cli", "train", str(run.build.path), "--cpu", "--python", PYTHON]
    process = subprocess.Popen(command, start_new_session=True, stdout=subprocess.DEVNULL, text=True)
    until(lambda: checkpoints(run.trained)[0], process, within_s=240)
    import psutil

    for child in psutil.Process(process.pid).children(recursive=True):
        os.kill(child.pid, signal.SIGKILL)
    process.wait(60)
    assert process.returncode == 1


def losses(trained: Path) -> dict[int, float]:
    """Step -> loss of the training, as the trainer's log has it; of a step made twice the later one."""
    entries = map(json.loads, (trained / "trainer_log.jsonl").read_text().splitlines())
    return {entry["current_steps"]: entry["loss"] for entry in entries if "loss" in entry}


def distance(one: Path, other: Path) -> float:
    """The largest difference of a weight between two models of the same tensors."""
    from safetensors.torch import load_file

    first, second = (
        {name: tensor for path in folder.glob("*.safetensors") for name, tensor in load_file(path).items()}
        for folder in (one, other)
    )
    assert first.keys() == second.keys()
    return max(float((first[name].float() - second[name].float()).abs().max()) for name in first)


def test_best_checkpoint_of_a_full_training_is_the_trained_model(small_build: Make) -> None:
    """The first of two is named the best, so that the model of the last step is another one."""
    best = ("train.load_best_model_at_end=true", "train.greater_is_better=true", "train.eval_steps=2")
    run = small_build("train.method=full", *STEPS, *best, "train.max_steps=4")
    lines: list[str] = []
    train(run, CPU, lines.append, check_machine=check_machine)
    assert distance(run.trained, run.trained / "checkpoint-2") == 0
    assert distance(run.trained, run.trained / "checkpoint-4") > 1e-3
    assert "The model has checkpoint-2's weights" in "\n".join(lines)


@pytest.mark.parametrize("family", ["qwen2_vl", "qwen2_5_vl", "qwen3_vl"])
@pytest.mark.parametrize("shard", ["50GB", "10MB"], ids=["one file", "shards"])
def test_mended_checkpoint_fills_the_model_in_memory_and_a_new_one(
    tiny_model: Make, tmp_path: Path, family: str, shard: str
) -> None:
    import torch
    from transformers import AutoModelForImageTextToText

    model = AutoModelForImageTextToText.from_pretrained(tiny_model(family))
    with torch.no_grad():
        for weight in model.parameters():
            weight.add_(1.0)
    wanted = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    model.save_pretrained(tmp_path, max_shard_size=shard)
    assert (len(list(tmp_path.glob("*.safetensors"))) > 1) == (shard == "10MB")
    mend_names(tmp_path)
    assert wanted.keys() - shapes(tmp_path).keys() == {"lm_head.weight"}  # tied
    read = AutoModelForImageTextToText.from_pretrained(tmp_path).state_dict()
    assert all(torch.equal(read[name], tensor) for name, tensor in wanted.items())
