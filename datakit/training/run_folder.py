"""The folder of one training run: its place, its checkpoints, its progress. Named by data and settings."""

from __future__ import annotations

import json
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from datakit.artifacts import names
from datakit.artifacts.data_set import DataSet
from datakit.artifacts.packed import PackedData
from datakit.core.errors import UserError
from datakit.core.regular_files import read_regular, read_regular_text, regular
from datakit.core.scripts import shell_words
from datakit.training.progress import TrainingProgress, read_progress
from datakit.training.safetensors import data_bytes

if TYPE_CHECKING:
    from datakit.artifacts.build_folder import BuildFolder

CHECKPOINT_ENDS_WITH = "trainer_state.json"
"""transformers writes it last, after weights, optimizer and random state."""
_ZIP = b"PK\x03\x04"
_BASE = "model_name_or_path"
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
    """Where the training of a data set puts things: of a build at home, or of one that a bundle carries."""

    data: DataSet
    keys: dict[str, Any]
    """LLaMA-Factory's of the training."""
    export_keys: dict[str, Any]
    gpus: int = 1
    """Of all nodes, as the steps were reckoned with."""
    nodes: int = 1
    base: str | None = None
    """The base model's place where it is another than the configuration's, which it stands in for."""

    @classmethod
    def of(cls, build: Path, *, base: str | None = None) -> RunFolder:
        """Of a finished build. Raises UserError for a folder that holds no training configuration."""
        from datakit.artifacts.build_folder import BuildFolder

        build = build.absolute()
        if not build.is_dir():
            raise UserError(
                f"there is no build at {build}", remedy="Make it: datakit build recipes/<name>.yaml"
            )
        data = BuildFolder(build)
        keys, export_keys, section = data.training, data.export, data.section("train")
        gpus, nodes = int(section.get("gpus", 1)), int(section.get("nodes", 1))
        return cls(data, *_with_base(keys, export_keys, base), gpus, nodes, base)

    @classmethod
    def packed(cls, data: PackedData, *, base: str | None = None) -> RunFolder:
        """Of a bundle's data set. Raises UserError for one that was packed before bundles carried it."""
        packed = data.packed
        if packed.training is None or packed.export is None:
            raise UserError(
                f"{data.path / names.PACKED} holds no training keys", remedy="Pack it anew: datakit bundle"
            )
        keys, export_keys = _with_base(packed.training, packed.export, base)
        return cls(data, keys, export_keys, packed.gpus, packed.nodes, base)

    @property
    def build(self) -> BuildFolder:
        """The whole build, at home. Raises TypeError in a bundle, which carries the data set alone."""
        from datakit.artifacts.build_folder import BuildFolder

        if not isinstance(self.data, BuildFolder):
            raise TypeError(f"{self.data.path} is a bundle's data set, not a build")
        return self.data

    @property
    def export_words(self) -> list[str]:
        """What the export is told beside its file: an adapter goes into the base that it was trained on."""
        return [f"{_BASE}={self.base}"] if self.base and self.method == "lora" else []

    @property
    def train_words(self) -> list[str]:
        """What the training is told beside its file."""
        return [f"{_BASE}={self.base}"] if self.base else []

    def command(self, stage: str) -> str:
        """What does a stage of this run, as a line for a shell."""
        if isinstance(self.data, PackedData):
            return f"./run.sh {stage}"
        return shell_words(["datakit", stage, str(self.data.path)])

    @property
    def folder(self) -> Path:
        return self.trained.parent

    @property
    def trained(self) -> Path:
        """What the trainer writes: adapter or model, checkpoints, its logs."""
        return Path(self.data.path, self.keys["output_dir"]).resolve()

    @property
    def served(self) -> Path:
        """The model that is served: merged and with its processor."""
        return Path(self.data.path, self.export_keys["export_dir"]).resolve()

    @property
    def logs(self) -> Path:
        return self.folder / "logs"

    @property
    def method(self) -> str:
        return str(self.keys["finetuning_type"])

    def deepspeed(self) -> dict[str, Any] | None:
        """The DeepSpeed configuration, None without one."""
        if isinstance(self.data, PackedData):
            return self.data.packed.deepspeed
        name = self.keys.get("deepspeed")
        if not name:
            return None
        try:
            settings: dict[str, Any] = json.loads(read_regular(self.data.path / str(name)))
        except (OSError, ValueError) as error:
            raise UserError(
                f"{names.TRAINING} names {name}, which cannot be read: {error}",
                remedy="Build again: datakit build",
            ) from None
        return settings

    def finished(self) -> bool:
        """Whether the training came to its end: weights and the trainer's last file are there."""
        return has_weights(self.trained) and (self.trained / "train_results.json").is_file()

    def progress(self) -> TrainingProgress:
        """How far the training is, by the trainer's own account."""
        return read_progress(self.trained)


def _with_base(
    keys: dict[str, Any], export_keys: dict[str, Any], base: str | None
) -> tuple[dict[str, Any], dict[str, Any]]:
    if base is None:
        return keys, export_keys
    merged = {_BASE: base} if keys["finetuning_type"] == "lora" else {}
    return {**keys, _BASE: base}, {**export_keys, **merged}


def trained_before(folder: Path) -> list[Path]:
    """Other runs of the same build that hold a trained model, the latest last: of it as it was, or with other
    settings."""
    runs = [path for path in folder.parent.glob("*-*") if path != folder and has_weights(path / "trained")]
    return sorted(runs, key=lambda path: ((path / "trained").stat().st_mtime_ns, path.name))


def has_weights(folder: Path) -> bool:
    """Whether the folder holds a model or an adapter, with every file that its index names."""
    weights = next((folder / name for name in _WEIGHTS if (folder / name).is_file()), None)
    if weights is None:
        return False
    if not weights.name.endswith("index.json"):
        return _whole(weights)
    try:
        shards = set(json.loads(read_regular(weights))["weight_map"].values())
    except (ValueError, KeyError):
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
        read_regular(checkpoint / CHECKPOINT_ENDS_WITH)
        for path in checkpoint.glob("*.json"):
            json.loads(read_regular(path))
    except (OSError, ValueError):
        return False
    states = [path for path in checkpoint.rglob("*.pt*") if path.is_file()]
    if not has_weights(checkpoint) or not all(map(_is_saved, states)):
        return False
    latest = checkpoint / "latest"  # DeepSpeed names its folder of optimizer states there, last of all
    folders = [path for path in checkpoint.glob("global_step*") if path.is_dir()]
    return not folders or (latest.is_file() and (checkpoint / read_regular_text(latest).strip()).is_dir())


def _is_saved(path: Path) -> bool:
    """Whether a file of torch has its end: it is a ZIP archive, whose table comes last. One of the format
    before, a pickle, counts when not empty."""
    with open(path, "rb", opener=regular) as file:
        start = file.read(len(_ZIP))
    return bool(start) and (not start.startswith(_ZIP[:1]) or zipfile.is_zipfile(path))


def _whole(path: Path) -> bool:
    """Whether a safetensors file is as long as its header says, and one of torch has its end."""
    size = path.stat().st_size
    if path.suffix != ".safetensors":
        return _is_saved(path) if path.suffix == ".bin" else size > 0
    expected = data_bytes(path)
    return expected is not None and size == expected
