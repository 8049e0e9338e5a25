"""What a machine must have for a build, reckoned from its data and settings."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from datakit.artifacts.build_folder import BuildFolder
from datakit.artifacts.needs import Needs
from datakit.bundling.needs import checkpoint_bytes, needs_of
from datakit.core.qwen_models import qwen_model
from datakit.training.memory import Trained, trained_by
from datakit.training.run_folder import RunFolder

Make = Callable[..., Path]
SEVEN = qwen_model("Qwen/Qwen2.5-VL-7B-Instruct")


def rewritten(build: Path, **keys: Any) -> RunFolder:
    """The build with other keys in its train.yaml."""
    path = build / "train.yaml"
    path.write_text(yaml.safe_dump({**yaml.safe_load(path.read_text()), **keys}))
    return RunFolder.of(build)


def test_figures_of_a_7b_lora_are_those_of_the_memory_plan(make_build: Make) -> None:
    run = rewritten(make_build(), model_name_or_path=SEVEN.name)
    needs = needs_of(run)
    assert (needs.base, needs.family, needs.parameters) == (SEVEN.name, "qwen2_5_vl", 8_292_166_656)
    assert needs.base_bytes == needs.served_bytes == 2 * SEVEN.parameters
    adapters = trained_by(run.keys, SEVEN).parameters
    assert needs.checkpoint_bytes == 12 * adapters
    assert needs.trained_bytes == 4 * adapters
    assert needs.run_bytes == 3 * 12 * adapters + 4 * adapters + 2 * SEVEN.parameters
    assert 2 * SEVEN.parameters < needs.gpu_bytes < 40 << 30
    assert needs.rows == BuildFolder(run.build.path).emitted.rows("train")  # type: ignore[union-attr]
    assert needs.steps >= 1
    assert (needs.questions, needs.question_tokens > 100) == (1, True)


def test_full_training_saves_weights_and_states_of_every_parameter() -> None:
    trained = Trained(7_000, 1_000)
    full = {"finetuning_type": "full"}
    # without DeepSpeed: float32 weights, frozen ones in half precision, two moments
    assert checkpoint_bytes(full, trained, "none") == (4 * 7_000 + 2 * 1_000 + 8 * 7_000, 30_000)
    # ZeRO-3: half-precision weights, and float32 weights and moments in the states
    assert checkpoint_bytes(full, trained, "z3_offload") == (2 * 8_000 + 12 * 7_000, 16_000)
    # ZeRO-2 keeps half-precision weights in its states too
    assert checkpoint_bytes(full, trained, "z2") == (2 * 8_000 + 12 * 7_000 + 2 * 8_000, 16_000)
    assert checkpoint_bytes({**full, "save_only_model": True}, trained, "z2") == (16_000, 16_000)


@pytest.mark.parametrize(
    ("keys", "most"),
    [
        ({"save_strategy": "no"}, 0),
        ({"save_strategy": "steps", "save_steps": 1, "save_total_limit": 2, "max_steps": 20}, 3),
        ({"save_strategy": "steps", "save_steps": 10, "save_total_limit": 5, "max_steps": 20}, 2),
        ({"save_strategy": "steps", "save_steps": 1, "save_total_limit": None, "max_steps": 20}, 20),
        ({"save_strategy": "steps", "save_steps": 0.25, "save_total_limit": None, "max_steps": 20}, 4),
        ({"save_strategy": "epoch", "save_total_limit": 1, "load_best_model_at_end": True}, 3),
        ({"save_strategy": "epoch", "save_total_limit": 1, "load_best_model_at_end": False}, 2),
    ],
)
def test_checkpoints_that_stand_at_once_follow_the_trainers_rule(
    make_build: Make, keys: dict[str, Any], most: int
) -> None:
    assert needs_of(rewritten(make_build(), **keys)).checkpoints == most


def test_another_family_leaves_its_figures_open(make_build: Make) -> None:
    needs = needs_of(rewritten(make_build(), model_name_or_path="org/unheard-of"))
    assert (needs.parameters, needs.gpu_bytes, needs.run_bytes, needs.tokens) == (0, 0, 0, 0)
    assert needs.rows > 0


def test_tokens_of_the_training_are_those_that_the_check_counted(make_build: Make) -> None:
    run = rewritten(make_build(), model_name_or_path=SEVEN.name, num_train_epochs=2.0)
    check = run.build.check
    assert check is not None
    counted = sum(entry["text_tokens"] + entry["image_tokens"] for entry in check.data_sets[:1])
    assert needs_of(run).tokens == pytest.approx(2 * counted, rel=0.01)
    (run.build.path / "check.json").unlink()
    unchecked = needs_of(RunFolder.of(run.build.path)).tokens  # each row as the longest one
    assert 2 * counted <= unchecked <= 6 * counted


def test_figures_of_a_later_version_are_left_out() -> None:
    assert Needs.of({"gpus": 3, "cooling": "water"}) == Needs(gpus=3)
    assert Needs.of(None) == Needs()
