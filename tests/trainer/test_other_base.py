"""A base model of another family, adapters of another base, a build that changed after its training."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from datakit.core.errors import UserError
from datakit.training.export import export
from datakit.training.launch import Place, train
from datakit.training.machine_check import check_machine
from datakit.training.run_folder import RunFolder
from datakit.training.trainer import explain

pytestmark = pytest.mark.trainer

Make = Callable[..., Any]
SMALL = (
    "train.image_max_pixels=12544",
    "train.gradient_accumulation_steps=1",
    "train.max_steps=1",
    "train.save_steps=1",
    "train.preprocessing_num_workers=1",
)
PYTHON = sys.executable
CPU = Place(python=PYTHON, cpu=True)


@pytest.fixture(autouse=True)
def offline(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {"HF_HUB_OFFLINE": "1", "CUDA_VISIBLE_DEVICES": "", "OMP_NUM_THREADS": "1"}.items():
        monkeypatch.setenv(name, value)


def text_model(folder: Path, tokenizer: Path) -> Path:
    """A small Qwen2 language model, which has no processor for pictures."""
    from transformers import Qwen2Config, Qwen2ForCausalLM

    sizes = {"hidden_size": 64, "intermediate_size": 128, "num_hidden_layers": 2, "num_attention_heads": 2}
    config = Qwen2Config(vocab_size=152_064, num_key_value_heads=2, **sizes)
    Qwen2ForCausalLM(config).save_pretrained(folder)
    for name in ("tokenizer.json", "tokenizer_config.json"):
        shutil.copyfile(tokenizer / name, folder / name)
    return folder


def swap(file: Path, old: Path, new: Path) -> None:
    """Names another model in a configuration, as somebody does by hand on another machine."""
    text = file.read_text("utf-8")
    assert str(old) in text
    file.write_text(text.replace(str(old), str(new)), "utf-8")


def called(build: Path, *words: str) -> str:
    """What the trainer itself says of a configuration that it cannot run."""
    program = str(Path(PYTHON).with_name("llamafactory-cli"))
    done = subprocess.run([program, *words], cwd=build, capture_output=True, text=True, check=False)
    assert done.returncode != 0
    return done.stdout + done.stderr


@pytest.mark.fault(
    "the base model of a training is a text model, or of another family",
    "named before the trainer starts, which stops at its processor",
    kind="scripts",
)
def test_base_model_of_another_family_is_named_before_the_trainer_starts(
    shipped_build: Make, tiny_model: Make, tmp_path: Path
) -> None:
    model = tiny_model("qwen2_5_vl")
    build = shipped_build("ecom_v1", f"train.model={model}", *SMALL)
    text = text_model(tmp_path / "text", model)
    swap(build / "train.yaml", model, text)
    with pytest.raises(UserError, match=r"`model_type: qwen2`\) is a text model, and the data have pictures"):
        train(RunFolder.of(build), CPU, print, check_machine=check_machine)
    log = called(build, "train", "train.yaml", "use_cpu=true", "bf16=false")
    assert "has no processor for pictures" in explain(log)
    swap(build / "train.yaml", text, tiny_model("qwen3_vl"))
    with pytest.raises(
        UserError, match="is of the family of `qwen3_vl_nothink`, but the data were made for `qwen2_vl`"
    ):
        train(RunFolder.of(build), CPU, print, check_machine=check_machine)


@pytest.mark.fault(
    "adapters are merged into another base than they were trained on",
    "both named, with the first tensor that does not fit",
    kind="scripts",
)
@pytest.mark.fault(
    "a build changed after its training",
    "the run of before is named and kept; nothing old passes for new",
    kind="scripts",
)
def test_adapters_of_another_base_are_told_and_a_changed_build_names_the_run_before(
    shipped_build: Make, tiny_model: Make
) -> None:
    model = tiny_model("qwen2_5_vl")
    build = shipped_build("ecom_v1", f"train.model={model}", *SMALL)
    run = RunFolder.of(build)
    train(run, CPU, print, check_machine=check_machine)
    export_text = (build / "export.yaml").read_text("utf-8")
    swap(build / "export.yaml", model, tiny_model("qwen2_5_vl", "--hidden", "256"))
    with pytest.raises(
        UserError, match=r"trained on another base model .* takes 256 values in the adapter"
    ) as error:
        export(RunFolder.of(build), PYTHON, print)
    assert str(model) in error.value.message  # which its adapter_config.json names
    log = called(build, "export", "export.yaml")
    assert "The adapter was trained on another base model" in explain(log)
    (build / "export.yaml").write_text(export_text, "utf-8")
    changed = shipped_build("ecom_v1", f"train.model={model}", "train.learning_rate=3e-5", *SMALL)
    with pytest.raises(
        UserError, match=rf"have changed since (lora-\w+, )*{run.folder.name}(, lora-\w+)* (was|were) trained"
    ) as error:
        export(RunFolder.of(changed), PYTHON, print)
    assert f"datakit train {changed}" in error.value.remedy
    assert export(run, PYTHON, print).tensors > 0  # what was trained before stays of use
