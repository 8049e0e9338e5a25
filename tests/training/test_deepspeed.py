"""DeepSpeed configurations: the trainer's own values are left to it, and stages do what their names say."""

from __future__ import annotations

import json

import pytest

from datakit.training.deepspeed import NAMES, configuration


@pytest.mark.parametrize("name", NAMES)
def test_what_the_trainer_knows_better_is_left_to_it(name: str) -> None:
    found = json.loads(json.dumps(configuration(name)))
    for key in (
        "train_batch_size",
        "train_micro_batch_size_per_gpu",
        "gradient_accumulation_steps",
        "gradient_clipping",
    ):
        assert found[key] == "auto"
    assert found["fp16"]["enabled"] == found["bf16"]["enabled"] == "auto"
    assert found["zero_optimization"]["stage"] == int(name[1])


@pytest.mark.parametrize("name", NAMES)
def test_only_offloading_stages_use_host_memory(name: str) -> None:
    zero = configuration(name)["zero_optimization"]
    in_host = {key for key, value in zero.items() if isinstance(value, dict) and value["device"] == "cpu"}
    assert in_host == {
        "z2_offload": {"offload_optimizer"},
        "z3_offload_optimizer": {"offload_optimizer"},
        "z3_offload": {"offload_optimizer", "offload_param"},
    }.get(name, set())


@pytest.mark.parametrize("name", [name for name in NAMES if name.startswith("z3")])
def test_stage_3_saves_a_whole_model(name: str) -> None:
    assert configuration(name)["zero_optimization"]["stage3_gather_16bit_weights_on_model_save"] is True


def test_configurations_share_nothing() -> None:
    configuration("z3_offload")["zero_optimization"]["offload_param"]["device"] = "nvme"
    assert configuration("z3_offload")["zero_optimization"]["offload_param"]["device"] == "cpu"
