"""The JSON schema of recipes says what the checker says."""

from __future__ import annotations

import copy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from jsonschema import Draft202012Validator

from datakit.core import registry
from datakit.core.errors import DatakitError
from datakit.core.transform import Emitter
from datakit.library import load, sections
from datakit.recipe.schema import recipe_schema

BASE: dict[str, Any] = {
    "name": "mine",
    "steps": [{"curate.split": {"val": 0.2}}, "guard.image"],
    "emit": ["llamafactory"],
}


@pytest.fixture(scope="module")
def schema() -> dict[str, Any]:
    return recipe_schema(sections())


@pytest.fixture(scope="module")
def validator(schema: dict[str, Any]) -> Draft202012Validator:
    Draft202012Validator.check_schema(schema)
    return Draft202012Validator(schema)


def test_every_transform_and_parameter_is_described(schema: dict[str, Any]) -> None:
    steps, emitters = (_offered(schema, section) for section in ("steps", "emit"))
    for name in registry.names():
        kind = registry.find(name)
        offered = emitters if issubclass(kind, Emitter) else steps
        assert offered[name]["description"]
        definition = schema["$defs"][name]
        assert definition["additionalProperties"] is False
        assert definition["properties"].keys() == kind.model_json_schema().get("properties", {}).keys()
        assert all(part.get("description") for part in definition["properties"].values()), name


def _offered(schema: dict[str, Any], section: str) -> dict[str, Any]:
    items = schema["properties"][section]["items"]
    step = items["anyOf"][0] if "anyOf" in items else items
    properties: dict[str, Any] = step["properties"]
    return properties


def _changed(change: Callable[[dict[str, Any]], Any]) -> dict[str, Any]:
    recipe = copy.deepcopy(BASE)
    change(recipe)
    return recipe


@pytest.mark.parametrize(
    "recipe",
    [
        _changed(lambda r: r.update(sed=1)),
        _changed(lambda r: r.update(version=2)),
        _changed(lambda r: r.update(name="../x")),
        _changed(lambda r: r.update(seed="x")),
        _changed(lambda r: r.update(seed=-1)),
        _changed(lambda r: r.update(steps=[])),
        _changed(lambda r: r.update(emit="llamafactory")),
        _changed(lambda r: r.pop("emit")),
        _changed(lambda r: r["steps"].append("guard.nonsense")),
        _changed(lambda r: r["steps"].append({"guard.image": {"min_sid_px": 1}})),
        _changed(lambda r: r["steps"].append({"guard.image": {"min_side_px": "1"}})),
        _changed(lambda r: r["steps"].append({"curate.split": {"val": 2}})),
        _changed(lambda r: r["steps"].append({"guard.image": {}, "curate.split": {}})),
        _changed(lambda r: r["steps"].append({"llamafactory": {}})),
        _changed(lambda r: r["emit"].append({"guard.image": {}})),
        _changed(lambda r: r.update(run={"workers": 0})),
        _changed(lambda r: r.update(llm={"provider": "mine"})),
    ],
)
def test_what_the_checker_refuses_the_schema_refuses(
    validator: Draft202012Validator, recipe: dict[str, Any], tmp_path: Path
) -> None:
    assert not validator.is_valid(recipe)
    path = tmp_path / "r.yaml"
    path.write_text(yaml.safe_dump(recipe, allow_unicode=True), "utf-8")
    with pytest.raises(DatakitError):
        load(path)


def test_recipe_of_the_test_itself_is_valid(validator: Draft202012Validator) -> None:
    assert [error.message for error in validator.iter_errors(BASE)] == []
    assert validator.is_valid({**BASE, "steps": [*BASE["steps"], {"guard.image": None}], "llm": None})
