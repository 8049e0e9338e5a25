"""Numbers of the right type that no training comes of are refused with words, in recipes and by the check."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from datakit.core.parameters import validated
from datakit.training.bounds import BOUNDS, out_of_bounds
from datakit.training.config import TrainSettings, presets
from datakit.training.keys import checked_value, known_keys

MODEL = "Qwen/Qwen2.5-VL-7B-Instruct"


@pytest.mark.parametrize(
    ("key", "value", "words"),
    [
        ("num_train_epochs", 1e300, "at most 10,000"),
        ("num_train_epochs", "1e300", "at most 10,000"),
        ("num_train_epochs", 0, "above 0"),
        ("per_device_train_batch_size", 0, "at least 1"),
        ("gradient_accumulation_steps", -4, "at least 1"),
        ("learning_rate", -1e-4, "above 0"),
        ("learning_rate", 0.0, "above 0"),
        ("learning_rate", None, "is null"),
        ("per_device_train_batch_size", None, "is null"),
        ("cutoff_len", 10**9, "at most 4,194,304"),
        ("cutoff_len", 0, "at least 16"),
        ("warmup_ratio", 1.5, "at most 1"),
        ("lora_dropout", -0.1, "at least 0"),
        ("lora_rank", 0, "at least 1"),
        ("eval_steps", 0, "above 0"),
        ("logging_steps", -1, "above 0"),
        ("preprocessing_num_workers", 10**6, "at most 4,096"),
        ("seed", -1, "at least 0"),
        ("neftune_noise_alpha", 1e300, "at most 1e+15"),
        ("audio_sampling_rate", -1e300, "at least -1e+15"),
        ("quantization_bit", 64, "at most 8"),
        ("dataset", {"a": "b"}, "must be a text"),
        ("lora_target", ["q_proj", {"a": 1}], "a list of names"),
        ("lora_target", [], "is empty"),
        ("run_name", ["a"], "must be a text"),
        ("report_to", {"a": "b"}, "a text, a number or a list"),
        ("lr_scheduler_type", "cosin", "Did you mean `cosine`"),
        ("save_strategy", "step", "one of no, steps, epoch, best"),
        ("optim", "adamw_troch", "Did you mean `adamw_torch`"),
    ],
)
def test_value_that_means_nothing_is_refused_with_its_bound(key: str, value: Any, words: str) -> None:
    with pytest.raises(ValueError, match=f"`{key}`") as error:
        checked_value(key, value)
    assert words in str(error.value)


@pytest.mark.parametrize(
    ("key", "value", "taken"),
    [
        ("max_steps", -1, -1),
        ("ddp_timeout", 180_000_000, 180_000_000),
        ("lora_target", ["q_proj", "v_proj"], "q_proj,v_proj"),
        ("eval_strategy", False, "no"),  # how YAML reads a bare `no`
        ("save_steps", 0.1, 0.1),
        ("eval_steps", None, None),
        ("lr_scheduler_kwargs", {"num_cycles": 2}, {"num_cycles": 2}),
        ("cutoff_len", 131_072, 131_072),
        ("save_total_limit", 0, 0),
    ],
)
def test_unusual_values_that_the_trainer_takes_pass(key: str, value: Any, taken: Any) -> None:
    assert checked_value(key, value) == taken


def test_bounds_are_of_numbers_that_the_trainer_has_and_hold_every_presets_figures() -> None:
    assert {known_keys()[key] for key in BOUNDS} == {"int", "float"}
    for preset in presets():
        keys = validated(TrainSettings, {"model": MODEL, "preset": preset}).keys
        assert [words for key, value in keys.items() if (words := out_of_bounds(key, value))] == []


@pytest.mark.parametrize("key", ["gpus", "nodes", "evaluations", "image_max_pixels"])
def test_datakits_own_numbers_have_bounds_too(key: str) -> None:
    with pytest.raises(ValidationError, match="less than or equal to"):
        validated(TrainSettings, {"model": MODEL, key: 10**18})


def test_all_faults_of_a_section_come_at_once() -> None:
    section = {
        "gpus": "four",
        "preset": "ecomm",
        "deepspeed": "z9",
        "batch_size": 4,
        "learning_rate": -1,
        "dataset": "x",
        "fp16": True,
        "method": "full",
        "quantization_bit": 4,
    }
    with pytest.raises(ValidationError) as error:
        validated(TrainSettings, section)
    places = {fault["loc"][0] for fault in error.value.errors()}
    assert places == {*section, "model"} - {"method"}
