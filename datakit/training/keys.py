"""The keys that LLaMA-Factory's training takes, and which of them a recipe may not set."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Iterator
from functools import cache
from pathlib import Path
from typing import Any

import orjson

from datakit.core.credentials import is_credential_field
from datakit.core.errors import did_you_mean
from datakit.training.bounds import out_of_bounds
from datakit.training.other_words import explained

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

_RENAMED = {"model_name_or_path": "model", "finetuning_type": "method"}


@cache
def known_keys() -> dict[str, Any]:
    """Key -> bool, int, float, str, any, or a list of the words that it takes."""
    document: dict[str, Any] = orjson.loads(Path(__file__).with_name("llamafactory_keys.json").read_bytes())
    keys: dict[str, Any] = document["keys"]
    return keys


def checked_key(key: str, value: Any = None, fields: Iterable[str] = ()) -> str:
    """The key. Raises ValueError for one that the trainer does not know or that datakit sets.

    `value` is shown beside the right key; `fields` are further names, which may have been meant.
    """
    if key in OWNED:
        renamed = _RENAMED.get(key)
        written = f"write `{renamed}: {value}`" if renamed and isinstance(value, str) else OWNED[key]
        raise ValueError(f"`{key}` cannot be set here: {written}")
    if is_credential_field(key):
        raise ValueError(
            f"`{key}` would stand in the build for everybody to read; leave it out, and set HF_TOKEN in the "
            "environment of the training"
        )
    words = explained(key, value)
    if words and key not in fields:
        unknown = "" if key in known_keys() else "unknown key "
        raise ValueError(f"{unknown}`{key}`: {words}")
    if key not in known_keys():
        hint = did_you_mean(key, [*known_keys(), *fields])
        raise ValueError(f"unknown key `{key}`. {hint or 'It must be a key of LLaMA-Factory 0.9.5.'}")
    return key


def checked_value(key: str, value: Any) -> Any:
    """The value in the key's type. Raises ValueError where it has another, or means nothing.

    YAML reads `1e-4` as a text, because its numbers need a point: such texts become numbers. A list of names
    becomes one text with commas, as LLaMA-Factory takes it.
    """
    typed = _typed(key, value)
    words = out_of_bounds(key, typed)
    if words:
        raise ValueError(words)
    return typed


def _typed(key: str, value: Any) -> Any:
    kind = known_keys()[key]
    if isinstance(value, float) and not math.isfinite(value):
        raise ValueError(f"`{key}` is {value}; it must be a finite number")
    if isinstance(value, dict) and not _takes_mapping(key):
        raise ValueError(f"`{key}` is {_shown(value)}; it must be {_wanted(kind)}")
    if value is None or kind == "any":
        return value
    if isinstance(kind, list):
        value = "no" if value is False and "no" in kind else value  # YAML reads a bare `no` as false
        if value not in kind:
            hint = did_you_mean(str(value), kind) if len(kind) > _SHORT else ""
            raise ValueError(
                f"`{key}` is {_shown(value)}" + (f". {hint}" if hint else f"; it must be {_wanted(kind)}")
            )
        return value
    if isinstance(value, list):
        return _joined(key, value)
    if kind == "bool" or isinstance(value, bool):
        if kind != "bool" or not isinstance(value, bool):
            raise ValueError(f"`{key}` is {value!r}; it must be {_wanted(kind)}")
        return value
    return str(value) if kind == "str" else _number(key, value, kind)


def _number(key: str, value: Any, kind: str) -> int | float:
    try:
        number = float(value)
    except (TypeError, ValueError, OverflowError):
        raise ValueError(f"`{key}` is {_shown(value)}; it must be {_wanted(kind)}") from None
    if not math.isfinite(number):  # from the text `inf`
        raise ValueError(f"`{key}` is {value!r}; it must be a finite number")
    if kind == "int" and number != int(number):
        raise ValueError(f"`{key}` is {value!r}; it must be a whole number")
    return int(number) if kind == "int" else number


def _joined(key: str, values: list[Any]) -> str:
    """Names with commas between them."""
    if key not in LISTED:
        raise ValueError(f"`{key}` is {_shown(values)}; it must be {_wanted(known_keys()[key])}")
    wrong = [item for item in values if not isinstance(item, str | int | float) or isinstance(item, bool)]
    if wrong or not values:
        what = f"`{key}` has {_shown(wrong[0])}" if wrong else f"`{key}` is empty"
        raise ValueError(f"{what}; it must be a list of names")
    return ",".join(str(item).strip() for item in values)


def _takes_mapping(key: str) -> bool:
    return key == "deepspeed" or (
        known_keys()[key] == "any" and key.endswith(("_config", "_kwargs", "config"))
    )


def _wanted(kind: str | list[str]) -> str:
    return f"one of {', '.join(kind)}" if isinstance(kind, list) else _WORDS[kind]


def _shown(value: Any) -> str:
    return repr(value)[:60]


def check_as_written(key: str, value: Any) -> None:
    """Raises ValueError for a value of a trainer's own file that it does not take as it stands there.

    LLaMA-Factory converts nothing: a number in quotes is a text to it, 2048.0 no whole number, and either
    ends in a TypeError. What it only compares or divides by may be a float.
    """
    checked_value(key, value)
    kind = known_keys()[key]
    if kind == "str" and key in _NAMES and isinstance(value, int | float):
        raise ValueError(f"`{key}` is the number {value}; it must be a text, so put it in quotes")
    if isinstance(kind, list) and value is False:
        raise ValueError(f'`{key}` is false, which is how YAML reads a bare no: write it in quotes, "no"')
    if kind not in ("int", "float") or value is None:
        return
    if isinstance(value, str) and _PLAIN_NUMBER.fullmatch(value.strip()):
        raise ValueError(f"`{key}` is the text {value!r}; it must be {_WORDS[kind]}, without quotes")
    if kind == "int" and not isinstance(value, int) and key not in _MAY_BE_FLOAT:
        raise ValueError(f"`{key}` is {value}; it must be a whole number, without a point or an exponent")


def clashes(keys: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """What the trainer would refuse about keys that are each right by themselves: the key, and why."""
    zero3 = str(keys.get("deepspeed")) in ("z3", "z3_offload_optimizer", "z3_offload")
    quantised = keys.get("quantization_bit") is not None
    method = keys.get("finetuning_type")
    rules = (
        (
            zero3 and keys.get("predict_with_generate"),
            *("predict_with_generate", "`predict_with_generate` does not work with ZeRO-3: use z2"),
        ),
        (
            zero3 and keys.get("pure_bf16"),
            *("pure_bf16", "`pure_bf16` does not work with ZeRO-3: use `bf16`"),
        ),
        (
            zero3 and keys.get("use_unsloth"),
            *("use_unsloth", "`use_unsloth` does not work with ZeRO-3: use z2"),
        ),
        (
            quantised and method != "lora",
            *("quantization_bit", "`quantization_bit` trains adapters only: use `method: lora`"),
        ),
        (
            quantised and method == "lora" and zero3,
            "quantization_bit",
            "a model of `quantization_bit` cannot be shared out by ZeRO-3: use z2 or none",
        ),
        (
            keys.get("bf16") and keys.get("fp16"),
            *("fp16", "`bf16` and `fp16` exclude each other: set `bf16: false`"),
        ),
        (
            keys.get("do_predict") and not keys.get("predict_with_generate"),
            *("do_predict", "`do_predict` needs `predict_with_generate: true`"),
        ),
        (
            keys.get("deepspeed") and (keys.get("use_galore") or keys.get("use_apollo")),
            *("deepspeed", "GaLore and APOLLO do not work under DeepSpeed"),
        ),
        (
            keys.get("streaming") and (keys.get("max_steps") or 0) <= 0,
            *("streaming", "`streaming` needs `max_steps`: the trainer cannot count the rows"),
        ),
    )
    yield from ((key, words) for wrong, key, words in rules if wrong)


LISTED = (
    *("dataset", "eval_dataset", "interleave_probs", "freeze_trainable_modules", "freeze_extra_modules"),
    *("lora_target", "oft_target", "additional_target", "galore_target", "apollo_target"),
)
"""Keys of the type text that may hold a list: the trainer splits a text of them at its commas."""
_NAMES = (
    "dataset",
    "eval_dataset",
    "dataset_dir",
    "media_dir",
    "model_name_or_path",
    "output_dir",
    "template",
)
"""Texts that the trainer splits, joins or looks up: a number there ends in a TypeError."""
_SHORT = 6
"""Choices that are all told; of more the nearest one is."""
_PLAIN_NUMBER = re.compile(r"[-+]?\d+(?:\.\d*)?")
"""A text that would be a number without its quotes; YAML reads `1e-4` as a text without any."""
_MAY_BE_FLOAT = ("image_max_pixels", "image_min_pixels", "video_max_pixels", "video_min_pixels", "lora_alpha")
_WORDS = {
    "bool": "true or false",
    "int": "a whole number",
    "float": "a number",
    "str": "a text",
    "any": "a text, a number or a list",
}
