"""The memory plan agrees with DeepSpeed's own estimators and with transformers' own counts.

tests/training/model_sizes.json was made by scripts/make_model_sizes.py with the real packages.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from datakit.core.qwen_models import qwen_model
from datakit.training.memory import (
    GIB,
    MODES,
    Batch,
    Trained,
    activations,
    batch_of,
    inputs,
    largest_layer,
    states,
    trained_by,
)

REAL: dict[str, dict[str, Any]] = json.loads(Path(__file__).with_name("model_sizes.json").read_text())
SEVEN = "Qwen/Qwen2.5-VL-7B-Instruct"


@pytest.mark.parametrize("name", REAL)
def test_parameters_are_those_that_transformers_counts(name: str) -> None:
    size = qwen_model(name)
    found = (size.parameters, size.parts.vision, size.parts.projector)
    assert found == tuple(REAL[name][key] for key in ("parameters", "vision", "projector"))
    largest = REAL[name]["largest_layer"]
    if size.family.endswith("_moe"):  # bounded by the whole layer: the router and attention come with it
        assert largest <= largest_layer(size) <= 1.04 * largest
    else:
        assert largest_layer(size) == largest


@pytest.mark.parametrize("name", REAL)
def test_states_of_full_training_are_those_of_deepspeeds_estimators(name: str) -> None:
    size = qwen_model(name)
    rows = REAL[name]["states"]
    assert len(rows) == 15
    for row in rows:
        whole = Trained(size.parameters, 0)
        found = states(row["mode"], whole, REAL[name]["largest_layer"], row["gpus"], row["nodes"])
        assert found == (row["gpu"], row["host"]), row


def test_7b_with_every_parameter_trained_needs_124_gib_of_optimizer_on_the_host() -> None:
    size = qwen_model(SEVEN)
    assert size.parameters == 8_292_166_656
    _, host = states("z3_offload_optimizer", Trained(size.parameters, 0), largest_layer(size), 4, 1)
    assert round(host / GIB) == 124


def test_known_full_training_of_7b_fits_four_24_gib_gpus() -> None:
    size = qwen_model(SEVEN)
    keys = {"finetuning_type": "full", "per_device_train_batch_size": 2}
    trained = trained_by(keys, size)
    assert trained.parameters + trained.frozen == size.parameters
    assert (
        trained.parameters == size.parts.embedding + size.parts.layers
    )  # the vision tower and the projector are frozen by default
    by_mode = {n.mode: n for n in inputs(size, trained, batch_of(keys, 1500, 752), gpus=4, nodes=1)}
    assert by_mode["z3_offload"].gpu < 24 * GIB
    assert by_mode["z2"].gpu > 24 * GIB


def test_lora_of_7b_fits_24_gib_and_full_training_does_not() -> None:
    size = qwen_model(SEVEN)
    rank = {"finetuning_type": "lora", "lora_rank": 16}
    lora = trained_by(rank, size)
    assert lora.parameters == 40_370_176  # peft's count for rank 16 on all linear modules of the 7B
    need = inputs(size, lora, batch_of(rank, 1500, 400), gpus=1, nodes=1)[0]
    assert 16 * GIB < need.gpu < 24 * GIB
    full = inputs(
        size, trained_by({"finetuning_type": "full"}, size), batch_of({}, 2000, 752), gpus=1, nodes=1
    )
    assert full[0].gpu > 100 * GIB


def test_quantised_base_needs_less_and_unfrozen_vision_more() -> None:
    size = qwen_model(SEVEN)
    plain = trained_by({"finetuning_type": "lora"}, size)
    quantised = trained_by({"finetuning_type": "lora", "quantization_bit": 4}, size)
    assert states("none", quantised, 0, 1, 1)[0] < states("none", plain, 0, 1, 1)[0] / 3
    seeing = trained_by({"finetuning_type": "full", "freeze_vision_tower": False}, size)
    assert seeing.parameters == size.parts.embedding + size.parts.layers + size.parts.vision
    assert seeing.through_vision


def test_freeze_trains_its_layers_alone() -> None:
    size = qwen_model(SEVEN)
    two = trained_by({"finetuning_type": "freeze", "freeze_trainable_layers": 2}, size)
    assert two.parameters == 2 * size.parts.layer
    assert two.parameters + two.frozen == size.parameters


def test_activations_grow_with_rows_tokens_and_without_checkpointing_and_shrink_with_a_fused_loss() -> None:
    size = qwen_model(SEVEN)

    def of(**changes: Any) -> int:
        batch = Batch(**{"rows": 1, "tokens": 2000, "image_tokens": 752, **changes})
        return activations(size, batch, Trained(0, size.parameters))

    assert of(rows=2) == 2 * of()
    assert of(tokens=4000) > of()
    assert of(checkpointing=False) > of()
    assert of(fused_loss=True) < of()


def test_lora_keeps_what_every_block_of_a_frozen_vision_tower_saw_and_full_training_does_not() -> None:
    size = qwen_model(SEVEN)

    def of(images: int, **keys: Any) -> int:
        own = {"per_device_train_batch_size": 1, **keys}
        return inputs(size, trained_by(own, size), batch_of(own, 2000, images), gpus=1, nodes=1)[0].gpu

    block = 4 * (20 * size.vision_hidden + 6 * size.vision_intermediate)
    lora, full = {"finetuning_type": "lora"}, {"finetuning_type": "full"}
    assert of(800, **lora) - of(400, **lora) == 400 * size.vision_depth * block
    assert of(800, **full) == of(400, **full)  # the loss is larger than one block
    seeing = {**full, "freeze_vision_tower": False}  # it is recomputed: each block keeps its input alone
    assert of(800, **seeing) - of(400, **seeing) == 400 * 4 * 2 * size.vision_hidden * size.vision_depth


def test_more_gpus_never_need_more_on_each() -> None:
    size = qwen_model(SEVEN)
    whole = trained_by({"finetuning_type": "full"}, size)
    for mode in MODES:
        figures = [states(mode, whole, largest_layer(size), gpus, 1)[0] for gpus in (1, 2, 4, 8)]
        assert figures == sorted(figures, reverse=True), mode


def test_an_unknown_mode_is_an_error() -> None:
    with pytest.raises(ValueError, match="z2_offload"):
        states("z9", Trained(1, 0), 1, 1, 1)
