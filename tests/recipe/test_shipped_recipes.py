"""Every recipe that ships is right: for the checker, for the schema, and after it is dumped."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml
from jsonschema import Draft202012Validator

from datakit.library import load, sections
from datakit.recipe.schema import recipe_schema
from datakit.run.columns import check_columns

ROOT = Path(__file__).resolve().parent.parent.parent
RECIPES = sorted((ROOT / "recipes").glob("*.yaml"))
each_recipe = pytest.mark.parametrize("path", RECIPES, ids=lambda path: path.stem)


@pytest.fixture(scope="module")
def validator() -> Draft202012Validator:
    return Draft202012Validator(recipe_schema(sections()))


def test_there_are_recipes_to_check() -> None:
    assert {path.stem for path in RECIPES} >= {"ecom_v1", "ecom_v2", "ecom_v3", "medical"}


@each_recipe
def test_recipe_fits_the_schema(validator: Draft202012Validator, path: Path) -> None:
    errors = [error.message for error in validator.iter_errors(yaml.safe_load(path.read_text("utf-8")))]
    assert errors == []


@each_recipe
def test_every_step_finds_its_columns(path: Path) -> None:
    recipe = load(path)
    assert "messages" in check_columns(recipe, recipe.context())


@each_recipe
def test_dumped_recipe_loads_to_the_same_steps(path: Path, tmp_path: Path) -> None:
    recipe = load(path)
    copy = tmp_path / "copy.yaml"
    text = recipe.dump().replace("../", f"{ROOT.as_posix()}/")
    copy.write_text(text, "utf-8")
    again = load(copy)
    assert [step.name for step in again.steps] == [step.name for step in recipe.steps]
    assert [step.where.rsplit(":", 2)[0] for step in again.steps] == [str(copy)] * len(recipe.steps)
    assert again.sections == recipe.sections


@each_recipe
def test_recipe_says_in_its_head_what_it_does_and_how_to_run_it(path: Path) -> None:
    head = path.read_text("utf-8").splitlines()
    comments = [line for line in head[:5] if line.startswith("#")]
    assert comments[0].startswith(f"# recipes/{path.name}: ")
    assert any(f"# run: datakit build recipes/{path.name}" in line for line in comments)
