"""What LLaMA-Factory writes of its predictions joins the build's rows, and is read as what was answered."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import yaml

from datakit.artifacts.build_folder import BuildFolder
from datakit.core.errors import UserError
from datakit.evaluation.generated import FILE, is_generated, read_generated

pytestmark = pytest.mark.trainer


def predicted(folder: Path, out: Path, answers: Callable[[list[list[int]]], list[list[int]]]) -> Path:
    """The trainer's own file of predictions for the validation rows, with these answers to its labels."""
    import numpy
    from llamafactory.data import get_dataset, get_template_and_fix_tokenizer
    from llamafactory.hparams import get_train_args
    from llamafactory.model import load_tokenizer
    from llamafactory.train.sft.trainer import CustomSeq2SeqTrainer

    keys = yaml.safe_load((folder / "train.yaml").read_text("utf-8"))
    model, data, training, *_ = get_train_args(
        {**keys, "bf16": False, "overwrite_cache": True, "preprocessing_num_workers": 1}
    )
    training.predict_with_generate = True  # its check for packages that compute ROUGE comes before
    parts = load_tokenizer(model)
    template = get_template_and_fix_tokenizer(parts["tokenizer"], data)
    rows = get_dataset(template, model, data, training, stage="sft", **parts)["eval_dataset"]
    labels = [row["labels"] for row in rows]
    said = answers(labels)

    def even(lists: list[list[int]]) -> Any:
        longest = max(map(len, lists))
        return numpy.array([[*ids, *[-100] * (longest - len(ids))] for ids in lists])

    trainer = SimpleNamespace(
        is_world_process_zero=lambda: True,
        args=SimpleNamespace(output_dir=str(out)),
        processing_class=parts["tokenizer"],
    )
    result = SimpleNamespace(label_ids=even(labels), predictions=even(said))
    CustomSeq2SeqTrainer.save_predictions(trainer, rows, result, skip_special_tokens=True)
    return out / FILE


def test_every_answer_finds_its_record(
    shipped_build: Callable[..., Path],
    tiny_model: Callable[..., Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    model = tiny_model("qwen2_5_vl")
    folder = shipped_build("ecom_v1", f"train.model={model}", "train.image_max_pixels=12544")
    monkeypatch.chdir(folder)
    path = predicted(folder, tmp_path, lambda labels: labels)
    assert is_generated(path)
    build = BuildFolder.open(folder)
    found = read_generated(path, build, "val")
    truth = dict(build.main.collect().filter(part="val").select("id", "label").iter_rows())
    assert {item.id: item.predicted for item in found} == truth
    moved = read_generated(predicted(folder, tmp_path, lambda labels: [*labels[1:], labels[0]]), build, "val")
    labels = list(truth.values())
    assert [item.predicted for item in moved] == [*labels[1:], labels[0]]
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join(lines[:-1]))
    with pytest.raises(UserError, match="cannot be joined"):
        read_generated(path, build, "val")
