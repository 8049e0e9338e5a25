"""train.yaml: it names the files of the build, its steps fire, and what cannot work is refused."""

from __future__ import annotations

import math
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
from datakit.training.config import TrainSettings, presets, template_of, write_training
from datakit.training.keys import OWNED

MODEL = "Qwen/Qwen2.5-VL-7B-Instruct"


def emitted(folder: Path, pixels: int | None = None, **rows: int) -> Path:
    """A build folder with what emit.llamafactory tells of its files: part or part_text -> rows."""
    folder.mkdir(exist_ok=True)
    files = {
        f"it_{name}": {
            "file": f"it_{name}.json",
            "part": name.removesuffix("_text"),
            "pictures": not name.endswith("_text") and name != "general",
            "records": count,
            "rows": count,
        }
        for name, count in rows.items()
    }
    (folder / "emitted.json").write_bytes(orjson.dumps({"files": files, "image_max_pixels": pixels}))
    manifest = Manifest(datakit="0.1.0", name="it", settings="", content="c0ffee")
    BuildDraft(folder).write_manifest(manifest)
    return folder


def written(folder: Path, **section: Any) -> dict[str, Any]:
    write_training(BuildDraft(folder), "it", validated(TrainSettings, {"model": MODEL, **section}))
    found: dict[str, Any] = yaml.safe_load((folder / "train.yaml").read_text("utf-8"))
    return found


def test_the_builds_own_files_are_named_sets_with_pictures_first(tmp_path: Path) -> None:
    folder = emitted(tmp_path, train_text=5, train=90, general=20, val=10)
    keys = written(folder)
    assert keys["dataset"].split(",")[0] == "it_train"
    assert set(keys["dataset"].split(",")) == {"it_train", "it_train_text", "it_general"}
    assert keys["eval_dataset"] == "it_val"
    assert (keys["dataset_dir"], keys["media_dir"]) == (".", ".")
    assert "val_size" not in keys
    assert keys["template"] == "qwen2_vl"


def test_without_validation_records_nothing_is_evaluated_and_the_file_says_so(tmp_path: Path) -> None:
    keys = written(emitted(tmp_path, train=90))
    assert not {"eval_dataset", "eval_strategy", "load_best_model_at_end"} & keys.keys()
    assert "# Warning: there are no validation records" in (tmp_path / "train.yaml").read_text("utf-8")


@pytest.mark.parametrize("rows", [1, 7, 57, 900, 100_000])
@pytest.mark.parametrize("gpus", [1, 4])
def test_evaluation_and_saving_happen_together_and_within_the_run(
    rows: int, gpus: int, tmp_path: Path
) -> None:
    keys = written(emitted(tmp_path, train=rows, val=5), gpus=gpus)
    batch = keys["per_device_train_batch_size"] * gpus
    steps = math.ceil(3 * math.ceil(math.ceil(rows / batch) / keys["gradient_accumulation_steps"]))
    assert keys["eval_steps"] == keys["save_steps"] <= steps
    assert 1 <= keys["logging_steps"] <= steps
    assert 0 <= keys["warmup_steps"] <= steps
    assert "warmup_ratio" not in keys


def test_steps_that_never_happen_are_refused_with_the_number_that_there_are(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"every 100 steps never happen: the training has \d+ steps"):
        written(emitted(tmp_path, train=90, val=9), eval_steps=100)


def test_pixels_are_those_that_the_pictures_were_resized_to(tmp_path: Path) -> None:
    assert written(emitted(tmp_path, train=9))["image_max_pixels"] == 589_824
    assert written(emitted(tmp_path, pixels=200_000, train=9))["image_max_pixels"] == 200_000
    assert written(tmp_path, image_max_pixels=100_000)["image_max_pixels"] == 100_000
    with pytest.raises(UserError, match="leaves only 200,000"):
        written(tmp_path, image_max_pixels=300_000)


