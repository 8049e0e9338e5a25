"""The folder of one training run: its place, its checkpoints, its progress. Named by data and settings."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson

from datakit.artifacts import names
from datakit.artifacts.build_folder import BuildFolder
from datakit.core.errors import UserError
from datakit.core.regular_files import read_regular, read_regular_text

CHECKPOINT_ENDS_WITH = "trainer_state.json"
"""transformers writes it last, after weights, optimizer and random state."""
_WEIGHTS = (
    "adapter_model.safetensors",
    "model.safetensors",
    "model.safetensors.index.json",
    "adapter_model.bin",
    "pytorch_model.bin",
    "pytorch_model.bin.index.json",
)


@dataclass(frozen=True)
class RunFolder:
    """Where the training of a build puts things."""

    build: BuildFolder

    @classmethod
    def of(cls, build: Path) -> RunFolder:
        """Of a finished build. Raises UserError for a folder that holds no training configuration."""
        build = build.absolute()
        if not build.is_dir():
            raise UserError(
                f"there is no build at {build}", remedy="Make it: datakit build recipes/<name>.yaml"
            )
        run = cls(BuildFolder(build))
        _ = run.keys, run.export_keys  # told before anything starts
        return run

    @property
    def keys(self) -> dict[str, Any]:
        """LLaMA-Factory's of the training."""
        return self.build.training

    @property
    def export_keys(self) -> dict[str, Any]:
        return self.build.export

    @property
    def folder(self) -> Path:
        return self.trained.parent

    @property
    def trained(self) -> Path:
        """What the trainer writes: adapter or model, checkpoints, its logs."""
        return Path(self.build.path, self.keys["output_dir"]).resolve()

    @property
    def served(self) -> Path:
        """The model that is served: merged and with its processor."""
        return Path(self.build.path, self.export_keys["export_dir"]).resolve()

    @property
    def logs(self) -> Path:
        return self.folder / "logs"

    @property
    def method(self) -> str:
        return str(self.keys["finetuning_type"])

    def deepspeed(self) -> dict[str, Any] | None:
        """The DeepSpeed configuration, None without one."""
        name = self.keys.get("deepspeed")
        if not name:
            return None
        try:
            settings: dict[str, Any] = orjson.loads(read_regular(self.build.path / str(name)))
        except (OSError, orjson.JSONDecodeError) as error:
            raise UserError(
                f"{names.TRAINING} names {name}, which cannot be read: {error}",
                remedy="Build again: datakit build",
            ) from None
        return settings

    def finished(self) -> bool:
        """Whether the training came to its end: weights and the trainer's last file are there."""
        return has_weights(self.trained) and (self.trained / "train_results.json").is_file()

    def progress(self) -> dict[str, Any] | None:
        """The trainer's last account, such as {"current_steps": 4, "total_steps": 24, "loss": 0.5}."""
        try:
            lines = read_regular(self.trained / "trainer_log.jsonl").splitlines()
        except OSError:
            return None
        for line in reversed(lines):  # the very last one may be half-written
            try:
                entry: dict[str, Any] = orjson.loads(line)
            except orjson.JSONDecodeError:
                continue
            return entry
        return None


def trained_before(folder: Path) -> list[Path]:
    """Other runs of the same build that hold a trained model: of it as it was, or with other settings."""
    runs = sorted(path for path in folder.parent.glob("*-*") if path != folder)
    return [path for path in runs if has_weights(path / "trained")]


def has_weights(folder: Path) -> bool:
    """Whether the folder holds a model or an adapter, with every file that its index names."""
    weights = next((folder / name for name in _WEIGHTS if (folder / name).is_file()), None)
    if weights is None:
        return False
    if not weights.name.endswith("index.json"):
        return _whole(weights)
    try:
        shards = set(orjson.loads(read_regular(weights))["weight_map"].values())
    except (orjson.JSONDecodeError, KeyError):
        return False
    return all((folder / name).is_file() and _whole(folder / name) for name in shards)


def checkpoints(trained: Path) -> tuple[list[Path], list[Path]]:
    """Whole checkpoints and half-written ones, each in order of their steps."""
    folders = [
        path for path in trained.glob("checkpoint-*") if path.name.removeprefix("checkpoint-").isdigit()
    ]
    folders.sort(key=lambda path: int(path.name.removeprefix("checkpoint-")))
    whole = [path for path in folders if _is_whole(path)]
    return whole, [path for path in folders if path not in whole]


def _is_whole(checkpoint: Path) -> bool:
    try:
        orjson.loads(read_regular(checkpoint / CHECKPOINT_ENDS_WITH))
    except (OSError, orjson.JSONDecodeError):
        return False
    if not has_weights(checkpoint):
        return False
    latest = checkpoint / "latest"  # DeepSpeed names its folder of optimizer states there, last of all
    states = [path for path in checkpoint.glob("global_step*") if path.is_dir()]
    return not states or (latest.is_file() and (checkpoint / read_regular_text(latest).strip()).is_dir())


def _whole(path: Path) -> bool:
    """Whether a safetensors file is as long as its header says; other formats count when not empty."""
    from datakit.training.safetensors import data_bytes

    size = path.stat().st_size
    if path.suffix != ".safetensors":
        return size > 0
    expected = data_bytes(path)
    return expected is not None and size == expected
