"""What the real trainer leaves behind on a full disk, or with half a checkpoint, and what is told of it."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from datakit.training.launch import Place, Trained, train
from datakit.training.logged_call import TrainerFailed
from datakit.training.machine_check import check_machine
from datakit.training.run_folder import RunFolder, checkpoints
from tests.support.small_disk import needs_root, small_disk

pytestmark = pytest.mark.trainer

Make = Callable[..., Any]
CPU = Place(python=sys.executable, cpu=True)
SHORT = (
    "train.max_steps=6",
    "train.save_total_limit=3",
    "train.eval_steps=6",
    "train.load_best_model_at_end=false",
)


def trained(run: RunFolder) -> tuple[Trained, str]:
    """What a training comes to, and all that it says."""
    lines: list[str] = []
    return train(run, CPU, lines.append, check_machine=check_machine), "\n".join(lines)


@needs_root
@pytest.mark.fault(
    "the disk is full while the trainer writes a checkpoint",
    "told as such, though the log on the same disk lacks its end; the next start goes on from a whole one",
    kind="processes",
)
def test_disk_full_at_a_checkpoint_is_named_and_the_next_start_goes_on(small_build: Make) -> None:
    run = small_build(*SHORT, "train.seed=2")
    with small_disk(run.folder, "20m") as resize:  # one checkpoint takes 12 MB, most of it the tokenizer
        with pytest.raises(TrainerFailed, match="The disk is full, usually at a checkpoint: remove old runs"):
            trained(run)
        assert [path.name for path in checkpoints(run.trained)[0]] == ["checkpoint-2"]
        resize("200m")
        done, text = trained(run)
        assert "checkpoint-4 was only half-written: set aside as " in text
        assert (done.resumed_from, done.steps) == ("checkpoint-2", 6)


@pytest.mark.fault(
    "checkpoints of the real trainer are cut short: weights, optimizer states",
    "set aside by their names; the training goes on from the last whole one",
    kind="processes",
)
def test_checkpoints_cut_short_are_set_aside_and_training_goes_on_from_a_whole_one(small_build: Make) -> None:
    run = small_build(*SHORT, "train.seed=3")
    trained(run)
    for name in ("adapter_model.safetensors", "train_results.json"):  # as if it had died before its end
        (run.trained / name).unlink()
    halve(run.trained / "checkpoint-6" / "adapter_model.safetensors")
    halve(run.trained / "checkpoint-4" / "optimizer.pt")
    done, text = trained(run)
    assert "checkpoint-6 was only half-written: set aside as " in text
    assert "checkpoint-4 was only half-written: set aside as " in text
    assert (done.resumed_from, done.steps) == ("checkpoint-2", 6)


def halve(file: Path) -> None:
    """Cuts the file as a crash of the machine does that came before its end was on the disk."""
    os.truncate(file, file.stat().st_size // 2)
