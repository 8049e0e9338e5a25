"""`datakit train`: the trainer is called rightly, resumes, and its failures become words."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest
import yaml

from datakit.core.errors import UserError
from datakit.training.launch import Place, Trained, train, train_call
from datakit.training.logged_call import TrainerFailed
from datakit.training.machine_check import check_machine
from datakit.training.run_folder import RunFolder
from datakit.training.trainer import explain, find_trainer
from tests.support.fake_trainer import calls, install, write_checkpoint
from tests.support.waiting import until

CPU = Place(cpu=True)
Make = Callable[..., Path]


def trained(build: Path, place: Place = CPU) -> tuple[Trained, list[str]]:
    said: list[str] = []
    return train(RunFolder.of(build), place, said.append, check_machine=check_machine), said


def test_training_runs_in_the_build_and_tells_steps_and_loss(make_build: Make, trainer: Path) -> None:
    done, said = trained(make_build())
    assert (done.steps, done.loss, done.already) == (4, 0.25, False)
    assert calls(trainer.parent)[0]["words"][:2] == ["train", "train.yaml"]
    assert "fake trainer: train" in Path(done.log).read_text()
    assert any("Log:" in line for line in said)


def test_finished_training_is_not_repeated(make_build: Make, trainer: Path) -> None:
    build = make_build()
    trained(build)
    done, _ = trained(build)
    assert done.already
    assert len(calls(trainer.parent)) == 1


def test_killed_training_goes_on_from_its_last_checkpoint(
    make_build: Make, trainer: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    build = make_build()
    monkeypatch.setenv("FAKE_TRAINER", "die:2")
    with pytest.raises(TrainerFailed, match="ended with code 137"):
        trained(build)
    monkeypatch.setenv("FAKE_TRAINER", "")
    done, said = trained(build)
    assert done.resumed_from == "checkpoint-2"
    assert "Going on from checkpoint-2." in said
    log = (RunFolder.of(build).trained / "trainer_log.jsonl").read_text().splitlines()
    assert len(log) == 4  # steps 1 and 2 were not made twice


def test_half_written_checkpoint_is_set_aside_with_a_word(make_build: Make, trainer: Path) -> None:
    build = make_build()
    run = RunFolder.of(build)
    write_checkpoint(run.trained / "checkpoint-1")
    write_checkpoint(run.trained / "checkpoint-3", whole=False)
    done, said = trained(build)
    assert done.resumed_from == "checkpoint-1"
    assert any("checkpoint-3 was only half-written" in line for line in said)
    assert len(list((run.folder / "half-written").iterdir())) == 1


@pytest.mark.fault(
    "the disk is full at a checkpoint of the training",
    "the command says so and what to do, and goes on from the last whole checkpoint",
    kind="processes",
)
def test_full_disk_at_a_checkpoint_is_told_and_the_training_goes_on_from_the_last_whole_one(
    make_build: Make, trainer: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    build = make_build()
    monkeypatch.setenv("FAKE_TRAINER", "full_disk")
    with pytest.raises(TrainerFailed, match="No space left on device") as caught:
        trained(build)
    assert "The disk is full, usually at a checkpoint: remove old runs" in str(caught.value)
    monkeypatch.setenv("FAKE_TRAINER", "")
    done, said = trained(build)
    assert done.resumed_from == "checkpoint-1"
    assert any("checkpoint-2 was only half-written" in line for line in said)


def test_full_gpu_memory_is_told_with_what_to_do_and_the_log(
    make_build: Make, trainer: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FAKE_TRAINER", "oom")
    with pytest.raises(TrainerFailed) as caught:
        trained(make_build())
    words = str(caught.value)
    assert "CUDA out of memory" in words
    assert "per_device_train_batch_size" in words
    assert "/logs/train-" in words


def test_trainer_that_leaves_no_model_has_failed(
    make_build: Make, trainer: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FAKE_TRAINER", "no_result")
    with pytest.raises(TrainerFailed, match="without a model"):
        trained(make_build())


def test_machine_without_gpu_is_refused_before_anything_starts(make_build: Make, trainer: Path) -> None:
    with pytest.raises(UserError, match="no GPU") as caught:
        trained(make_build(), Place())
    assert "datakit bundle" in caught.value.remedy
    assert calls(trainer.parent) == []


def gpus(trainer: Path, *sizes_mib: int) -> None:
    listed = "\n".join(str(size) for size in sizes_mib)
    (trainer.parent / "nvidia-smi").write_text(f"#!/bin/sh\ncat <<X\n{listed}\nX\n")


def test_too_few_gpus_are_refused(make_build: Make, trainer: Path) -> None:
    gpus(trainer, 24_564)
    with pytest.raises(UserError, match="wants 2 GPUs on this node, which has 1"):
        trained(make_build(gpus=2), Place())


def test_what_cannot_fit_is_refused_with_a_mode_that_fits_and_may_be_forced(
    make_build: Make, trainer: Path
) -> None:
    gpus(trainer, 4_096)
    build = make_build(method="full")
    with pytest.raises(UserError, match=r"the mode `none` needs [\d.]+ GiB on each GPU of 4") as caught:
        trained(build, Place())
    assert "--ignore-memory" in caught.value.remedy
    assert calls(trainer.parent) == []
    done, _ = trained(build, Place(ignore_memory=True))
    assert done.steps == 4


def test_gpus_of_a_preset_stand_in_the_build_and_start_as_many_processes(
    make_build: Make, trainer: Path
) -> None:
    build = make_build(method="full", preset="full_zero3_offload")
    assert yaml.safe_load((build / "recipe.yaml").read_text())["train"]["gpus"] == 4
    call = train_call(RunFolder.of(build), Place())
    assert call.settings == {"FORCE_TORCHRUN": "1", "NPROC_PER_NODE": "4"}


def test_lora_on_a_large_gpu_starts_without_a_warning(make_build: Make, trainer: Path) -> None:
    gpus(trainer, 81_559)
    done, said = trained(make_build(), Place())
    assert done.steps == 4
    assert not any("Warning" in line for line in said)


def test_one_gpu_without_deepspeed_needs_no_torchrun(make_build: Make, trainer: Path) -> None:
    assert train_call(RunFolder.of(make_build()), Place()).settings == {}


def test_deepspeed_and_several_gpus_start_torchrun(make_build: Make, trainer: Path) -> None:
    call = train_call(RunFolder.of(make_build(deepspeed="z2", gpus=4)), Place())
    assert call.settings == {"FORCE_TORCHRUN": "1", "NPROC_PER_NODE": "4"}


def test_nodes_get_their_rank_and_master_from_options_or_environment(
    make_build: Make, trainer: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = RunFolder.of(make_build(deepspeed="z3", gpus=16, nodes=2))
    with pytest.raises(UserError, match="does not know its place"):
        train_call(run, Place())
    monkeypatch.setenv("MASTER_ADDR", "10.0.0.1")
    call = train_call(run, Place(node_rank=1))
    assert call.settings == {
        "FORCE_TORCHRUN": "1",
        "NPROC_PER_NODE": "8",
        "NNODES": "2",
        "NODE_RANK": "1",
        "MASTER_ADDR": "10.0.0.1",
        "MASTER_PORT": "29500",
    }
    with pytest.raises(UserError, match="not in 0 to 1"):
        train_call(run, Place(node_rank=2))


def test_other_nodes_need_no_model_of_their_own_and_leave_checkpoints_alone(
    make_build: Make, trainer: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    build = make_build(gpus=2, nodes=2)
    run = RunFolder.of(build)
    write_checkpoint(run.trained / "checkpoint-3", whole=False)
    monkeypatch.setenv("FAKE_TRAINER", "no_result")
    trained(build, Place(cpu=True, node_rank=1, master="10.0.0.1"))
    assert (run.trained / "checkpoint-3").is_dir()
    with pytest.raises(TrainerFailed, match="without a model"):
        trained(build, Place(cpu=True, node_rank=0, master="10.0.0.1"))
    assert not (run.trained / "checkpoint-3").exists()


def test_another_number_of_gpus_than_the_steps_were_reckoned_for_is_refused(
    make_build: Make, trainer: Path
) -> None:
    with pytest.raises(UserError, match="reckoned for 4 GPUs in all, and 8") as caught:
        train_call(RunFolder.of(make_build(gpus=4)), Place(gpus=8))
    assert "--set train.gpus=8" in caught.value.remedy


def test_trainer_is_found_by_option_variable_and_path(
    tmp_path: Path, trainer: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = install(tmp_path / "env" / "bin")
    assert find_trainer() == trainer
    for given in (tmp_path / "env", tmp_path / "env" / "bin" / "python", other):
        assert find_trainer(str(given)) == other
    monkeypatch.setenv("DATAKIT_TRAINER", str(tmp_path / "env"))
    assert find_trainer() == other
    with pytest.raises(UserError, match="--python is nowhere"):
        find_trainer("nowhere")
    monkeypatch.delenv("DATAKIT_TRAINER")
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(UserError, match="not on the PATH"):
        find_trainer()


@pytest.mark.parametrize(
    ("log", "words"),
    [
        ("ValueError: Some keys are not used by the HfArgumentParser: ['x']", "0.9.5"),
        ("ModuleNotFoundError: No module named 'deepspeed'", "pip install deepspeed"),
        ("Image features and image tokens do not match, tokens: 0", "cutoff_len"),
        ("OSError: [Errno 28] No space left on device", "disk is full"),
        ("SafetensorError: Error while serializing: I/O error: (os error 28)", "disk is full"),
        ("RuntimeError: [enforce fail at inline_container.cc:672] . unexpected pos 64 vs 0", "disk is full"),
        ("RuntimeError: PytorchStreamWriter failed writing file data/0: file write failed", "disk is full"),
        ("OSError: [Errno 122] Disk quota exceeded", "disk is full"),
        ("RuntimeError: address already in use EADDRINUSE", "--master-port"),
        ("OSError: X is not a local folder and is not a valid model identifier", "train.model"),
        ("something else", ""),
    ],
)
def test_known_failures_have_a_remedy(log: str, words: str) -> None:
    assert words in explain(log)
    assert bool(explain(log)) == bool(words)


def _heeding_ctrl_c() -> None:
    """Tests that a shell started in the background ignore Ctrl-C, and what they start would too."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=["ctrl-c", "scheduler"])
def test_interrupting_ends_the_trainer_and_says_how_to_go_on(
    make_build: Make, trainer: Path, number: int
) -> None:
    build = make_build()
    environment = {**os.environ, "FAKE_TRAINER": "sleep"}
    command = [sys.executable, "-m", "datakit.cli", "train", str(build), "--cpu"]
    process = subprocess.Popen(
        command, env=environment, stderr=subprocess.PIPE, text=True, preexec_fn=_heeding_ctrl_c
    )
    trained_folder = RunFolder.of(build).trained
    until((trained_folder / "checkpoint-1" / "trainer_state.json").exists, process)
    children = psutil.Process(process.pid).children(recursive=True)
    assert children
    process.send_signal(number)
    _, errors = process.communicate(timeout=30)
    assert process.returncode == 128 + number
    assert "run the same command to go on" in errors
    assert not any(child.is_running() and child.status() != "zombie" for child in children)


def test_training_goes_on_from_a_checkpoint_though_its_keys_would_begin_anew(make_build: Make) -> None:
    run = RunFolder.of(make_build(overwrite_output_dir=True))
    assert "overwrite_output_dir=false" in train_call(run, Place(), only_shown=True).words
