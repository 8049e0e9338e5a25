"""A record has the same token ids in training and at serving, whoever lays it out."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from PIL import Image

from datakit.core.pixels import FAMILIES, TRAINER, image_tokens, trainer_size
from tests.support.data_folder import SHARED, picture, row

pytestmark = pytest.mark.trainer

SYSTEM = ("system", "You are a helpful assistant.")
MASKED, PAD = -100, 151_655
TEMPLATES = [("qwen2_vl", "qwen2_vl"), ("qwen2_5_vl", "qwen2_vl"), ("qwen3_vl", "qwen3_vl_nothink")]


def rows(folder: Path) -> list[dict[str, Any]]:
    """Records as render.chat makes them: one picture, several, dialogues, text alone; system turn given."""
    sizes = [(1080, 2340), (720, 1560), (20, 20), (640, 428), (70, 98)]
    names = [picture(folder, f"{number}.png", *size) for number, size in enumerate(sizes)]
    label = ("assistant", '{"label": "购物车"}')
    return [
        *(
            row(SYSTEM, ("user", '<image>请判断类别：\n{\n  "a": 1\n}\n'), label, images=[name])
            for name in names
        ),
        row(SYSTEM, ("user", "<image>\n<image>两张图？"), ("assistant", "是。\n"), images=names[:2]),
        row(
            ("system", "你是专家。"),
            ("user", "<image>描述"),
            ("assistant", " 首页 "),
            ("user", "类别？"),
            label,
            images=names[:1],
        ),
        row(SYSTEM, ("user", "写一首诗 é😀"), ("assistant", "春眠不觉晓")),
    ]


def served_messages(record: dict[str, Any], folder: Path) -> Iterator[dict[str, Any]]:
    """The record as a request to the server, its pictures at the size that the trainer leaves."""
    pictures = iter(record["images"] or ())
    for turn in record["messages"]:
        parts: list[dict[str, Any]] = []
        for number, text in enumerate(turn["content"].split("<image>")):
            if number:
                image = Image.open(folder / next(pictures)).convert("RGB")
                parts.append({"type": "image", "image": image.resize(trainer_size(*image.size))})
            if text:
                parts.append({"type": "text", "text": text})
        yield {"role": turn["role"], "content": parts}


@pytest.mark.parametrize(("family", "template"), TEMPLATES)
def test_ids_of_training_and_serving_are_equal(
    family: str,
    template: str,
    tiny_model: Callable[..., Path],
    load_as_trainer: Callable[..., Any],
    tmp_path: Path,
) -> None:
    from transformers import AutoProcessor

    folder = tmp_path / "build"
    folder.mkdir()
    records = rows(folder)
    (folder / "set.json").write_text(json.dumps(records, ensure_ascii=False), "utf-8")
    (folder / "dataset_info.json").write_text(
        json.dumps({"set": {"file_name": "set.json", **SHARED}}), "ascii"
    )
    keys = {
        "model_name_or_path": str(tiny_model(family)),
        "stage": "sft",
        "do_train": True,
        "finetuning_type": "lora",
        "dataset": "set",
        "dataset_dir": ".",
        "media_dir": ".",
        "template": template,
        "cutoff_len": 100_000,
        "output_dir": "out",
        "report_to": "none",
    }
    (folder / "train.yaml").write_text(yaml.safe_dump(keys), "utf-8")
    trained = load_as_trainer(folder).sets["train_dataset"]
    assert len(trained) == len(records)
    processor = AutoProcessor.from_pretrained(tiny_model(family))
    for record, example in zip(records, trained, strict=True):
        messages = list(served_messages(record, folder))
        whole = _ids(processor, messages, answer=True)
        assert example["input_ids"] == whole
        prompt = _ids(processor, messages[:-1], answer=False)
        learnt = len(whole) - len(prompt)
        assert whole[: len(prompt)] == prompt
        assert example["labels"][-learnt:] == whole[-learnt:]
        sizes = [Image.open(folder / name).size for name in record["images"] or ()]
        assert whole.count(PAD) == sum(image_tokens(*size, FAMILIES[family], TRAINER) for size in sizes)


def _ids(processor: Any, messages: list[dict[str, Any]], *, answer: bool) -> list[int]:
    made = processor.apply_chat_template(
        messages, tokenize=True, return_dict=True, add_generation_prompt=not answer
    )
    return [int(token) for token in made["input_ids"][0]]
