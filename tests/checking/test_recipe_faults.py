"""All faults of a recipe's `train:` are told at once, each at its line, before anything is paid."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from datakit.core.errors import RecipeErrors
from datakit.library import load

Load = Callable[..., dict[int, str]]
KNOWN = """\
  stage: sft
  do_train: true
  template: qwen2_vl
  cutoff_len: 3000
  overwrite_cache: true
  preprocessing_num_workers: 16
  logging_steps: 5
  save_steps: 300
  plot_loss: true
  overwrite_output_dir: true
  per_device_train_batch_size: 2
  gradient_accumulation_steps: 2
  learning_rate: 1.0e-5
  num_train_epochs: 1.0
  lr_scheduler_type: cosine
  warmup_ratio: 0.1
  bf16: true
  ddp_timeout: 180000000
  per_device_eval_batch_size: 2
  eval_strategy: steps
  eval_steps: 100
  save_total_limit: 1
  load_best_model_at_end: True
  flash_attn: fa2
"""
"""The keys of a full training that is known to work, as they stood in its file."""
DIFFERENT = """\
  model_name_or_path: Qwen2-VL-7B-Instruct
  finetuning_type: full
  dataset: train_nlp
  max_samples: 10000
  output_dir: saves/qwen2_vl-7b/
  val_size: 0.1
  deepspeed: examples/deepspeed/ds_z3_offload_config.json
"""
"""Keys of the same file that a recipe says otherwise."""


@pytest.fixture
def faults(tmp_path: Path) -> Load:
    """Loads a recipe with this `train:` section; what was told, by the line's number in the section."""
    (tmp_path / "rows.jsonl").write_text('{"id": "a", "text": "t", "image": "a.png"}\n')

    def told(section: str, *, reader: str = "image: image", emit: str = "[llamafactory]") -> dict[int, str]:
        head = f"steps: [{{read.jsonl: {{path: rows.jsonl, {reader}}}}}]\nemit: {emit}\ntrain:\n"
        recipe = tmp_path / "it.yaml"
        recipe.write_text(head + section)
        try:
            load(recipe)
        except RecipeErrors as errors:
            first = len(head.splitlines())
            texts: dict[int, str] = {}
            for error in errors.errors:
                line = int(error.where.split(":")[-2]) - first
                texts[line] = f"{texts.get(line, '')}{error.message} {error.remedy}\n"
            return texts
        return {}

    return told


def test_configuration_that_is_known_to_work_passes_key_by_key_or_each_difference_is_named(
    faults: Load,
) -> None:
    assert (
        faults(f"  model: Qwen/Qwen2-VL-7B-Instruct\n  method: full\n  deepspeed: z3_offload\n{KNOWN}") == {}
    )
    texts = faults(DIFFERENT + KNOWN)
    assert texts.pop(0).strip() == "`train:`: parameter `model` is missing"
    assert list(texts) == [1, 2, 3, 4, 5, 6, 7]  # every line of DIFFERENT, and none of KNOWN
    for line, words in {
        1: "write `model: Qwen2-VL-7B-Instruct`",
        2: "write `method: full`",
        3: "the build's own files are used",
        4: "use `datakit build --limit`",
        5: "named after the content",
        6: "use the step curate.split",
        7: "LLaMA-Factory's own file of that name is `deepspeed: z3_offload` here.",
    }.items():
        assert words in texts[line]


def test_published_medical_options_are_taken_or_explained(faults: Load) -> None:
    options = "learning_rate: 1e-4\n  warmup_ratio: 0.03\n  max_length: 2048\n  batch_size: 4\n"
    options += "  weight_decay: 0.1\n  gradient_accumulation_steps: 16\n"
    texts = faults(f"  model: Qwen/Qwen2.5-VL-7B-Instruct\n  {options}")
    assert list(texts) == [4, 5]
    assert "`cutoff_len: 2048`" in texts[4]
    assert "`per_device_train_batch_size: 4`" in texts[5]


