"""TRL learns the answers that emit.messages wrote, and nothing else of the chats."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.trainer

FORM = "emit=[{messages: {form: trl, images: copy}}]"


def test_only_the_answer_is_learnt_and_every_picture_has_its_tokens(
    shipped_build: Callable[..., Path],
    tiny_model: Callable[..., Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    import datasets
    from transformers import AutoProcessor
    from trl.trainer.sft_trainer import DataCollatorForVisionLanguageModeling

    folder = shipped_build("ecom_v1", FORM, "train=null")
    monkeypatch.chdir(folder)
    path = str(next(folder.glob("*_trl_train.jsonl")))
    found = datasets.load_dataset("json", data_files=path, split="train", cache_dir=str(tmp_path))
    found = found.cast_column("images", datasets.Sequence(datasets.Image()))
    processor = AutoProcessor.from_pretrained(tiny_model("qwen2_5_vl"), max_pixels=100_352)
    collate = DataCollatorForVisionLanguageModeling(processor, completion_only_loss=True)
    rows = [found[at] for at in range(0, len(found), 20)]
    batch: Any = collate(rows)
    pad = processor.tokenizer.convert_tokens_to_ids("<|image_pad|>")
    for at, row in enumerate(rows):
        ids, labels = batch["input_ids"][at], batch["labels"][at]
        learnt = processor.tokenizer.decode(ids[labels != -100])
        assert learnt == row["completion"][0]["content"][0]["text"] + "<|im_end|>\n"
        _, high, wide = batch["image_grid_thw"][at].tolist()
        assert int((ids == pad).sum()) == high * wide // 4
        assert row["prompt"][-1]["content"][-1]["text"] in processor.tokenizer.decode(ids)
