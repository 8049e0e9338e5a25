"""A training configuration as the trainer reads it, with the values that decide over rows."""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass, field
from math import isfinite
from pathlib import Path
from typing import Any

import orjson

from datakit.checking.layout import LAYOUTS, Habits, Layout
from datakit.checking.purpose import Purpose, purpose_of
from datakit.checking.record import How
from datakit.checking.templates import media_of
from datakit.core.errors import UserError
from datakit.core.pixels import TRAINER, TrainerLimits
from datakit.core.plain_yaml import YamlFault, parse
from datakit.core.regular_files import read_regular
from datakit.core.shown_path import show_path
from datakit.core.visible import texts_in, visible
from datakit.recipe.yaml_file import YamlFile, load_yaml
from datakit.training import deepspeed

DEFAULT_CUTOFF = 2048
"""LLaMA-Factory's own `cutoff_len`."""


@dataclass(frozen=True)
class Training:
    """The keys of a configuration, and where each stands."""

    keys: dict[str, Any] = field(default_factory=dict)
    file: YamlFile | None = None
    """None when no configuration was given: then nothing is said about length and settings."""
    gpus: int = 1
    build: Path | None = None
    """The build that is trained with it: relative paths begin there, as training starts in its folder."""

    @classmethod
    def load(
        cls, path: Path | None, changes: Iterable[str] = (), *, gpus: int = 1, build: Path | None = None
    ) -> Training:
        """The configuration of a file, with `KEY=VALUE` changes. Raises UserError."""
        file = load_yaml(path) if path else None
        data = file.data if file else {}
        if not isinstance(data, dict) or not all(isinstance(key, str) for key in data):
            where = show_path(path) if path else ""
            raise UserError("is no configuration of keys and values", where=where)
        training = cls({**data, **dict(map(_change, changes))}, file, gpus, build)
        for key, value in training.keys.items():
            if any("\0" in text for text in texts_in({key: value})):
                raise UserError(
                    f"a NUL character (\\0) stands in `{visible(key)}`",
                    where=training.where(key),
                    remedy="Take it out: no path and no name can hold one.",
                )
        return training

    def where(self, key: str) -> str:
        """`file:line` of a key, or the file when the key is not in it."""
        if self.file is None:
            return ""
        if (key,) not in self.file.places:
            return show_path(self.file.path)
        return self.file.where((key,)).rsplit(":", 1)[0]

    @property
    def folder(self) -> Path:
        """Where relative paths of the configuration begin."""
        return self.file.path.parent if self.file else Path()

    def number(self, key: str, default: float) -> float:
        """A key's number; texts that hold one count, anything else is the default."""
        value = self.keys.get(key)
        try:
            number = default if value is None or isinstance(value, bool) else float(value)
        except (TypeError, ValueError, OverflowError):
            return default
        return number if isfinite(number) else default

    def on(self, key: str) -> bool:
        """Whether a switch is on."""
        return bool(self.keys.get(key))

    def names(self, key: str) -> list[str]:
        """Names of data sets under a key: a list, or words with commas between them."""
        value = self.keys.get(key)
        if isinstance(value, str):
            return [name.strip() for name in value.split(",")]
        return [str(name) for name in value] if isinstance(value, list) else []

    def path(self, value: str) -> Path:
        """A path of the configuration: in the build, beside the file, else in the working folder."""
        if self.build is not None and os.path.exists(self.build / value):
            return self.build / value
        beside = self.folder / value
        return beside if os.path.exists(beside) or not os.path.exists(value) else Path(value)

    @property
    def stage3(self) -> bool:
        """Whether DeepSpeed's ZeRO-3 is on."""
        return self.zero_stage == 3

    @property
    def zero_stage(self) -> int | None:
        """The ZeRO stage of the DeepSpeed configuration; None without one, or when it cannot be read."""
        value = self.keys.get("deepspeed")
        if isinstance(value, str) and value in deepspeed.NAMES:
            value = deepspeed.configuration(value)
        elif isinstance(value, str):
            try:
                value = orjson.loads(read_regular(self.path(value)))
            except (OSError, orjson.JSONDecodeError):
                return None
        zero = value.get("zero_optimization") if isinstance(value, dict) else None
        stage = zero.get("stage") if isinstance(zero, dict) else None
        return stage if isinstance(stage, int) else None

    @property
    def template(self) -> str | None:
        """The trainer's template; `qwen2_vl` when there is no configuration at all."""
        value = self.keys.get("template")
        return str(value) if value is not None else None if self.file else "qwen2_vl"

    @property
    def layout(self) -> Layout | None:
        return LAYOUTS.get(self.template or "")

    @property
    def packed(self) -> bool:
        return self.on("packing") or self.on("neat_packing")

    @property
    def cutoff(self) -> int | None:
        """Tokens that a row may have; packing takes one off."""
        if self.file is None and "cutoff_len" not in self.keys:
            return None
        return int(self.number("cutoff_len", DEFAULT_CUTOFF)) - self.packed

    @property
    def limits(self) -> TrainerLimits:
        return TrainerLimits(
            int(self.number("image_max_pixels", TRAINER.max_pixels)),
            int(self.number("image_min_pixels", TRAINER.min_pixels)),
        )

    def how(self) -> How:
        """What decides over a row."""
        system = self.keys.get("default_system")
        last_only = self.on("mask_history")
        return How(
            layout=self.layout,
            cutoff=self.cutoff,
            media=media_of(self.template),
            limits=self.limits,
            habits=Habits(
                default_system=system if isinstance(system, str) else None,
                enable_thinking=self.keys.get("enable_thinking", True),
                drops_thoughts=last_only and not self.on("preserve_thinking"),
            ),
            last_only=last_only,
            learns_prompt=self.on("train_on_prompt"),
        )

    @property
    def remote_folder(self) -> str:
        """`dataset_dir` where it is no folder: `ONLINE`, or `REMOTE:` and a hub repository; else ""."""
        folder = str(self.keys.get("dataset_dir", ""))
        return folder if folder == "ONLINE" or folder.startswith("REMOTE:") else ""

    @property
    def purpose(self) -> Purpose:
        return purpose_of(self.keys)

    def data_folder(self, folder: Path | None) -> Path:
        """The folder of dataset_info.json."""
        return folder or self.path(str(self.keys.get("dataset_dir", "data" if self.file else ".")))

    def media_folder(self, data: Path) -> Path:
        """The folder that picture paths are relative to."""
        value = self.keys.get("media_dir")
        return self.path(value) if isinstance(value, str) else data


def _change(text: str) -> tuple[str, Any]:
    key, equals, value = text.partition("=")
    if not equals or not key.strip():
        raise UserError(f"`{text}` is no KEY=VALUE", remedy="For example: --set cutoff_len=4096")
    try:
        return key.strip(), parse(value)
    except YamlFault:
        raise UserError(f"`{value}` is no YAML value") from None
