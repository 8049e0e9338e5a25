"""Whatever stands in rows, entries and settings, the check reports it and never fails itself."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import pytest

from datakit.checking.check import Check
from datakit.checking.training import Training
from tests.support.data_folder import SETTINGS, SHARED, DataFolder, good, picture

JUNK = [
    None,
    1,
    -1,
    1.5,
    True,
    "",
    "x",
    "<image>",
    [],
    {},
    [1, "a"],
    ["a.png"],
    {"a": 1},
    [[]],
    [None],
    10**17,
]
MORE = {"val_size": 0.1, "eval_steps": 5, "deepspeed": "z.json", "interleave_probs": "0.5", "media_dir": "."}
MORE |= {"image_max_pixels": 5000, "max_samples": 5, "default_system": "x", "quantization_bit": 4}
MORE |= {"preprocessing_num_workers": 2, "tokenized_path": "t", "gradient_accumulation_steps": 2}


def spoiled(value: Any, rng: random.Random, share: float) -> Any:
    """The value with some of its parts replaced."""
    if rng.random() < share:
        return rng.choice(JUNK)
    if isinstance(value, dict):
        return {key: spoiled(inner, rng, share) for key, inner in value.items()}
    return [spoiled(inner, rng, share) for inner in value] if isinstance(value, list) else value


@pytest.mark.fault(
    "a data set's rows and index hold any JSON",
    "the check gives findings, never a traceback",
    kind="bounds",
)
@pytest.mark.parametrize("seed", range(5))
def test_no_data_makes_the_check_fail(folder: DataFolder, seed: int) -> None:
    rng = random.Random(seed)
    picture(folder.path, "a.png")
    for _ in range(60):
        rows = [spoiled(good(["a.png"]), rng, 0.08) for _ in range(4)]
        entry = {key: spoiled(value, rng, 0.02) for key, value in SHARED.items()}
        settings = {key: spoiled(value, rng, 0.03) for key, value in {**SETTINGS, **MORE}.items()}
        path = folder.write(rows, entry, settings)
        check = Check(Training.load(path), dataset_dir=Path(), dataset=["set"])
        json.dumps(check.run().plain())


@pytest.mark.parametrize("change", [{"tags": 5}, {"columns": {"messages": ["messages"]}}])
def test_names_that_are_no_texts_are_told(folder: DataFolder, change: dict[str, Any]) -> None:
    path = folder.write([good()], {**SHARED, **change})
    codes = [finding.code for finding in Check(Training.load(path)).run().findings.all]
    assert codes == ["entry_wrong"]


def test_list_of_two_types_is_a_mixed_column(folder: DataFolder) -> None:
    path = folder.write([{**good(), "n": ["a"]}, {**good(), "n": ["a", 1]}])
    (found,) = Check(Training.load(path)).run().findings.all
    assert (found.code, found.where) == ("mixed_column", "set.json:3")


@pytest.mark.parametrize("name", ["x" * 300, "x" * 5000, "a/" * 3000])
def test_names_longer_than_the_system_takes_are_missing_files(folder: DataFolder, name: str) -> None:
    path = folder.write([good()], {**SHARED, "file_name": name}, {"tokenized_path": name, "media_dir": name})
    codes = [finding.code for finding in Check(Training.load(path)).run().findings.all]
    assert "file_missing" in codes
