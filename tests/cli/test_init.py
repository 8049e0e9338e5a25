"""`datakit init --example`: a project that passes its own plan and build, never written over anything."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from datakit.library import load
from datakit.recipe.yaml_file import load_yaml
from datakit.starting.example import STARTS
from tests.support import own_data

Run = Callable[..., Any]
ROOT = Path(__file__).resolve().parent.parent.parent


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


@pytest.mark.parametrize("start", STARTS)
def test_every_path_in_the_recipe_is_there(datakit: Run, tmp_path: Path, start: str) -> None:
    done = datakit("init", "--example", "mine", "--from", start, "--json")
    made = json.loads(done.out)
    assert (done.code, made["recipe"]) == (0, str(tmp_path / "mine" / "recipes" / "mine.yaml"))
    assert sorted(made["files"]) == sorted(
        path.relative_to(tmp_path / "mine").as_posix()
        for path in (tmp_path / "mine").rglob("*")
        if path.is_file()
    )
    text = Path(made["recipe"]).read_text()
    recipe = yaml.safe_load(text)
    assert recipe["name"] == "mine"
    assert "examples/" not in text
    paths = [row[name]["path"] for row in recipe["steps"] for name in row if name.startswith("read.")]
    assert len(paths) >= 1
    for path in [*paths, recipe["labels"]]:
        assert (tmp_path / "mine" / "recipes" / path).is_file()
    for path in paths:
        source = tmp_path / "mine" / "recipes" / path
        rows = [json.loads(line) for line in source.read_text().splitlines()]
        assert rows
        for row in rows:
            pictures = [row["image"]] if isinstance(row["image"], str) else row["image"]
            assert all((source.parent / picture).is_file() for picture in pictures)


def test_sample_has_every_label_and_demo_has_every_record(datakit: Run, tmp_path: Path) -> None:
    sample = json.loads(datakit("init", "--example", "small", "--json").out)
    whole = json.loads(datakit("init", "--example", "large", "--demo", "--json").out)
    original = (ROOT / "examples" / "ecom" / "train.jsonl").read_text().splitlines()
    assert whole["records"] == len(original)
    labels = {json.loads(line)["label"] for line in original}
    rows = (tmp_path / "small" / "data" / "train.jsonl").read_text().splitlines()
    assert {json.loads(line)["label"] for line in rows} == labels
    assert len(labels) < sample["records"] <= 2 * len(labels)


@pytest.mark.parametrize("name", ["2024", "yes", "1e5", "0x1f", "null"])
def test_a_folder_whose_name_yaml_would_take_for_something_else_makes_a_good_recipe(
    datakit: Run, tmp_path: Path, name: str
) -> None:
    assert datakit("init", "--example", name).code == 0
    assert load_yaml(tmp_path / name / "recipes" / f"{name}.yaml").data["name"] == name


def test_nothing_is_written_over(datakit: Run, tmp_path: Path) -> None:
    (tmp_path / "mine" / "data").mkdir(parents=True)
    (tmp_path / "mine" / "data" / "train.jsonl").write_text("mine")
    done = datakit("init", "--example", "mine")
    assert done.code == 2
    assert "data/train.jsonl" in done.err
    assert [path.name for path in (tmp_path / "mine").rglob("*")] == ["data", "train.jsonl"]
    assert (tmp_path / "mine" / "data" / "train.jsonl").read_text() == "mine"


def test_folder_with_other_files_is_taken_and_named_by_itself(datakit: Run, tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("kept")
    done = datakit("init", "--example", "--from", "medical")
    assert done.code == 0
    assert (tmp_path / "notes.txt").read_text() == "kept"
    assert "cd " not in done.out
    assert len(list((tmp_path / "recipes").glob("*.yaml"))) == 1


def test_name_of_a_folder_becomes_a_name_that_a_recipe_may_have(datakit: Run, tmp_path: Path) -> None:
    assert datakit("init", "--example", "我的 项目 v2").code == 0
    [recipe] = (tmp_path / "我的 项目 v2" / "recipes").iterdir()
    assert recipe.name == "我的_项目_v2.yaml"
    assert load(recipe).name == "我的_项目_v2"
    data = own_data.folder_by_label(tmp_path / "商品 图", {"cat": 2, "dog": 2})
    assert datakit("init", data, "--no-build").code == 0
    [recipe] = (tmp_path / "商品 图-project" / "recipes").iterdir()
    assert recipe.name == "商品_图.yaml"
    assert datakit("plan", recipe).code == 0


def test_file_in_the_place_of_the_folder_is_an_error(datakit: Run, tmp_path: Path) -> None:
    (tmp_path / "mine").write_text("")
    done = datakit("init", "--example", "mine")
    assert (done.code, "is a file" in done.err) == (2, True)


def test_unknown_start_lists_the_known(datakit: Run) -> None:
    done = datakit("init", "--example", "mine", "--from", "chess")
    assert done.code == 2
    assert "'ecom', 'medical'" in done.err


@pytest.mark.parametrize("start", STARTS)
def test_made_project_plans_and_builds_as_it_is(datakit: Run, tmp_path: Path, start: str) -> None:
    recipe = json.loads(datakit("init", "--example", "mine", "--from", start, "--json").out)["recipe"]
    small = ("--limit", "4", "--set", "curate.split.min_val=0")
    planned = json.loads(datakit("plan", recipe, "--json", *small).out)
    assert planned["calls"] > 0
    share = "mix.general would make 15% of all training rows general ones, repeats counted."
    assert (share in planned["notes"]) == ("share: 0.15" in Path(recipe).read_text("utf-8"))
    done = datakit("build", recipe, "--no-card", "--quiet", *small)
    assert (done.code, done.out) == (0, ""), done.err
    assert json.loads(datakit("plan", recipe, "--json", *small).out)["unchanged"]
    assert (tmp_path / "mine" / "build" / "mine.limit4" / "mine_train.json").is_file()


def test_share_that_validates_in_a_small_project_is_told(datakit: Run, tmp_path: Path) -> None:
    told = datakit("init", "--example", "mine").out
    assert (
        "Where a label has two records, one of them goes into validation: here about half of all do" in told
    )
    assert "about half of all" not in datakit("init", "--example", "whole", "--demo").out
