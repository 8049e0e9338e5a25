"""`--limit` makes a build in a folder of its own; build and plan find the only recipe of a project."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from datakit.artifacts.build_folder import BuildFolder
from tests.support.own_data import drawn

Run = Callable[..., Any]

RECIPE = """\
version: 1
name: look
steps:
  - read.image_folder: {path: ../pictures}
  - curate.split: {val: 0.3}
  - render.chat: {prompt: ask.j2, answer: label_only}
emit: [llamafactory]
"""


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    for label in "abc":
        for number in range(6):
            drawn(tmp_path / "pictures" / label / f"{number}.png", seed=ord(label) * 10 + number)
    for folder in ("recipes", "templates"):
        (tmp_path / folder).mkdir()
    (tmp_path / "recipes" / "look.yaml").write_text(RECIPE)
    (tmp_path / "templates" / "ask.j2").write_text("<image>Which?\n{{ answer_format }}")
    return tmp_path


@pytest.mark.fault(
    "a look with --limit after a full build",
    "lies in a folder of its own; the full build and its card stay",
    kind="folders",
)
def test_a_look_leaves_the_full_build_and_its_card(datakit: Run, project: Path) -> None:
    assert datakit("build", "recipes/look.yaml", "-q").code == 0
    full, card = project / "build" / "look", project / "data_cards" / "look.md"
    before = (full / "manifest.json").read_bytes(), card.read_bytes()
    done = datakit("build", "recipes/look.yaml", "--limit", "5", "--json")
    assert done.code == 0
    assert json.loads(done.out)["build"].endswith("build/look.limit5")
    assert ((full / "manifest.json").read_bytes(), card.read_bytes()) == before
    records = BuildFolder.open(project / "build" / "look.limit5").records.collect()
    assert Counter(records["label"]) == {"a": 2, "b": 2, "c": 1}
    assert json.loads(datakit("plan", "recipes/look.yaml", "--limit", "5", "--json").out)["unchanged"]
    assert json.loads(datakit("plan", "recipes/look.yaml", "--json").out)["unchanged"]


def test_build_without_a_recipe_takes_the_only_one(datakit: Run, project: Path) -> None:
    (project / "mkdocs.yml").write_text("nav: []\n")
    assert datakit("build", "--limit", "5", "-q").code == 0
    assert (project / "build" / "look.limit5" / "manifest.json").is_file()
    assert datakit("plan", "--limit", "5").code == 0


def test_several_recipes_and_a_folder_are_listed_with_their_commands(datakit: Run, project: Path) -> None:
    (project / "recipes" / "my look.yaml").write_text(RECIPE)
    for call in (("build",), ("build", "."), ("build", "recipes")):
        told = datakit(*call)
        assert told.code == 2
        assert "2 recipes" in told.err
        assert "datakit build recipes/look.yaml" in told.err
        assert "datakit build 'recipes/my look.yaml'" in told.err
    assert "datakit plan recipes/look.yaml" in datakit("plan").err


def test_a_folder_without_a_recipe_says_how_to_make_one(datakit: Run, project: Path) -> None:
    told = datakit("build", "pictures")
    assert (told.code, "datakit init PATH" in told.err) == (2, True)
