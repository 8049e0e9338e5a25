"""The argument BUILD: a folder, a recipe in its place, and what is said where neither is there."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from datakit.core.errors import Exit
from tests.cli.conftest import Result

Run = Callable[..., Result]
COMMANDS = [
    [name] for name in ("check", "verdict", "bundle", "export", "train", "serve", "predict", "evaluate")
]
COMMANDS += [["diff", "build/shop"]]


@pytest.fixture
def shop(project: Path, monkeypatch: pytest.MonkeyPatch, datakit: Run) -> Path:
    """A project with one small build, which is the working folder."""
    (project / "rows.jsonl").write_text('{"id": "r0", "prompt": "甲乙", "reply": "丙"}\n', encoding="utf-8")
    (project / "templates" / "ask.j2").write_text("{{ prompt }}", encoding="utf-8")
    (project / "templates" / "reply.j2").write_text("{{ reply }}", encoding="utf-8")
    (project / "recipes" / "shop.yaml").write_text(
        "name: shop\nsteps:\n  - read.jsonl: {path: ../rows.jsonl}\n"
        "  - render.chat: {prompt: ask.j2, answer: reply.j2}\nemit:\n  - llamafactory: {}\n"
    )
    monkeypatch.chdir(project)
    assert datakit("build", "recipes/shop.yaml").code == Exit.FINE
    return project


@pytest.mark.parametrize("command", ["verdict", "check"])
def test_recipe_stands_for_its_build(shop: Path, datakit: Run, command: str) -> None:
    of_folder, of_recipe = datakit(command, "build/shop"), datakit(command, "recipes/shop.yaml")
    assert of_folder.code == of_recipe.code == Exit.FINE
    assert of_folder.out == of_recipe.out.replace(f"{shop}/", "")


@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: command[0])
def test_build_that_is_not_there_is_told_with_those_that_are(
    shop: Path, datakit: Run, command: list[str]
) -> None:
    ended = datakit(*command, "build/shob")
    assert ended.code == Exit.USAGE
    assert "there is no build build/shob" in ended.err
    assert "build/shop" in ended.err.replace("build/shob", "")


def test_recipe_without_a_build_says_how_to_make_it(shop: Path, datakit: Run) -> None:
    text = (shop / "recipes" / "shop.yaml").read_text().replace("name: shop", "name: other")
    (shop / "recipes" / "other.yaml").write_text(text)
    ended = datakit("verdict", "recipes/other.yaml")
    assert ended.code == Exit.USAGE
    assert "recipes/other.yaml has no build yet" in ended.err
    assert "datakit build recipes/other.yaml" in ended.err
