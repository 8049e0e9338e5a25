"""What a model is, is told by its folder or name, and named when the data are for another family."""

from __future__ import annotations

from pathlib import Path

import pytest

from datakit.training.family import family_of, template_of, why_not


@pytest.mark.parametrize(
    ("name", "kind", "template"),
    [
        ("Qwen/Qwen2-VL-7B-Instruct", "qwen_vl", "qwen2_vl"),
        ("someone/my-qwen2.5-vl-3b-tuned", "qwen_vl", "qwen2_vl"),
        ("Qwen/Qwen3-VL-8B-Instruct", "qwen_vl", "qwen3_vl_nothink"),
        ("/models/Qwen3-VL-8B-Thinking", "qwen_vl", "qwen3_vl"),  # on another machine
        ("Qwen/Qwen2.5-7B-Instruct", "text", ""),
        ("Qwen/Qwen3-8B", "text", ""),
        ("meta-llama/Llama-3.1-8B-Instruct", "text", ""),
        ("deepseek-ai/DeepSeek-R1-Distill-Qwen-7B", "text", ""),
        ("llava-hf/llava-1.5-7b-hf", "other", ""),
        ("OpenGVLab/InternVL3-8B", "other", ""),
        ("meta-llama/Llama-3.2-11B-Vision-Instruct", "other", ""),
        ("Qwen/Qwen2.5-Omni-7B", "other", ""),
        ("someone/odd-model", "unknown", ""),
        ("./nowhere", "missing", ""),
        ("/nowhere/of/no-family", "missing", ""),
    ],
)
def test_name_tells_the_family(name: str, kind: str, template: str) -> None:
    family = family_of(name)
    assert (family.kind, family.template) == (kind, template)


@pytest.mark.parametrize(
    ("files", "kind", "words"),
    [
        ({"config.json": '{"model_type": "qwen2_5_vl"}'}, "qwen_vl", ""),
        ({"config.json": '{"model_type": "qwen2"}'}, "text", "is a text model, and the data have pictures"),
        (
            {"config.json": '{"model_type": "llava"}'},
            "other",
            "is of another family than the data are made for",
        ),
        ({"config.json": '{"architectures": ["X"]}'}, "other", "`model_type: none`"),
        ({"config.json": "[1]"}, "unreadable", "is no JSON object"),
        ({"config.json": "{"}, "unreadable", "Is the download whole?"),
        ({}, "empty", "holds no config.json: it is no model's folder"),
        (
            {"adapter_config.json": '{"base_model_name_or_path": "Qwen/Qwen2-VL-7B-Instruct"}'},
            *("adapter", "is a LoRA adapter, trained on `Qwen/Qwen2-VL-7B-Instruct`, not a model"),
        ),
        ({"adapter_config.json": "{"}, "adapter", "is a LoRA adapter, not a model"),
    ],
)
def test_folder_tells_the_family_and_a_wrong_one_is_named(
    files: dict[str, str], kind: str, words: str, tmp_path: Path
) -> None:
    folder = tmp_path / "Qwen2.5-VL-7B-Instruct"  # its name says nothing against what it holds
    folder.mkdir()
    for name, text in files.items():
        (folder / name).write_text(text)
    family = family_of("./Qwen2.5-VL-7B-Instruct", tmp_path)
    told = why_not("./Qwen2.5-VL-7B-Instruct", family, None, shows_images=True)
    assert family.kind == kind
    assert words in told
    assert bool(told) == bool(words)
    assert "LLaMA-Factory's" not in told
    if told:
        assert str(folder) in told
        with pytest.raises(ValueError, match="model"):
            template_of(str(folder))


def test_missing_folder_is_named_with_its_whole_path(tmp_path: Path) -> None:
    told = why_not("../models/x", family_of("../models/x", tmp_path / "recipes"), None)
    assert f"there is no model folder {tmp_path}/models/x. Mend the path" in told


def test_text_model_is_for_texts_and_told_a_sibling_that_sees() -> None:
    name = "Qwen/Qwen2.5-7B-Instruct"
    family = family_of(name)
    assert "Qwen/Qwen2.5-VL-7B-Instruct" in why_not(name, family, None, shows_images=True)
    assert why_not(name, family, "qwen", shows_images=True)
    assert why_not(name, family, "qwen", shows_images=False) == ""
    assert why_not(name, family, "qwen") == ""  # where only the data can tell, the check of the rows does
    assert "`template: qwen`" in why_not(name, family, None, shows_images=False)


def test_template_of_ones_own_lets_other_families_pass() -> None:
    llava = family_of("llava-hf/llava-1.5-7b-hf")
    assert why_not("llava-hf/llava-1.5-7b-hf", llava, "llava") == ""
    assert "of another family" in why_not("llava-hf/llava-1.5-7b-hf", llava, "qwen2_vl")
    assert why_not("someone/odd-model", family_of("someone/odd-model"), "qwen2_vl") == ""