def test_every_kind_of_fault_is_told_at_once_at_its_own_line(faults: Load, tmp_path: Path) -> None:
    lines = (
        ("model: ./nowhere", "there is no model folder"),
        ("batch_size: 4", "another tool's word"),
        ("learning_rate: -1", "above 0"),
        ("lr_scheduler_type: cosin", "Did you mean `cosine`?"),
        ("bf16: true", ""),
        ("fp16: true", "exclude each other"),
        ("deepspeed: own.json", "own.json, which cannot be read"),
        ("template: qwen2_5_vl", "Qwen2.5-VL takes `qwen2_vl`."),
        ("eval_steps: 10", ""),
        ("load_best_model_at_end: true", ""),
        ("save_steps: 15", "no multiple of `eval_steps`"),
        ("image_max_pixels: 300000", "emit.llamafactory leaves only 200,000"),
        ("gpus: 3", "3 GPUs cannot stand evenly in 2 nodes"),
        ("nodes: 2", ""),
        ("evaluations: 0", "greater than or equal to 1"),
    )
    emit = "[{llamafactory: {images: resize, image_max_pixels: 200000}}]"
    texts = faults("".join(f"  {line}\n" for line, _ in lines), emit=emit)
    assert list(texts) == [number for number, (_, words) in enumerate(lines, 1) if words]
    for number, (_, words) in enumerate(lines, 1):
        assert words in texts.get(number, "")


@pytest.mark.parametrize(
    ("section", "line", "words"),
    [
        ("  model: Qwen/Qwen2.5-7B-Instruct\n", 1, "is a text model, and the data have pictures"),
        ("  model: Qwen/Qwen2.5-7B-Instruct\n  template: qwen2_vl\n", 1, "is a text model"),
        ("  model: llava-hf/llava-1.5-7b-hf\n", 1, "is of another family than the data are made for"),
        ("  model: Qwen/Qwen3-VL-8B-Instruct\n  template: qwen2_vl\n", 2, "Use `template: qwen3_vl_nothink`"),
        ("  model: ./text\n", 1, "`model_type: qwen2`) is a text model"),
        ("  model: ./adapter\n", 1, "is a LoRA adapter"),
        ("  model: ./empty\n", 1, "holds no config.json"),
        ("  model: ./gone\n", 1, "there is no model folder"),
        ("  model: ./vl\n  deepspeed: ./list.json\n", 2, "it is no object"),
        ("  model: ./vl\n  deepspeed: ./stage.json\n", 2, "the ZeRO stage is '3', not 0, 1, 2 or 3"),
        (
            "  model: ./vl\n  predict_with_generate: true\n  deepspeed: ./own3.json\n",
            2,
            "does not work with ZeRO-3",
        ),
        ("  model: ./vl\n  preset: full_zero3_offload\n  method: lora\n", 3, "for training every weight"),
        ("  model: ./vl\n  preset: full_zero3_offload\n  quantization_bit: 4\n", 3, "trains adapters only"),
    ],
)
def test_model_or_setting_that_cannot_work_is_named(
    faults: Load, tmp_path: Path, section: str, line: int, words: str
) -> None:
    for name, file, text in (
        ("text", "config.json", '{"model_type": "qwen2"}'),
        ("vl", "config.json", '{"model_type": "qwen2_5_vl"}'),
        ("adapter", "adapter_config.json", '{"base_model_name_or_path": "x"}'),
        ("empty", "readme.md", ""),
    ):
        (tmp_path / name).mkdir()
        (tmp_path / name / file).write_text(text)
    (tmp_path / "list.json").write_text("[]")
    (tmp_path / "stage.json").write_text('{"zero_optimization": {"stage": "3"}}')
    (tmp_path / "own3.json").write_text('{"zero_optimization": {"stage": 3}}')
    texts = faults(section)
    assert list(texts) == [line]
    assert words in texts[line]
    assert "give LLaMA-Factory's" not in texts[line]


def test_text_model_may_learn_from_texts(faults: Load) -> None:
    section = "  model: Qwen/Qwen2.5-7B-Instruct\n  template: qwen\n"
    assert faults(section, reader="images: none") == {}


def test_training_without_its_data_set_is_told_before_the_build(faults: Load) -> None:
    texts = faults("  model: Qwen/Qwen2.5-VL-7B-Instruct\n", emit="[messages]")
    assert "Add `- llamafactory: {}` under `emit:`" in texts[0]
