"""LLaMA-Factory itself loads every shipped build: no row dropped, answers and pictures as emitted."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from datakit.core.tokens import TokenCounter, token_ids

pytestmark = pytest.mark.trainer

RECIPES = sorted(path.stem for path in (Path(__file__).parents[2] / "recipes").glob("*.yaml"))
SMALL_PICTURES = ("emit.llamafactory.images=resize", "emit.llamafactory.image_max_pixels=12544")
Make = Callable[..., Any]


def test_there_are_recipes_to_load() -> None:
    assert {"ecom_v1", "ecom_v2", "ecom_v3", "medical"} <= set(RECIPES)


@pytest.mark.parametrize("recipe", RECIPES)
def test_every_row_of_a_shipped_recipe_is_loaded_as_it_was_emitted(
    shipped_build: Make, tiny_model: Make, load_as_trainer: Make, recipe: str
) -> None:
    folder = shipped_build(recipe, f"train.model={tiny_model('qwen2_5_vl')}")
    loaded = load_as_trainer(folder)
    assert loaded.faults() == []
    emitted = json.loads((folder / "emitted.json").read_bytes())["files"].values()
    for part, wanted in (("train_dataset", {"train", "general"}), ("eval_dataset", {"val"})):
        rows = sum(file["rows"] for file in emitted if file["part"] in wanted)
        assert len(loaded.sets[part]) == rows > 0


@pytest.mark.parametrize("family", ["qwen2_vl", "qwen3_vl"])
def test_other_families_load_every_row_and_count_the_tokens_that_datakit_counts(
    shipped_build: Make, tiny_model: Make, load_as_trainer: Make, family: str
) -> None:
    folder = shipped_build("ecom_v3", f"train.model={tiny_model(family)}", *SMALL_PICTURES)
    loaded = load_as_trainer(folder)
    assert loaded.faults() == []
    assert loaded.keys["template"] == {"qwen2_vl": "qwen2_vl", "qwen3_vl": "qwen3_vl_nothink"}[family]
    counter, picture = TokenCounter(), token_ids("<|image_pad|>")[0]
    template = "qwen3_vl" if family == "qwen3_vl" else "qwen2_vl"
    for part, rows in loaded.emitted.items():
        for row, example in zip(rows, loaded.sets[part], strict=True):
            texts = [token for token in example["input_ids"] if token != picture]
            assert counter.chat(row["messages"], template).total == len(texts), row["id"]


def edit_rows(folder: Path, change: Callable[[dict[str, Any]], None]) -> None:
    """Changes the second row of the training file, which has a picture."""
    path = folder / "ecom_v1_train.json"
    rows = json.loads(path.read_bytes())
    change(rows[1])
    path.write_text(json.dumps(rows, ensure_ascii=False), encoding="utf-8")


def edit_index(folder: Path, change: Callable[[dict[str, Any]], None]) -> None:
    """Changes the training set's entry in dataset_info.json."""
    path = folder / "dataset_info.json"
    index = json.loads(path.read_bytes())
    change(index["ecom_v1_train"])
    path.write_text(json.dumps(index), encoding="utf-8")


def remove_a_picture(folder: Path) -> None:
    row = json.loads((folder / "ecom_v1_train.json").read_bytes())[1]
    (folder / row["images"][0]).unlink()


def say(row: dict[str, Any], turn: int, text: str) -> None:
    row["messages"][turn]["content"] = text


MUTATIONS: dict[str, Callable[[Path], None]] = {
    "a tag dropped": lambda folder: edit_index(folder, lambda entry: entry["tags"].pop("system_tag")),
    "a column dropped": lambda folder: edit_index(folder, lambda entry: entry["columns"].pop("images")),
    "an <image> added": lambda folder: edit_rows(
        folder, lambda row: say(row, 1, f"<image>{row['messages'][1]['content']}")
    ),
    "an <image> in the answer": lambda folder: edit_rows(folder, lambda row: say(row, 2, "<image>")),
    "a picture removed": remove_a_picture,
    "a picture too many": lambda folder: edit_rows(
        folder, lambda row: row["images"].append(row["images"][0])
    ),
    "turns swapped": lambda folder: edit_rows(folder, lambda row: row["messages"].reverse()),
    "an unknown role": lambda folder: edit_rows(folder, lambda row: row["messages"][2].update(role="gpt")),
    "an answer changed": lambda folder: edit_rows(folder, lambda row: say(row, 2, "别的")),
    "an answer emptied": lambda folder: edit_rows(folder, lambda row: say(row, 2, "")),
    "the last turn lost": lambda folder: edit_rows(folder, lambda row: row["messages"].pop()),
}


@pytest.fixture(scope="module")
def small_build(shipped_build: Make, tiny_model: Make) -> Path:
    """A build of few, small pictures."""
    return shipped_build("ecom_v1", f"train.model={tiny_model('qwen2_5_vl')}", *SMALL_PICTURES)


@pytest.mark.parametrize("mutation", MUTATIONS)
def test_damage_of_every_kind_is_noticed(
    small_build: Path, load_as_trainer: Make, tmp_path: Path, mutation: str
) -> None:
    folder = tmp_path / "build"
    shutil.copytree(small_build, folder)
    whole = load_as_trainer(folder)
    assert whole.faults() == []
    expected = whole.emitted
    MUTATIONS[mutation](folder)
    try:
        found = load_as_trainer(folder).faults(expected)
    except (ValueError, OSError, RuntimeError) as error:
        found = [str(error)]
    assert found
