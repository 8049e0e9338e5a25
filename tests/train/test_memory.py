"""The memory plan agrees with DeepSpeed's own estimators and with transformers' own counts.

tests/train/model_sizes.json was made by scripts/make_model_sizes.py with the real packages.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from datakit.core.errors import UserError
from datakit.train.memory import GIB, MODES, Batch, Trained, activations, batch_of, needs, states, trained_by
from datakit.train.models import size_of

REAL: dict[str, dict[str, Any]] = json.loads(Path(__file__).with_name("model_sizes.json").read_text())
SEVEN = "Qwen/Qwen2.5-VL-7B-Instruct"


@pytest.mark.parametrize("name", REAL)
def test_parameters_are_those_that_transformers_counts(name: str) -> None:
    size = size_of(name)
    found = (size.parameters, size.vision, size.projector, size.largest_layer)
    assert found == tuple(REAL[name][key] for key in ("parameters", "vision", "projector", "largest_layer"))


@pytest.mark.parametrize("name", REAL)
def test_states_of_full_training_are_those_of_deepspeeds_estimators(name: str) -> None:
    size = size_of(name)
    rows = REAL[name]["states"]
    assert len(rows) == 15
    for row in rows:
        whole = Trained(size.parameters, 0)
        found = states(row["mode"], whole, size.largest_layer, row["gpus"], row["nodes"])
        assert found == (row["gpu"], row["host"]), row


def test_7b_with_every_parameter_trained_needs_124_gib_of_optimizer_on_the_host() -> None:
    size = size_of(SEVEN)
    assert size.parameters == 8_292_166_656
    _, host = states("z3_offload_optimizer", Trained(size.parameters, 0), size.largest_layer, 4, 1)
    assert round(host / GIB) == 124


def test_known_full_training_of_7b_fits_four_24_gib_gpus() -> None:
    size = size_of(SEVEN)
    keys = {"finetuning_type": "full", "per_device_train_batch_size": 2}
    trained = trained_by(keys, size)
    assert trained.parameters + trained.frozen == size.parameters
    assert trained.parameters == size.language  # the vision tower and the projector are frozen by default
    by_mode = {n.mode: n for n in needs(size, trained, batch_of(keys, 1500, 752), gpus=4, nodes=1)}
    assert by_mode["z3_offload"].gpu < 24 * GIB
    assert by_mode["z2"].gpu > 24 * GIB


def test_lora_of_7b_fits_24_gib_and_full_training_does_not() -> None:
    size = size_of(SEVEN)
    rank = {"finetuning_type": "lora", "lora_rank": 16}
    lora = trained_by(rank, size)
    assert lora.parameters == 40_370_176  # peft's count for rank 16 on all linear modules of the 7B
    need = needs(size, lora, batch_of(rank, 2000, 752), gpus=1, nodes=1)[0]
    assert 16 * GIB < need.gpu < 24 * GIB
    full = needs(
        size, trained_by({"finetuning_type": "full"}, size), batch_of({}, 2000, 752), gpus=1, nodes=1
    )
    assert full[0].gpu > 100 * GIB


def test_quantised_base_needs_less_and_unfrozen_vision_more() -> None:
    size = size_of(SEVEN)
    plain = trained_by({"finetuning_type": "lora"}, size)
    quantised = trained_by({"finetuning_type": "lora", "quantization_bit": 4}, size)
    assert states("none", quantised, 0, 1, 1)[0] < states("none", plain, 0, 1, 1)[0] / 3
    seeing = trained_by({"finetuning_type": "full", "freeze_vision_tower": False}, size)
    assert seeing.parameters == size.language + size.vision
    assert seeing.through_vision


def test_freeze_trains_its_layers_alone() -> None:
    size = size_of(SEVEN)
    two = trained_by({"finetuning_type": "freeze", "freeze_trainable_layers": 2}, size)
    assert two.parameters == 2 * size.layer
    assert two.parameters + two.frozen == size.parameters


def test_activations_grow_with_rows_tokens_and_without_checkpointing_and_shrink_with_a_fused_loss() -> None:
    size = size_of(SEVEN)

    def of(**changes: Any) -> int:
        batch = Batch(**{"rows": 1, "tokens": 2000, "image_tokens": 752, **changes})
        return activations(size, batch, through_vision=False)

    assert of(rows=2) == 2 * of()
    assert of(tokens=4000) > of()
    assert of(checkpointing=False) > of()
    assert of(fused_loss=True) < of()


def test_more_gpus_never_need_more_on_each() -> None:
    size = size_of(SEVEN)
    whole = trained_by({"finetuning_type": "full"}, size)
    for mode in MODES:
        figures = [states(mode, whole, size.largest_layer, gpus, 1)[0] for gpus in (1, 2, 4, 8)]
        assert figures == sorted(figures, reverse=True), mode


def test_a_folder_is_read_from_its_config(tmp_path: Path) -> None:
    table = json.loads((Path(size_of.__code__.co_filename).with_name("models.json")).read_text())
    config = table[SEVEN]
    (tmp_path / "config.json").write_text(json.dumps(config))
    assert size_of(str(tmp_path)).parameters == 8_292_166_656
    flat = {**config, **config["text_config"]}  # as files from before transformers 4.52 have it
    del flat["text_config"]
    (tmp_path / "config.json").write_text(json.dumps(flat))
    assert size_of(str(tmp_path)).parameters == 8_292_166_656


def test_base_and_thinking_models_have_the_size_of_their_instruct_model() -> None:
    assert size_of("Qwen/Qwen3-VL-8B-Thinking").parameters == size_of("qwen3-vl-8b-instruct").parameters


@pytest.mark.parametrize(
    ("config", "words"),
    [(None, "has no config.json"), ({"model_type": "llava"}, "of the type `llava`")],
)
def test_a_folder_that_is_no_known_model_is_refused(tmp_path: Path, config: Any, words: str) -> None:
    if config is not None:
        (tmp_path / "config.json").write_text(json.dumps(config))
    with pytest.raises(UserError, match=words):
        size_of(str(tmp_path))


def test_a_misspelt_name_gets_a_hint() -> None:
    with pytest.raises(UserError, match=r"qwen2\.5-vl-7b"):
        size_of("Qwen/Qwen2.5-VL-7b-Instuct")


def test_an_unknown_mode_is_an_error() -> None:
    with pytest.raises(ValueError, match="z2_offload"):
        states("z9", Trained(1, 0), 1, 1, 1)
