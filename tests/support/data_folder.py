"""Small LLaMA-Factory data sets, written as the tests need them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import yaml
from PIL import Image

TAGS = {
    "role_tag": "role",
    "content_tag": "content",
    "user_tag": "user",
    "assistant_tag": "assistant",
    "observation_tag": "observation",
    "function_tag": "function_call",
    "system_tag": "system",
}
SHARED = {"formatting": "sharegpt", "columns": {"messages": "messages", "images": "images"}, "tags": TAGS}
SETTINGS = {
    "model_name_or_path": "Qwen/Qwen2.5-VL-7B-Instruct",
    "stage": "sft",
    "do_train": True,
    "finetuning_type": "lora",
    "dataset": "set",
    "dataset_dir": ".",
    "template": "qwen2_vl",
    "cutoff_len": 2048,
    "output_dir": "runs",
    "per_device_train_batch_size": 1,
    "num_train_epochs": 1.0,
}


def row(*turns: tuple[str, Any], images: list[Any] | None = None, **more: Any) -> dict[str, Any]:
    """A row in the form that emit.llamafactory writes."""
    messages = [{"role": role, "content": content} for role, content in turns]
    return {"id": "r1", "messages": messages, "images": images, **more}


def good(images: list[Any] | None = None) -> dict[str, Any]:
    """A row without a fault."""
    return row(("user", "<image>" * len(images or []) + "这是什么？"), ("assistant", "购物车"), images=images)


def picture(folder: Path, name: str, width: int = 60, height: int = 40, **save: Any) -> str:
    """The name of a picture in one colour."""
    Image.new("RGB", (width, height), (200, 30, 30)).save(folder / name, **save)
    return name


class DataFolder:
    """A folder with dataset_info.json, one data file and a train.yaml."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def write(
        self,
        rows: list[Any] | str | bytes,
        entry: dict[str, Any] | None = None,
        settings: dict[str, Any] | None = None,
        *,
        file: str = "set.json",
    ) -> Path:
        """The path of train.yaml. A `None` among the settings takes the key out."""
        if isinstance(rows, list):
            lines = [json.dumps(line, ensure_ascii=False) for line in rows]
            rows = "\n".join(lines) if file.endswith("l") else "[\n" + ",\n".join(lines) + "\n]\n"
        data = rows.encode() if isinstance(rows, str) else rows
        (self.path / file).write_bytes(data)
        index = {"set": {"file_name": file, **(SHARED if entry is None else entry)}}
        (self.path / "dataset_info.json").write_text(json.dumps(index), "ascii")
        keys = {key: value for key, value in {**SETTINGS, **(settings or {})}.items() if value is not None}
        (self.path / "train.yaml").write_text(yaml.safe_dump(keys, sort_keys=False), "utf-8")
        return self.path / "train.yaml"
