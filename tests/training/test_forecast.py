"""The forecast of a training: its arithmetic, what it lacks, and how it stands beside timed trainings."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from datakit.artifacts.build_folder import BuildFolder
from datakit.cli import run
from datakit.core.qwen_models import QwenModel, model_of, qwen_model
from datakit.training.forecast import MEASURED_BAND, RECKONED_BAND, Work, flops, forecast, work_of
from datakit.training.gpus import GPUS, gpu_named, gpu_of_driver
from datakit.training.memory import Trained
from tests.support.train_builds import build_screens

MEASURED = Path(__file__).with_name("measured_trainings.jsonl")
"""Lines of scripts/bench_train.py on four machines (2026-11-27 and 28), made with LLaMA-Factory 0.9.5."""
TIMED = [json.loads(line) for line in MEASURED.read_text("ascii").splitlines()]
SMALL = Work(
    rows=100, text_tokens=100_000, image_tokens=50_000, held_out_tokens=15_000, steps=50, evaluations=5
)


def tiny() -> QwenModel:
    """The shape of scripts/make_tiny_model.py with four layers and four blocks of width 256."""
    text = {"hidden_size": 256, "intermediate_size": 512, "num_hidden_layers": 4, "num_attention_heads": 8}
    text |= {"num_key_value_heads": 4, "vocab_size": 151_936}
    vision = {"depth": 4, "hidden_size": 256, "intermediate_size": 512, "num_heads": 8, "patch_size": 14}
    config = {"model_type": "qwen2_5_vl", "text_config": text, "vision_config": vision}
    return model_of("tiny", {**config, "tie_word_embeddings": True})


@pytest.mark.parametrize("line", TIMED, ids=lambda line: f"{line['case']}x{line['gpus']}")
def test_forecast_of_a_timed_training_is_within_its_band(line: dict[str, Any]) -> None:
    assert 1 / MEASURED_BAND <= told_to_timed(line) <= MEASURED_BAND


def test_three_of_four_forecasts_are_within_15_percent() -> None:
    near = [line for line in TIMED if 0.85 <= told_to_timed(line) <= 1.15]
    assert len(near) >= 0.75 * len(TIMED)


def told_to_timed(line: dict[str, Any]) -> float:
    """Seconds of a step as they are forecast, to those that were timed."""
    name, method, mode, rows = line["case"].removesuffix(":kept").rsplit(":", 3)
    size = tiny() if name == "tiny" else qwen_model(name)
    image, length = line["image_tokens_a_row"], line["tokens_a_row"]
    work = SMALL.model_copy(update={"image_tokens": 100 * image, "text_tokens": 100 * (length - image)})
    keys = {"finetuning_type": method, "per_device_train_batch_size": int(rows), "dataloader_num_workers": 4}
    keys["disable_gradient_checkpointing"] = line["case"].endswith(":kept")
    told = forecast(size, keys, mode, work, gpu_named(line["gpu"]), line["gpus"], None)
    return told.step_s / float(line["step_s"])


def test_arithmetic_is_six_a_parameter_and_token_and_two_more_for_checkpointing() -> None:
    size = qwen_model("Qwen/Qwen2.5-VL-7B-Instruct")
    language = size.parts.layers + size.vocab * size.hidden
    whole = Trained(size.parameters, 0)
    assert flops(size, whole, 1000, 0, 0) == pytest.approx(8 * language * 1000)
    frozen = Trained(0, size.parameters)
    assert flops(size, frozen, 1000, 0, 0) == pytest.approx(6 * language * 1000)


def test_mixture_of_experts_reckons_with_those_that_a_token_is_sent_to() -> None:
    size = qwen_model("Qwen/Qwen3-VL-30B-A3B-Instruct")
    assert 2.5e9 < size.parts.active_layers + size.vocab * size.hidden < 3.5e9
    assert size.parts.layers > 25e9


def test_twice_the_gpus_take_half_the_steps_each_and_a_price_is_multiplied() -> None:
    size, keys = qwen_model("Qwen/Qwen2.5-VL-3B-Instruct"), {"finetuning_type": "lora"}
    one = forecast(size, keys, "none", SMALL, gpu_named("H100"), 1, 2.0)
    two = forecast(size, keys, "none", SMALL.model_copy(update={"steps": 25}), gpu_named("H100"), 2, 2.0)
    assert one.cost == pytest.approx(2 * one.gpu_hours)
    assert two.training_s < 0.6 * one.training_s
    assert one.gpu_hours_low == pytest.approx(one.gpu_hours / MEASURED_BAND)


def test_gpu_that_nobody_measured_has_the_wider_band_and_says_so() -> None:
    size, keys = qwen_model("Qwen/Qwen2.5-VL-3B-Instruct"), {"finetuning_type": "lora"}
    told = forecast(size, keys, "none", SMALL, gpu_named("rtx-4090"), 1, None)
    assert told.gpu_hours_high == pytest.approx(told.gpu_hours * RECKONED_BAND)
    assert told.basis == "reckoned from data sheets"
    assert told.cost is None


def test_every_gpu_of_the_table_is_found_by_its_own_name() -> None:
    assert [gpu_of_driver(f"NVIDIA {gpu.name}") for gpu in GPUS] == list(GPUS)
    assert gpu_of_driver("Tesla V100-SXM2-32GB") is None


def test_plan_tells_tokens_steps_and_hours_of_a_checked_build(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    section = {"model": "Qwen/Qwen2.5-VL-3B-Instruct", "method": "lora"}
    build = BuildFolder(build_screens(tmp_path, section, records=8))
    capsys.readouterr()
    words = ["--train", "--json", "--gpu", "h100", "--price", "2.5", "--out", str(build.path)]
    assert run(["plan", str(tmp_path / "recipes" / "screens.yaml"), *words]) in (0, 1)
    told = json.loads(capsys.readouterr().out)["forecast"]
    assert build.check is not None
    train = [own for own in build.check.data_sets if own["part"] == "train"]
    assert told["work"]["rows"] == sum(own["kept"] for own in train)
    assert told["work"]["text_tokens"] == sum(own["text_tokens"] for own in train)
    assert told["work"]["steps"] == build.check.steps
    assert told["cost"] == pytest.approx(2.5 * told["gpu_hours"])


def test_unknown_gpu_is_refused_with_those_that_are_known(capsys: pytest.CaptureFixture[str]) -> None:
    recipe = str(Path(__file__).parent.parent.parent / "recipes" / "ecom_v1.yaml")
    assert run(["plan", recipe, "--train", "--gpu", "h1000"]) == 2
    assert "Did you mean `H100`?" in capsys.readouterr().err


def test_build_without_a_check_has_no_work(tmp_path: Path) -> None:
    (tmp_path / "build").mkdir()
    assert work_of(BuildFolder(tmp_path / "build"), {}, 1) is None
