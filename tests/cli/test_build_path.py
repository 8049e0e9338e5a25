"""The argument BUILD: a folder, a recipe in its place, and what is said where neither is there."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

import datakit.verdict as datakit_verdict
from datakit.artifacts.build_folder import BuildFolder
from datakit.artifacts.place import MARK, BuildPlace
from datakit.artifacts.report import Finding
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


@pytest.mark.fault(
    "another build takes the place of the one that a command reads",
    "the command says so and exits 2: it may have read of both",
    kind="signals",
)
def test_build_that_is_replaced_while_it_is_read_is_told(
    shop: Path, datakit: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    verdict = datakit_verdict.verdict

    def slow(build: BuildFolder) -> list[Finding]:
        place = BuildPlace(shop / "build" / "shop")
        shutil.copytree(place.folder, place.make("work") / "out")
        place.put(place.beside("work") / "out")
        return verdict(build)

    monkeypatch.setattr(datakit_verdict, "verdict", slow)
    ended = datakit("verdict", "build/shop")
    assert ended.code == Exit.USAGE
    assert "another build took the place of build/shop while it was read" in ended.err
    assert "Run the same command again." in ended.err


@pytest.mark.fault(
    "a run is killed between taking a build away and placing the new one",
    "any command puts the last build back, on file systems that cannot exchange names too",
    kind="signals",
)
def test_build_that_was_taken_away_when_a_run_was_killed_is_put_back_by_a_reader(
    shop: Path, datakit: Run
) -> None:
    place = shop / "build" / "shop"
    before = datakit("verdict", "build/shop").out
    (place / MARK).touch()
    place.rename(place.with_name(".shop.old"))
    ended = datakit("verdict", "build/shop")
    assert (ended.code, ended.out) == (Exit.FINE, before)
    assert place.is_dir()
    assert not (place / MARK).exists()


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