def test_another_content_or_setting_trains_in_another_folder(tmp_path: Path) -> None:
    first = written(emitted(tmp_path, train=9))["output_dir"]
    assert written(tmp_path)["output_dir"] == first
    assert written(tmp_path, learning_rate=3e-5)["output_dir"] != first
    draft = BuildDraft(tmp_path)
    draft.write_manifest(draft.manifest.model_copy(update={"content": "other"}))
    assert written(tmp_path)["output_dir"] != first


def test_a_build_without_the_trainers_files_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"emitted\.json is missing.*\n.*llamafactory"):
        written(tmp_path)


@pytest.mark.parametrize(
    ("section", "words"),
    [
        *(({key: 1}, f"`{key}` cannot be set here") for key in OWNED),
        ({"learning_rat": 1}, "Did you mean `learning_rate`"),
        ({"learning_rate": "fast"}, "must be a number"),
        ({"num_train_epochs": True}, "must be a number"),
        ({"bf16": 1}, "must be true or false"),
        ({"lora_rank": 1.5}, "must be a whole number"),
        ({"preset": "ecomm"}, "Did you mean `ecom`"),
        ({"deepspeed": "z9"}, "is none of z0"),
        ({"model": "someone/odd-model"}, "cannot be told from its name"),
        ({"gpus": 0}, "gpus"),
        ({"fp16": True, "bf16": True}, "exclude each other"),
    ],
)
def test_a_section_that_cannot_work_is_refused(section: dict[str, Any], words: str) -> None:
    with pytest.raises(ValidationError) as error:
        validated(TrainSettings, {"model": MODEL, **section})
    assert words in str(error.value)


DERIVED = [
    ("stage", "dpo", "learns from preferences"),
    ("stage", "kto", "learns from preferences"),
    ("stage", "rm", "learns from preferences"),
    ("stage", "ppo", "learns from preferences"),
    ("ddp_timeout", 1, "it is derived from the rows"),
    ("ddp_timeout", "30", "it is derived from the rows"),
    ("resume_from_checkpoint", "saves/checkpoint-10", "goes on from the last whole checkpoint by itself"),
    ("resume_from_checkpoint", "true", "goes on from the last whole checkpoint by itself"),
    ("tokenized_path", "cache/rows", "later builds are trained on those"),
    ("do_train", False, "trains nothing"),
    ("local_rank", 0, "give `gpus` and `nodes`"),
]


@pytest.mark.parametrize(("key", "value", "words"), DERIVED)
def test_value_that_is_known_not_to_work_is_told_beside_all_other_faults(
    key: str, value: object, words: str
) -> None:
    others = {"learning_rat": 1, "bf16": 1, "preset": "ecomm", "gpus": 0}
    with pytest.raises(ValidationError) as error:
        validated(TrainSettings, {"model": MODEL, key: value})
    assert words in str(error.value)
    with pytest.raises(ValidationError) as error:
        validated(TrainSettings, {"model": "someone/odd-model", key: value, **others})
    told = {fault["loc"][0]: fault["msg"] for fault in error.value.errors()}
    assert words in told[key]
    assert {*others, "model", key} <= told.keys()


def test_all_values_that_are_known_not_to_work_are_told_at_once() -> None:
    section = {key: value for key, value, _ in reversed(DERIVED)}
    with pytest.raises(ValidationError) as error:
        validated(TrainSettings, {"model": MODEL, **section})
    assert {fault["loc"][0] for fault in error.value.errors()} == section.keys()


@pytest.mark.parametrize(
    "section",
    [
        {"stage": "sft", "do_train": True, "ddp_timeout": 180_000_000, "overwrite_output_dir": True},
        {"resume_from_checkpoint": None, "tokenized_path": None, "ddp_timeout": 1800, "local_rank": -1},
    ],
)
def test_values_of_derived_keys_that_work_draw_no_word(section: dict[str, Any]) -> None:
    validated(TrainSettings, {"model": MODEL, **section})


