"""What the trainer's tests share: small models, builds of shipped recipes, LLaMA-Factory's own loader."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any
from unicodedata import normalize

import pytest
import yaml

from datakit.core.tokens import token_ids
from datakit.training.run_folder import RunFolder

ROOT = Path(__file__).resolve().parent.parent.parent
SMALL = (
    "train.image_max_pixels=12544",
    "train.gradient_accumulation_steps=1",
    "train.per_device_train_batch_size=1",
    "train.save_steps=2",
    "train.logging_steps=1",
    "train.preprocessing_num_workers=1",
)
MASKED = -100
"""What stands in `labels` for tokens that are not trained."""


@dataclass(frozen=True)
class Loaded:
    """A data set as LLaMA-Factory's loader gives it to the trainer, and what was emitted for it."""

    folder: Path
    keys: dict[str, Any]
    tokenizer: Any
    sets: dict[str, Any]
    """`train_dataset` and `eval_dataset`."""

    @cached_property
    def emitted(self) -> dict[str, list[dict[str, Any]]]:
        """The rows of the files that train.yaml names, in its order."""
        index = json.loads((self.folder / "dataset_info.json").read_bytes())
        return {
            f"{part}_dataset": [
                row
                for name in str(self.keys.get(key) or "").split(",")
                if name
                for row in json.loads((self.folder / index[name]["file_name"]).read_bytes())
            ]
            for part, key in (("train", "dataset"), ("eval", "eval_dataset"))
        }

    def faults(self, expected: dict[str, list[dict[str, Any]]] | None = None) -> list[str]:
        """What would be learnt other than what was emitted (`expected`: rows from before a change)."""
        found = []
        for part, rows in (expected or self.emitted).items():
            got = self.sets.get(part) or []
            if len(got) != len(rows):
                found.append(f"{part}: {len(rows)} rows were emitted, {len(got)} loaded")
                continue
            for row, example in zip(rows, got, strict=True):
                found += [f"{part}, {row['id']}: {fault}" for fault in self._row_faults(row, example)]
        return found

    def _row_faults(self, row: dict[str, Any], example: dict[str, Any]) -> list[str]:
        answers = [turn["content"] for turn in row["messages"] if turn["role"] == "assistant"]
        wanted = normalize("NFC", "".join(f"{answer}<|im_end|>\n" for answer in answers))
        trained = self.tokenizer.decode([token for token in example["labels"] if token != MASKED])
        found = []
        if trained != wanted:
            found.append(f"the answer is {wanted!r}, but {trained!r} is trained")
        pictures = [(self.folder / path).resolve() for path in row["images"] or ()]
        if [Path(path).resolve() for path in example["images"] or ()] != pictures:
            found.append(f"the pictures are {example['images']}")
        places = example["input_ids"].count(token_ids("<|vision_start|>")[0])
        if places != len(pictures):
            found.append(f"{places} places for {len(pictures)} pictures")
        return found + [f"{path} is missing" for path in pictures if not path.is_file()]


@pytest.fixture(scope="session")
def tiny_model(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Path]:
    """The folder of a small random model of that family, made once for the same options of the script."""
    folder = tmp_path_factory.mktemp("models")

    def make(family: str, *options: str) -> Path:
        place = folder / "".join((family, *options))
        if not place.exists():
            script = ROOT / "scripts" / "make_tiny_model.py"
            command = [sys.executable, str(script), "--family", family, "--out", str(place), *options]
            subprocess.run(command, check=True, env={**os.environ, "PYTHONPATH": str(ROOT)})
        return place

    return make


@pytest.fixture(scope="session")
def shipped_build(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Path]:
    """The build folder of a shipped recipe, made in a copy of the project with these `--set` values."""
    project = tmp_path_factory.mktemp("project")
    for name in ("recipes", "templates", "examples"):
        shutil.copytree(ROOT / name, project / name)

    def make(recipe: str, *overrides: str) -> Path:
        out = project / "build" / f"{recipe}-{len(list(project.glob('build/*')))}"
        command = [sys.executable, "-m", "datakit.cli", "build", f"recipes/{recipe}.yaml", "--out", str(out)]
        command += ["--quiet", "--no-card", *(part for value in overrides for part in ("--set", value))]
        env = {name: value for name, value in os.environ.items() if not name.startswith("OPENAI_")}
        subprocess.run(command, check=True, cwd=project, env={**env, "PYTHONPATH": str(ROOT)})
        return out

    return make


@pytest.fixture
def small_build(
    shipped_build: Callable[..., Path], tiny_model: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> Callable[..., RunFolder]:
    """Builds ecom_v1 for a tiny model, trained offline on the processor."""
    for name, value in {"HF_HUB_OFFLINE": "1", "CUDA_VISIBLE_DEVICES": "", "OMP_NUM_THREADS": "1"}.items():
        monkeypatch.setenv(name, value)

    def make(*overrides: str) -> RunFolder:
        model = tiny_model("qwen2_5_vl")
        return RunFolder.of(shipped_build("ecom_v1", f"train.model={model}", *SMALL, *overrides))

    return make


@pytest.fixture(scope="session", autouse=True)
def workers_start_afresh() -> None:
    """Workers are no forks: this process has threads of polars and torch, so that a fork can hang."""
    try:
        import multiprocess
    except ModuleNotFoundError:  # the tests are collected, but deselected, where there is no trainer
        return
    multiprocess.set_start_method("spawn", force=True)


@pytest.fixture
def load_as_trainer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Loaded]:
    """Loads a build's data sets as `llamafactory-cli train train.yaml` would, up to the training itself."""
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setenv("TOKENIZERS_PARALLELISM", "false")
    import datasets
    from llamafactory.data import get_dataset, get_template_and_fix_tokenizer
    from llamafactory.hparams import get_train_args
    from llamafactory.model import load_tokenizer

    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")
    datasets.disable_progress_bars()

    def load(folder: Path, **changes: Any) -> Loaded:
        monkeypatch.chdir(folder)
        keys = yaml.safe_load((folder / "train.yaml").read_text("utf-8"))
        # Half precision needs a GPU; the other keys stay as they were written.
        keys |= {"bf16": False, "overwrite_cache": True, "preprocessing_num_workers": 1, **changes}
        model, data, training, finetuning, _ = get_train_args(dict(keys))
        parts = load_tokenizer(model)
        template = get_template_and_fix_tokenizer(parts["tokenizer"], data)
        sets = get_dataset(template, model, data, training, stage=finetuning.stage, **parts)
        return Loaded(folder, keys, parts["tokenizer"], sets)

    return load
