"""LLaMA-Factory's own data, entry by entry: `datakit check` says of each row what the trainer does with it.

LLAMAFACTORY_DATA names the folder `data` of its repository, which is no part of its package.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from datakit.checking.check import Check
from datakit.checking.finding import Findings
from datakit.checking.purpose import FOREIGN
from datakit.checking.settings import check_settings
from datakit.checking.training import Training
from datakit.recipe.yaml_file import YamlFile
from tests.support.trainer_fates import Trainer, difference

FOLDER = Path(os.environ.get("LLAMAFACTORY_DATA") or "nowhere")
pytestmark = [
    pytest.mark.trainer,
    pytest.mark.skipif(
        not (FOLDER / "dataset_info.json").is_file(),
        reason="LLAMAFACTORY_DATA names no folder `data` of LLaMA-Factory's repository",
    ),
]
TEMPLATES = {
    "qwen2_vl": "qwen2_5_vl",
    "qwen3_vl": "qwen3_vl",
    "qwen3_vl_nothink": "qwen3_vl",
    "qwen": "qwen2_5_vl",
    "qwen3_nothink": "qwen3_vl",
}
"""Template -> family of the small model. A text model's template takes no medium, whatever the model."""
LOADERS = {".json": "json", ".jsonl": "json", ".txt": "text"}


def entries() -> Iterator[tuple[str, dict[str, Any]]]:
    """The entries whose file is there."""
    index = FOLDER / "dataset_info.json"
    for name, entry in json.loads(index.read_bytes()).items() if index.is_file() else ():
        if "file_name" in entry and (FOLDER / entry["file_name"]).is_file():
            yield name, entry


def settings_of(template: str, cutoff: int) -> Training:
    keys: dict[str, Any] = {"template": template, "cutoff_len": cutoff, "model_name_or_path": "model"}
    keys |= {"stage": "sft", "do_train": True, "dataset": "x", "image_max_pixels": 262_144}
    return Training(keys, YamlFile(Path("train.yaml"), keys, ""))


@pytest.mark.parametrize("cutoff", [1_000_000, 180])
@pytest.mark.parametrize("template", list(TEMPLATES))
def test_every_row_of_every_entry_fares_as_foretold(
    template: str, cutoff: int, tiny_model: Callable[..., Path], tmp_path: Path
) -> None:
    import datasets

    trainer = Trainer(tiny_model(TEMPLATES[template]), template, FOLDER, tmp_path)
    trainer.configure({"cutoff_len": cutoff, "image_max_pixels": 262_144})
    training, wrong, rows = settings_of(template, cutoff), list[Any](), 0
    for name, entry in entries():
        check = Check(training, dataset_dir=FOLDER, dataset=[name])
        accounts = list(check.rows())
        if entry.get("ranking"):
            assert {finding.code for finding in check.report().findings.all} >= {"ranked"}
            continue
        path = FOLDER / entry["file_name"]
        table = datasets.load_dataset(
            LOADERS[path.suffix], data_files=str(path), cache_dir=str(tmp_path), split="train"
        )
        convert = trainer.converter(entry)
        assert len(table) == len(accounts)
        verdicts = set()
        for number, (example, placed) in enumerate(zip(table, accounts, strict=True), 1):
            theirs = trainer.fate(convert, example)
            verdicts.add(theirs.verdict)
            if fault := difference(theirs, placed.found):
                wrong.append((name, number, fault, placed.found.faults))
        errors = check.report().errors > 0
        assert errors or verdicts == {"kept"}, f"{name}: the trainer does not take it, the check does"
        rows += len(accounts)
    assert wrong[:3] == []
    assert rows > 1_000


def test_settings_of_its_examples_fare_as_foretold(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every YAML file of the folder `examples` beside the data, where it is there. No GPU is asked for."""
    from llamafactory.hparams import get_train_args, parser

    paths = sorted((FOLDER.parent / "examples").resolve().rglob("*.yaml"))
    if not paths:
        pytest.skip(f"there is no folder {FOLDER.parent / 'examples'}")
    monkeypatch.chdir(FOLDER.parent)  # where their paths begin
    monkeypatch.setattr(parser, "_check_extra_dependencies", lambda *_: None)
    monkeypatch.setattr(parser, "is_torch_bf16_gpu_available", lambda: True)
    foreign, wrong = 0, []
    for path in paths:
        training, findings = Training.load(path), Findings()
        check_settings(training, findings)
        if training.purpose in FOREIGN:
            foreign += 1
            wrong += [path] if findings.count("error") else []
            continue
        keys = {key: value for key, value in training.keys.items() if key not in ("bf16", "deepspeed")}
        try:
            get_train_args(dict(keys))
            runs = True
        except Exception:  # whatever it is, the run ends
            runs = False
        if runs == bool(findings.count("error")):
            wrong.append((path, runs, [finding.message for finding in findings.all]))
    assert wrong == []
    assert 0 < foreign < len(paths)
