"""The `train:` section beyond presets: nodes, own DeepSpeed files, folders, keys that exclude each other."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import orjson
import pytest
import yaml
from pydantic import ValidationError

from datakit.artifacts.build_draft import BuildDraft
from datakit.artifacts.manifest import Manifest
from datakit.core.errors import UserError
from datakit.core.parameters import validated
from datakit.training.config import TrainSettings, write_training

MODEL = "Qwen/Qwen2.5-VL-7B-Instruct"
Written = Callable[..., dict[str, Any]]


@pytest.fixture
def written(tmp_path: Path) -> Written:
    """Writes the training of a build of 900 rows; its keys."""
    build = tmp_path / "build"
    build.mkdir()
    files = {
        f"it_{part}": {
            "file": f"it_{part}.json",
            "part": part,
            "pictures": True,
            "records": rows,
            "rows": rows,
        }
        for part, rows in (("train", 900), ("val", 50))
    }
    (build / "emitted.json").write_bytes(orjson.dumps({"files": files, "image_max_pixels": None}))
    manifest = Manifest(datakit="0.1.0", name="it", settings="", content="c0ffee")
    BuildDraft(build).write_manifest(manifest)

    def write(**section: Any) -> dict[str, Any]:
        settings = validated(TrainSettings, {"model": MODEL, **section})
        write_training(BuildDraft(build), "it", settings, tmp_path)
        found: dict[str, Any] = yaml.safe_load((build / "train.yaml").read_text("utf-8"))
        return found

    return write


@pytest.mark.parametrize(
    "section",
    [
        {
            "method": "lora",
            "lora_rank": 64,
            "lora_target": "q_proj,v_proj",
            "use_dora": True,
            "use_rslora": True,
        },
        {"method": "lora", "loraplus_lr_ratio": 16.0, "additional_target": "embed_tokens"},
        {"method": "lora", "quantization_bit": 4, "quantization_method": "bnb"},
        {"method": "freeze", "freeze_trainable_layers": 4, "freeze_extra_modules": "embed_tokens"},
        {"method": "full", "freeze_vision_tower": False, "freeze_multi_modal_projector": False},
        {"method": "full", "freeze_language_model": True, "freeze_vision_tower": False},
        {"flash_attn": "fa2", "enable_liger_kernel": True},
        {"neat_packing": True, "gradient_checkpointing": True, "optim": "adamw_8bit"},
    ],
    ids=lambda section: ",".join(list(section)[-2:]),
)
def test_the_trainers_own_keys_pass_through(written: Written, section: dict[str, Any]) -> None:
    keys = written(**section)
    assert {key: keys[key] for key in section if key != "method"} == {
        key: value for key, value in section.items() if key != "method"
    }
    assert keys["finetuning_type"] == section.get("method", "lora")


@pytest.mark.parametrize(
    ("section", "words"),
    [
        ({"deepspeed": "z3", "predict_with_generate": True}, "does not work with ZeRO-3"),
        ({"deepspeed": "z3_offload", "pure_bf16": True}, "use `bf16`"),
        ({"deepspeed": "z3", "method": "lora", "quantization_bit": 4}, "cannot be shared out by ZeRO-3"),
        ({"method": "full", "quantization_bit": 4}, "trains adapters only"),
        ({"bf16": True, "fp16": True}, "exclude each other"),
        ({"do_predict": True}, "needs `predict_with_generate: true`"),
        ({"streaming": True}, "`streaming` needs `max_steps`"),
        ({"flash_attn": "flash2"}, "must be one of auto, disabled, sdpa, fa2, fa3"),
        ({"gpus": 3, "nodes": 2}, "cannot stand evenly"),
    ],
)
def test_what_the_trainer_would_refuse_is_refused_here(section: dict[str, Any], words: str) -> None:
    with pytest.raises(ValidationError, match=words):
        validated(TrainSettings, {"model": MODEL, **section})


def test_warm_up_is_a_whole_number_of_steps_that_the_run_has(written: Written) -> None:
    keys = written(per_device_train_batch_size=2, gradient_accumulation_steps=8, num_train_epochs=1.0)
    assert keys["warmup_steps"] == 6  # a tenth of ceil(900 / 16) = 57 steps
    assert isinstance(keys["warmup_steps"], int)
    assert "warmup_ratio" not in keys
    assert written(warmup_steps=20)["warmup_steps"] == 20
    with pytest.raises(UserError, match=r"warm-up of 500 steps never ends: the training has \d+ steps"):
        written(warmup_steps=500)


def test_saving_at_some_evaluations_alone_is_a_warning(written: Written, tmp_path: Path) -> None:
    """LLaMA-Factory takes 300 and 100; tests/trainer shows it."""
    text = tmp_path / "build" / "train.yaml"
    assert written(eval_steps=10)["save_steps"] == 10
    assert "Warning" not in text.read_text()
    keys = written(eval_steps=10, save_steps=30)
    assert (keys["eval_steps"], keys["save_steps"], keys["load_best_model_at_end"]) == (10, 30, True)
    assert (
        "# Warning: evaluated every 10 steps, saved every 30: the best one may be lost." in text.read_text()
    )
    keys = written(eval_steps=20, save_steps=30)
    assert (keys["save_steps"], keys["load_best_model_at_end"]) == (30, False)  # true would be refused
    assert "the best one is not kept" in text.read_text()


def test_more_gpus_make_fewer_steps_and_nodes_share_them(written: Written, tmp_path: Path) -> None:
    written(gpus=16, nodes=2, deepspeed="z3", per_device_train_batch_size=1, gradient_accumulation_steps=1)
    text = (tmp_path / "build" / "train.yaml").read_text()
    assert "NNODES=2 NODE_RANK=0 MASTER_ADDR=host0 NPROC_PER_NODE=8" in text
    assert "900 rows, 171 steps on 16 GPUs" in text  # 3 epochs of ceil(900 / 16) = 57


def test_own_deepspeed_file_is_copied_into_the_build(written: Written, tmp_path: Path) -> None:
    (tmp_path / "mine.json").write_text('{"zero_optimization": {"stage": 2}}')
    keys = written(deepspeed="mine.json")
    copied = json.loads((tmp_path / "build" / keys["deepspeed"]).read_text())
    assert copied == {"zero_optimization": {"stage": 2}}
    (tmp_path / "mine.json").write_text("{")
    with pytest.raises(UserError, match=r"mine\.json, which cannot be read"):
        written(deepspeed="mine.json")
    with pytest.raises(UserError, match=r"other\.json, which cannot be read"):
        written(deepspeed="other.json")


def test_optimizer_alone_may_be_kept_in_host_memory(written: Written, tmp_path: Path) -> None:
    keys = written(deepspeed="z3_offload_optimizer")
    zero = json.loads((tmp_path / "build" / keys["deepspeed"]).read_text())["zero_optimization"]
    assert ("offload_optimizer" in zero, "offload_param" in zero) == (True, False)


def test_model_folder_is_found_from_the_recipe_and_named_absolutely(written: Written, tmp_path: Path) -> None:
    folder = tmp_path / "models" / "mine"
    folder.mkdir(parents=True)
    (folder / "config.json").write_text('{"model_type": "qwen3_vl"}')
    keys = written(model="./models/mine")
    assert (keys["model_name_or_path"], keys["template"]) == (str(folder), "qwen3_vl_nothink")
    with pytest.raises(UserError, match="there is no model folder"):
        written(model="./models/other")


def test_export_merges_an_adapter_and_halves_a_whole_model(written: Written, tmp_path: Path) -> None:
    keys = written(method="lora")
    found = yaml.safe_load((tmp_path / "build" / "export.yaml").read_text())
    assert (found["model_name_or_path"], found["adapter_name_or_path"]) == (MODEL, keys["output_dir"])
    assert found["infer_dtype"] == "bfloat16"
    assert "quantization_bit" not in found  # merging into rounded weights would damage them
    keys = written(method="full")
    found = yaml.safe_load((tmp_path / "build" / "export.yaml").read_text())
    assert found["model_name_or_path"] == keys["output_dir"]
    assert "adapter_name_or_path" not in found
