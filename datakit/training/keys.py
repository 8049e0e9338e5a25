"""The keys that LLaMA-Factory's training takes, and which of them a recipe may not set."""

from __future__ import annotations

import math
import re
from functools import cache
from pathlib import Path
from typing import Any

import orjson

from datakit.core.credentials import is_credential_field
from datakit.core.errors import did_you_mean

OWNED = {
    "model_name_or_path": "use `model`",
    "finetuning_type": "use `method`",
    "dataset": "the build's own files are used",
    "eval_dataset": "the build's own files are used",
    "dataset_dir": "the build's own folder is used",
    "media_dir": "the build's own folder is used",
    "val_size": "use the step curate.split: the trainer would split repeated records apart",
    "max_samples": "use `datakit build --limit`: steps and evaluations are computed from all rows",
    "output_dir": "it is named after the content of data and settings, so that no run meets an old cache",
    "evaluation_strategy": "it is `eval_strategy` since transformers 4.46",
}
"""Keys that the recipe may not set -> why, or what to use."""


@cache
def known_keys() -> dict[str, Any]:
    """Key -> bool, int, float, str, any, or a list of the words that it takes."""
    document: dict[str, Any] = orjson.loads(Path(__file__).with_name("llamafactory_keys.json").read_bytes())
    keys: dict[str, Any] = document["keys"]
    return keys


def checked_key(key: str) -> str:
    """The key. Raises ValueError for one that the trainer does not know or that datakit sets."""
    if key in OWNED:
        raise ValueError(f"`{key}` cannot be set here: {OWNED[key]}")
    if is_credential_field(key):
        raise ValueError(
            f"`{key}` would stand in the build for everybody to read; leave it out, and set HF_TOKEN in the "
            "environment of the training"
        )
    if key not in known_keys():
        hint = did_you_mean(key, [*known_keys(), "model", "method", "preset", "gpus"])
        raise ValueError(f"unknown key `{key}`. {hint or 'It must be a key of LLaMA-Factory 0.9.5.'}")
    return key


def checked_value(key: str, value: Any) -> Any:
    """The value in the key's type. Raises ValueError where it has another.

    YAML reads `1e-4` as a text, because its numbers need a point: such texts become numbers.
    """
    kind = known_keys()[key]
    if isinstance(value, float) and not math.isfinite(value):
        raise ValueError(f"`{key}` is {value}; it must be a finite number")
    if value is None or kind == "any":
        return value
    if isinstance(kind, list):
        if value not in kind:
            raise ValueError(f"`{key}` is {value!r}; it must be one of {', '.join(kind)}")
        return value
    if kind == "bool" or isinstance(value, bool):
        if kind != "bool" or not isinstance(value, bool):
            raise ValueError(f"`{key}` is {value!r}; it must be {_WORDS[kind]}")
        return value
    if kind == "str":
        return str(value)
    try:
        number = float(value)
    except (TypeError, ValueError, OverflowError):
        raise ValueError(f"`{key}` is {repr(value)[:60]}; it must be {_WORDS[kind]}") from None
    if not math.isfinite(number):  # from the text `inf`
        raise ValueError(f"`{key}` is {value!r}; it must be a finite number")
    if kind == "int" and number != int(number):
        raise ValueError(f"`{key}` is {value!r}; it must be a whole number")
    return int(number) if kind == "int" else number


def check_as_written(key: str, value: Any) -> None:
    """Raises ValueError for a value of a trainer's own file that it does not take as it stands there.

    LLaMA-Factory converts nothing: a number in quotes is a text to it, 2048.0 no whole number, and either
    ends in a TypeError. What it only compares or divides by may be a float.
    """
    checked_value(key, value)
    kind = known_keys()[key]
    if kind not in ("int", "float") or value is None:
        return
    if isinstance(value, str) and _PLAIN_NUMBER.fullmatch(value.strip()):
        raise ValueError(f"`{key}` is the text {value!r}; it must be {_WORDS[kind]}, without quotes")
    if kind == "int" and not isinstance(value, int) and key not in _MAY_BE_FLOAT:
        raise ValueError(f"`{key}` is {value}; it must be a whole number, without a point or an exponent")


def conflict(keys: dict[str, Any]) -> str:
    """What the trainer would refuse about keys that are each right by themselves; "" when nothing."""
    zero3 = "z3" in str(keys.get("deepspeed") or "")
    quantised = keys.get("quantization_bit") is not None
    rules = (
        (
            zero3 and keys.get("predict_with_generate"),
            "`predict_with_generate` does not work with ZeRO-3: use z2",
        ),
        (zero3 and keys.get("pure_bf16"), "`pure_bf16` does not work with ZeRO-3: use `bf16`"),
        (zero3 and keys.get("use_unsloth"), "`use_unsloth` does not work with ZeRO-3: use z2"),
        (zero3 and quantised, "a model of `quantization_bit` cannot be shared out by ZeRO-3: use z2 or none"),
        (
            quantised and keys.get("finetuning_type") != "lora",
            "`quantization_bit` trains adapters only: use `method: lora`",
        ),
        (keys.get("bf16") and keys.get("fp16"), "`bf16` and `fp16` exclude each other: set `bf16: false`"),
        (
            keys.get("do_predict") and not keys.get("predict_with_generate"),
            "`do_predict` needs `predict_with_generate: true`",
        ),
        (
            keys.get("deepspeed") and (keys.get("use_galore") or keys.get("use_apollo")),
            "GaLore and APOLLO do not work under DeepSpeed",
        ),
        (
            keys.get("streaming") and not keys.get("max_steps"),
            "`streaming` needs `max_steps`: the trainer cannot count the rows",
        ),
    )
    return next((words for wrong, words in rules if wrong), "")


_PLAIN_NUMBER = re.compile(r"[-+]?\d+(?:\.\d*)?")
"""A text that would be a number without its quotes; YAML reads `1e-4` as a text without any."""
_MAY_BE_FLOAT = ("image_max_pixels", "image_min_pixels", "video_max_pixels", "video_min_pixels", "lora_alpha")
_WORDS = {"bool": "true or false", "int": "a whole number", "float": "a number", "str": "a text"}
