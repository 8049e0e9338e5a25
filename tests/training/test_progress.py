"""The figures of a training, as LLaMA-Factory writes them down."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from datakit.training.progress import LOG, TrainingProgress, read_progress


def write(folder: Path, *entries: dict[str, Any] | str) -> TrainingProgress:
    lines = (entry if isinstance(entry, str) else json.dumps(entry) for entry in entries)
    (folder / LOG).write_text("\n".join(lines))
    return read_progress(folder)


def test_losses_of_different_lines_stand_together(tmp_path: Path) -> None:
    progress = write(
        tmp_path,
        {"current_steps": 800, "total_steps": 4000, "loss": 0.25, "remaining_time": "1:02:05"},
        {"current_steps": 812, "total_steps": 4000, "eval_loss": 0.5, "remaining_time": "1 day, 0:00:01"},
    )
    assert progress == TrainingProgress(812, 4000, 0.25, 0.5, 86_401.0)
    assert (progress.steps, progress.losses) == ("step 812 of 4,000", "loss 0.2500, eval_loss 0.5000")


def test_nothing_is_said_before_the_first_step(tmp_path: Path) -> None:
    assert read_progress(tmp_path) == TrainingProgress()
    assert (TrainingProgress().steps, TrainingProgress().losses) == ("", "")


@pytest.mark.parametrize(
    "line", ['{"current_steps": 9', "[]", '{"current_steps": "9", "loss": null}', "\x00"]
)
def test_lines_that_are_no_account_change_nothing(tmp_path: Path, line: str) -> None:
    assert write(tmp_path, {"current_steps": 8}, line)[:4] == (8, None, None, None)


def test_long_log_is_read_by_its_end(tmp_path: Path) -> None:
    entries = [{"current_steps": step, "loss": 1.0, "text": "x" * 200} for step in range(1000)]
    assert write(tmp_path, *entries).step == 999