def test_numbers_that_yaml_reads_as_texts_are_numbers(tmp_path: Path) -> None:
    section = yaml.safe_load("learning_rate: 1e-5")
    assert section == {"learning_rate": "1e-5"}
    assert written(emitted(tmp_path, train=9), **section)["learning_rate"] == 1e-5


@pytest.mark.parametrize("preset", presets())
def test_every_preset_trains_and_the_recipe_wins_over_it(preset: str, tmp_path: Path) -> None:
    folder = emitted(tmp_path, train=500, val=50)
    keys = written(folder, preset=preset, cutoff_len=1234)
    assert keys["cutoff_len"] == 1234
    if "deepspeed" in keys:
        assert orjson.loads((folder / keys["deepspeed"]).read_bytes())["zero_optimization"]


def test_full_training_preset_carries_every_figure_that_is_known_to_work(tmp_path: Path) -> None:
    """Four 24 GB GPUs: ZeRO-3 with offload, bf16, batch 2, accumulation 2, 1e-5, cosine, 0.1, one epoch."""
    keys = written(emitted(tmp_path, train=1600, val=50), preset="full_zero3_offload")
    known_to_work = {
        "finetuning_type": "full",
        "bf16": True,
        "cutoff_len": 3000,
        "per_device_train_batch_size": 2,
        "per_device_eval_batch_size": 2,
        "gradient_accumulation_steps": 2,
        "learning_rate": 1e-5,
        "lr_scheduler_type": "cosine",
        "num_train_epochs": 1.0,
        "warmup_steps": 10,
        "deepspeed": "deepspeed_z3_offload.json",
    }
    assert {key: keys[key] for key in known_to_work} == known_to_work
    text = (tmp_path / "train.yaml").read_text("utf-8")
    assert "NPROC_PER_NODE=4" in text
    assert "100 steps on 4 GPUs" in text
    assert written(tmp_path, preset="full_zero3_offload", gpus=8)["warmup_steps"] == 5


def test_full_training_preset_refuses_adapters() -> None:
    with pytest.raises(ValidationError, match="figures are for training every weight") as error:
        validated(TrainSettings, {"model": MODEL, "preset": "full_zero3_offload", "method": "lora"})
    assert error.value.errors()[0]["loc"] == ("method",)


def test_waiting_time_is_emitted_with_its_reason_and_names_no_other_run(tmp_path: Path) -> None:
    folder = emitted(tmp_path, train=90_000, val=10_000)
    keys = written(folder, gpus=4)
    assert keys["ddp_timeout"] == 17_400  # four times 100,000 pictures of 0.17 s on four workers
    lines = (folder / "train.yaml").read_text("utf-8").splitlines()
    reason = lines[lines.index("ddp_timeout: 17400") - 1]
    assert reason.startswith("# In seconds: the others wait while the first process prepares the rows")
    own = written(folder, gpus=4, ddp_timeout=180_000_000)
    assert own["ddp_timeout"] == 180_000_000


def test_texts_beside_pictures_are_no_warning_under_zero_3(tmp_path: Path) -> None:
    """LLaMA-Factory 0.9.5 puts a picture of its own into batches without one."""
    written(emitted(tmp_path, train=90, general=20, val=9), deepspeed="z3", method="full")
    assert "Warning" not in (tmp_path / "train.yaml").read_text("utf-8")


@pytest.mark.parametrize(
    ("model", "template"),
    [
        ("Qwen/Qwen2-VL-2B-Instruct", "qwen2_vl"),
        ("Qwen/Qwen2.5-VL-72B-Instruct-AWQ", "qwen2_vl"),
        ("Qwen/Qwen3-VL-8B-Instruct", "qwen3_vl_nothink"),
        ("Qwen/Qwen3-VL-8B-Thinking", "qwen3_vl"),
    ],
)
def test_the_chat_template_is_told_by_the_models_family(model: str, template: str, tmp_path: Path) -> None:
    assert template_of(model) == template
    (tmp_path / "config.json").write_text('{"model_type": "qwen2_5_vl"}')
    assert template_of(str(tmp_path)) == "qwen2_vl"
