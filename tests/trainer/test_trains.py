"""`llamafactory-cli train` finishes with the train.yaml that a build emits, on a CPU in half a minute."""

from __future__ import annotations

import json
import math
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

pytestmark = pytest.mark.trainer

Make = Callable[..., Any]
SMALL = (
    "emit.llamafactory.images=resize",
    "emit.llamafactory.image_max_pixels=12544",
    "train.max_steps=2",
    "train.gradient_accumulation_steps=1",
    "train.per_device_train_batch_size=1",
    "train.eval_steps=2",
    "train.save_steps=2",
    "train.logging_steps=1",
    "train.bf16=false",
    "train.preprocessing_num_workers=1",
    "train.dataloader_num_workers=0",
)


def train(folder: Path) -> subprocess.CompletedProcess[str]:
    """Runs the command that stands in the head of train.yaml, without a GPU and without a network."""
    command = [str(Path(sys.executable).with_name("llamafactory-cli")), "train", "train.yaml"]
    offline = {"HF_HUB_OFFLINE": "1", "CUDA_VISIBLE_DEVICES": "", "OMP_NUM_THREADS": "1"}
    return subprocess.run(
        command, cwd=folder, capture_output=True, text=True, check=False, env={**os.environ, **offline}
    )


@pytest.mark.parametrize("recipe", ["ecom_v3", "medical"])
def test_two_steps_of_lora_leave_an_adapter_and_finite_losses(
    shipped_build: Make, tiny_model: Make, recipe: str
) -> None:
    folder = shipped_build(recipe, f"train.model={tiny_model('qwen2_5_vl')}", *SMALL)
    done = train(folder)
    assert done.returncode == 0, done.stderr[-4000:]
    output = folder / yaml.safe_load((folder / "train.yaml").read_text("utf-8"))["output_dir"]
    assert (output / "adapter_model.safetensors").stat().st_size > 10_000
    log = [json.loads(line) for line in (output / "trainer_log.jsonl").read_text("utf-8").splitlines()]
    losses = [line["loss"] for line in log if "loss" in line]
    assert len(losses) == 2
    assert all(0 < loss < 20 and math.isfinite(loss) for loss in losses)
    assert [line["eval_loss"] for line in log if "eval_loss" in line]
