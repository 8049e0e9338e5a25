"""Architectures: parameters are counted as transformers 5.6 has them (compared on 2026-11-24)."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from datakit.core.errors import UserError
from datakit.core.qwen_models import known_models, misspelt, qwen_model

PARAMETERS = {
    "Qwen/Qwen2-VL-2B-Instruct": 2_208_985_600,
    "Qwen/Qwen2-VL-7B-Instruct": 8_291_375_616,
    "Qwen/Qwen2-VL-72B-Instruct": 73_405_560_320,
    "Qwen/Qwen2.5-VL-3B-Instruct": 3_754_622_976,
    "Qwen/Qwen2.5-VL-7B-Instruct": 8_292_166_656,
    "Qwen/Qwen2.5-VL-32B-Instruct": 33_452_718_336,
    "Qwen/Qwen2.5-VL-72B-Instruct": 73_410_777_344,
    "Qwen/Qwen3-VL-2B-Instruct": 2_127_532_032,
    "Qwen/Qwen3-VL-4B-Instruct": 4_437_815_808,
    "Qwen/Qwen3-VL-8B-Instruct": 8_767_123_696,
    "Qwen/Qwen3-VL-32B-Instruct": 33_357_390_064,
    "Qwen/Qwen3-VL-30B-A3B-Instruct": 31_070_754_032,
}


@pytest.mark.parametrize("name", known_models())
def test_parameters_are_those_of_the_real_model(name: str) -> None:
    assert qwen_model(name).parameters == PARAMETERS[name]


def test_cache_of_one_token_takes_the_bytes_that_vllm_takes() -> None:
    assert qwen_model("Qwen/Qwen2.5-VL-3B-Instruct").kv_bytes_per_token() == 36_864
    seven = qwen_model("Qwen/Qwen2.5-VL-7B-Instruct")
    assert seven.kv_bytes_per_token() == 57_344
    assert [seven.kv_bytes_per_token(tp) for tp in (2, 4, 7)] == [28_672, 14_336, 14_336]


def test_quantised_and_thinking_variants_are_found_by_their_sibling() -> None:
    for name in ("Qwen/Qwen2.5-VL-7B-Instruct-AWQ", "qwen/qwen2.5-vl-7b", "Qwen2.5-VL-7B-Instruct"):
        assert qwen_model(name).parameters == PARAMETERS["Qwen/Qwen2.5-VL-7B-Instruct"]
    assert qwen_model("Qwen/Qwen3-VL-8B-Thinking").size_family == "qwen3_vl"


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("Qwen/Qwen2.5-VL-7B-Instrct", "Qwen/Qwen2.5-VL-7B-Instruct"),
        ("Qwen/Qwen2.5-VL-7B-Instuct-AWQ", "Qwen/Qwen2.5-VL-7B-Instruct-AWQ"),
        ("Qwen/Qwen2.5VL-7B-Instruct", "Qwen/Qwen2.5-VL-7B-Instruct"),
        ("Qwen/Qwen2.5-LV-7B-Instruct", "Qwen/Qwen2.5-VL-7B-Instruct"),
        ("Qwne/Qwen2.5-VL-7B-Instruct", "Qwen/Qwen2.5-VL-7B-Instruct"),
        ("Qwen/Qwen3-VL-8B-Thinkng", "Qwen/Qwen3-VL-8B-Thinking"),
        ("Qwen/Qwen3_VL-8B-Instruct", "Qwen/Qwen3-VL-8B-Instruct"),
    ],
)
def test_a_misspelt_name_is_told_with_the_one_that_was_meant(name: str, meant: str) -> None:
    assert misspelt(name) == meant


@pytest.mark.parametrize(
    "name",
    [
        *known_models(),
        *(
            "Qwen/Qwen2.5-VL-7B-Instruct-AWQ",
            "Qwen/Qwen2-VL-7B-Instruct-GPTQ-Int4",
            "qwen/qwen2.5-vl-7b-instruct",
        ),
        *(
            "unsloth/Qwen2.5-VL-7B-Instruct-bnb-4bit",
            "me/Qwen2.5-VL-7B-ecom",
            "Qwen/Qwen3-VL-8B-Instruct-FP8",
        ),
        *(
            "Qwen/Qwen2.5-7B-Instruct",
            "Qwen/Qwen3-8B",
            "Qwen/Qwen2-7B",
            "OpenGVLab/InternVL2_5-8B",
            "gpt-4o-mini",
        ),
        *("./Qwen2.5-VL-7B-Instrct", "/models/Qwen2.5-VL-7B-Instrct", "Qwen/Qwen3-VL-Embedding-2B"),
        *("meta-llama/Meta-Llama-3-8B-Instruct", "Qwen/Qwen2.5-Omni-7B", "Qwen/Qwen3-VL-235B-A22B-Instruct"),
    ],
)
def test_names_of_models_that_are_no_mistake_pass(name: str) -> None:
    assert misspelt(name) == ""


def test_unknown_name_gets_a_near_one() -> None:
    with pytest.raises(UserError, match=r"Did you mean `Qwen/Qwen2\.5-VL-7B-Instruct`"):
        qwen_model("Qwen/Qwen2.5-VL-77B-Instruct")


def test_folder_is_read_and_its_faults_are_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"no config\.json"):
        qwen_model(tmp_path)
    (tmp_path / "adapter_config.json").write_text("{}")
    with pytest.raises(UserError, match="LoRA adapter"):
        qwen_model(tmp_path)
    config = tmp_path / "config.json"
    config.write_text('{"model_type": "llama"}')
    with pytest.raises(UserError, match="not a Qwen-VL model"):
        qwen_model(tmp_path)
    config.write_text(config.read_text()[:7])
    with pytest.raises(UserError, match="Is the model whole"):
        qwen_model(tmp_path)
    table = known_models()["Qwen/Qwen3-VL-8B-Instruct"]
    config.write_text(json.dumps(table))
    assert qwen_model(tmp_path).parameters == PARAMETERS["Qwen/Qwen3-VL-8B-Instruct"]
    del table["text_config"]["num_key_value_heads"]
    config.write_text(json.dumps(table))
    known_models.cache_clear()
    with pytest.raises(UserError, match="num_key_value_heads"):
        qwen_model(tmp_path)
