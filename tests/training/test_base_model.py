"""A base model, or adapters, that the data are not made for are refused before the trainer starts."""

from __future__ import annotations

import json
import os
import shutil
import struct
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from datakit.core.errors import UserError
from datakit.training.base_model import refuse_other_adapter, refuse_other_base
from datakit.training.export import export
from datakit.training.launch import Place, train
from datakit.training.machine_check import check_machine
from datakit.training.run_folder import RunFolder, trained_before
from tests.support.fake_trainer import calls

Make = Callable[..., Path]
CPU = Place(cpu=True)


def tensors(folder: Path, shapes: Mapping[str, tuple[int, ...]]) -> Path:
    """A folder with safetensors of these shapes; no value is looked at."""
    folder.mkdir(exist_ok=True)
    header = {
        name: {"dtype": "F32", "shape": shape, "data_offsets": [0, 0]} for name, shape in shapes.items()
    }
    text = json.dumps(header).encode()
    (folder / "model.safetensors").write_bytes(struct.pack("<Q", len(text)) + text)
    return folder


def base(folder: Path, width: int, kind: str = "qwen2_5_vl") -> Path:
    names = {
        "model.language_model.layers.0.self_attn.q_proj.weight": (width, width),
        "lm_head.weight": (9, width),
    }
    tensors(folder, {**names, "model.visual.blocks.0.attn.qkv.weight": (3 * width, width)})
    (folder / "config.json").write_text(json.dumps({"model_type": kind}))
    return folder


def adapter(folder: Path, width: int, module: str = "self_attn.q_proj") -> Path:
    prefix = f"base_model.model.model.layers.0.{module}"  # as older versions name it
    tensors(folder, {f"{prefix}.lora_A.weight": (16, width), f"{prefix}.lora_B.weight": (width, 16)})
    (folder / "adapter_config.json").write_text('{"base_model_name_or_path": "Qwen/Qwen2-VL-2B-Instruct"}')
    return folder


@pytest.mark.parametrize(
    ("model", "template", "words"),
    [
        ("qwen2_5_vl", "qwen2_vl", ""),
        ("qwen2", "qwen2_vl", "is a text model, and the data have pictures"),
        ("qwen2", "qwen", ""),
        ("llava", "qwen2_vl", "is of another family than the data are made for"),
        ("llava", "llava", ""),
        (
            "qwen3_vl",
            "qwen2_vl",
            "is of the family of `qwen3_vl_nothink`, but the data were made for `qwen2_vl`",
        ),
        ("qwen3_vl", "qwen3_vl", ""),
        ("qwen2_vl", "qwen3_vl_nothink", "is of the family of `qwen2_vl`"),
    ],
)
def test_family_of_the_model_must_be_that_of_the_data(
    model: str, template: str, words: str, tmp_path: Path
) -> None:
    keys = {"model_name_or_path": str(base(tmp_path / "base", 64, model)), "template": template}
    if not words:
        refuse_other_base(keys, tmp_path)
        return
    with pytest.raises(UserError, match="this training cannot start") as error:
        refuse_other_base(keys, tmp_path)
    assert words in error.value.message
    assert str(tmp_path / "base") in error.value.message


def test_folder_that_is_gone_is_named_although_its_name_tells_a_family(tmp_path: Path) -> None:
    gone = str(tmp_path / "Qwen2.5-VL-7B-Instruct")
    with pytest.raises(UserError, match=f"there is no model folder {gone}"):
        refuse_other_base({"model_name_or_path": gone, "template": "qwen2_vl"}, tmp_path)
    refuse_other_base({"model_name_or_path": "Qwen/Qwen2.5-VL-7B-Instruct", "template": "qwen2_vl"}, tmp_path)
    refuse_other_base({"model_name_or_path": "someone/odd-model", "template": "qwen2_vl"}, tmp_path)


def test_adapter_to_go_on_with_must_fit_its_base(tmp_path: Path) -> None:
    keys = {"model_name_or_path": str(base(tmp_path / "base", 64)), "template": "qwen2_vl"}
    adapter(tmp_path / "fits", 64)
    refuse_other_base({**keys, "adapter_name_or_path": "fits"}, tmp_path)
    adapter(tmp_path / "other", 32)
    with pytest.raises(UserError, match="takes 32 values in the adapter and 64 in the model") as error:
        refuse_other_base({**keys, "adapter_name_or_path": "fits, other"}, tmp_path)
    assert "names `Qwen/Qwen2-VL-2B-Instruct`" in error.value.message
    adapter(tmp_path / "deeper", 64, "self_attn.kv_proj")
    with pytest.raises(UserError, match=r"it has no layers\.0\.self_attn\.kv_proj"):
        refuse_other_adapter(tmp_path / "deeper", tmp_path / "base")


def test_base_whose_weights_are_elsewhere_is_not_judged(tmp_path: Path) -> None:
    refuse_other_adapter(adapter(tmp_path / "adapter", 32), tmp_path / "nowhere")
    (tmp_path / "bin").mkdir()
    refuse_other_adapter(tmp_path / "adapter", tmp_path / "bin")  # weights of another format


def test_wrong_base_ends_a_training_before_the_trainer_is_called(make_build: Make, trainer: Path) -> None:
    build = make_build()
    model = Path(str(RunFolder.of(build).keys["model_name_or_path"]))
    config = model / "config.json"
    before = config.read_text("utf-8")
    try:
        config.write_text('{"model_type": "qwen2"}')
        with pytest.raises(UserError, match="is a text model"):
            train(RunFolder.of(build), CPU, print, check_machine=check_machine)
    finally:
        config.write_text(before)  # builds of equal settings share their base
    assert calls(trainer.parent) == []


def test_build_that_changed_after_its_training_names_the_run_of_before(
    make_build: Make, trainer: Path
) -> None:
    build = make_build()
    run = RunFolder.of(build)
    train(run, CPU, print, check_machine=check_machine)
    text = (build / "train.yaml").read_text("utf-8")
    for name in ("train.yaml", "export.yaml"):
        file = build / name
        file.write_text(file.read_text("utf-8").replace(run.folder.name, "lora-0badcafe"), "utf-8")
    with pytest.raises(
        UserError, match=f"data or settings of the build have changed since {run.folder.name} was"
    ):
        export(RunFolder.of(build), None, print)
    (build / "train.yaml").write_text(text, "utf-8")


def test_trainings_before_are_in_the_order_in_which_they_were_made(make_build: Make, trainer: Path) -> None:
    run = RunFolder.of(make_build())
    train(run, CPU, print, check_machine=check_machine)
    for age, name in enumerate(("lora-ffff", "lora-0000", "full-aaaa")):
        shutil.copytree(run.folder, run.folder.with_name(name))
        os.utime(run.folder.with_name(name) / "trained", (1000 - age, 1000 - age))
    names = [path.name for path in trained_before(run.folder)]
    assert names == ["full-aaaa", "lora-0000", "lora-ffff"]
