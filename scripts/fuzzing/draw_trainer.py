"""What belongs to the trainer: a recipe's `train:`, a train.yaml, dataset_info.json and the rows it names."""

from __future__ import annotations

from typing import Any

from datakit.training.config import TrainSettings
from datakit.training.keys import OWNED, known_keys
from fuzzing import draw_sources
from fuzzing.dice import Dice, Tree
from fuzzing.draw_parameters import NO_VALUE, parameters, spoil

_MODELS = ("Qwen/Qwen2.5-VL-7B-Instruct", "Qwen/Qwen2-VL-2B-Instruct", "Qwen/Qwen3-VL-8B-Instruct",
           "Qwen/Qwen3-VL-4B-Thinking")  # fmt: skip
_TEMPLATES = (
    "qwen2_vl",
    "qwen2_vl",
    "qwen2_vl",
    "qwen3_vl",
    "qwen3_vl_nothink",
    "default",
    "llama3",
    "nobody",
)
_USUAL: Tree = {
    "model_name_or_path": _MODELS[0],
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
OPENAI = {f"{name}_tag": name for name in ("role", "content", "user", "assistant", "observation", "system")}
OPENAI["function_tag"] = "function_call"


_VALUES: dict[str, tuple[Any, ...]] = {
    "bool": (True, False),
    "int": (0, 1, 2, 64, 1000, 4096),
    "float": (0.0, 1e-5, 0.1, 1.0, 3.0),
    "str": ("all", "q_proj,v_proj", "z2", "none"),
    "any": ("none", None, ["a"], 3),
}
"""Type of a key of the trainer -> values of it."""


def _key_value(dice: Dice, kind: Any) -> Any:
    """A value of a key of the trainer, of the type that it takes."""
    if isinstance(kind, list):
        return dice.choice(kind)
    return dice.choice(_VALUES[str(kind)])


def _keys(dice: Dice, most: int) -> Tree:
    free = [key for key in sorted(known_keys()) if key not in OWNED and "token" not in key]
    return {key: _key_value(dice, known_keys()[key]) for key in dice.some(free, most)}


def train_section(dice: Dice) -> Tree:
    """A recipe's `train:` section."""
    hints = {
        "model": lambda: dice.choice(_MODELS),
        "template": lambda: dice.choice(_TEMPLATES),
        "preset": lambda: dice.one_of("ecom", "medical", "full_zero3_offload"),
        "deepspeed": lambda: dice.one_of("z0", "z2", "z3", "z3_offload"),
        "gpus": lambda: dice.one_of(1, 2, 4),
        "nodes": lambda: 1,
        "image_max_pixels": lambda: dice.one_of(784, 262_144, NO_VALUE),
    }
    return {
        **(_keys(dice, 3) if dice.maybe(0.3) else {}),
        **parameters(dice, TrainSettings, hints, share=0.2),
    }


def _rows(dice: Dice, names: list[str], tags: dict[str, str], key: str) -> list[Tree]:
    swapped = {"user": tags["user_tag"], "assistant": tags["assistant_tag"], "system": tags["system_tag"]}
    drawn = []
    for number in range(dice.one_of(1, 2, 4, 8)):
        chat = [
            {tags["role_tag"]: swapped.get(turn["role"], turn["role"]), tags["content_tag"]: turn["content"]}
            for turn in draw_sources.turns(dice)
        ]
        row: Tree = {"id": f"r{number}", key: chat}
        if names and dice.maybe(0.8):
            row["images"] = [dice.choice(names) for _ in range(dice.one_of(1, 1, 2, 0))]
            first = next((turn for turn in chat if turn[tags["role_tag"]] == tags["user_tag"]), None)
            if first is not None and isinstance(first[tags["content_tag"]], str):
                first[tags["content_tag"]] = "<image>" * len(row["images"]) + first[tags["content_tag"]]
        drawn.append(row)
    return drawn


_ALPACA = {
    "prompt": "instruction",
    "query": "input",
    "response": "output",
    "history": "history",
    "system": "system",
}


def _alpaca(dice: Dice) -> tuple[Tree, list[Tree]]:
    """An entry of the alpaca format, and its rows."""
    rows = draw_sources.alpaca_rows(dice)
    columns = {key: column for key, column in _ALPACA.items() if any(column in row for row in rows)}
    kind = dice.one_of("json", "json", "jsonl", "csv", "parquet")
    named = {"formatting": "alpaca"} if dice.maybe(0.3) else {}
    return {"columns": columns, **named, "file_name": f"set.{kind}"}, rows


def _dialogues(dice: Dice, names: list[str]) -> tuple[Tree, list[Tree]]:
    """An entry of dialogues in tags of its own, and its rows."""
    tags = OPENAI if dice.maybe(0.7) else {key: value.upper() for key, value in OPENAI.items()}
    key = dice.one_of("messages", "messages", "conversations", "chat")
    rows = _rows(dice, names, tags, key)
    columns = {"messages": key, **({"images": "images"} if any("images" in row for row in rows) else {})}
    form = "openai" if tags is OPENAI and dice.maybe(0.2) else "sharegpt"
    kind = dice.one_of("json", "json", "jsonl", "parquet")
    return {"formatting": form, "columns": columns, "tags": dict(tags), "file_name": f"set.{kind}"}, rows


def data_info_input(dice: Dice) -> Tree:
    """A data folder: dataset_info.json, its file, pictures and a train.yaml."""
    drawn = draw_sources.pictures(dice, dice.one_of(0, 2, 3))
    names = [picture["name"] for picture in drawn]
    entry, rows = _alpaca(dice) if dice.maybe(0.3) else _dialogues(dice, names)
    if dice.maybe(0.1):
        entry["num_samples"] = dice.one_of(1, 3, 100)
    keys = _keys(dice, 4) if dice.maybe(0.5) else {}
    tree: Tree = {
        "settings": {**_USUAL, **keys, "template": dice.choice(_TEMPLATES)},
        "info": {"set": entry},
        "pictures": drawn,
        "sources": [{"name": entry["file_name"], "format": entry["file_name"][4:], "rows": rows}],
    }
    if dice.maybe(0.3):
        spoil(dice, dice.one_of(tree["settings"], tree["info"], rows))
    return tree
