"""The serving plan of a finished build."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError

from datakit.core.errors import UserError
from datakit.core.parameters import describe_fault, validated
from datakit.core.qwen_models import qwen_model
from datakit.serve.demand import demand_of
from datakit.serve.plan import ServingPlan, plan_serving
from datakit.serve.settings import ServeSettings

RECIPE = "recipe.yaml"
EXPORT = "export.yaml"


def plan_for(build: Path, model: str | None, changes: dict[str, Any], *, cpu: bool = False) -> ServingPlan:
    """The plan of a build for `model`, or for what its training exported; `changes` replace settings."""
    recipe = recipe_data(build)
    settings = _settings(recipe, changes)
    served = model or settings.model or exported(build)
    if served is None:
        raise UserError(
            "there is no trained model to serve",
            remedy="Export it first (datakit export BUILD), or give --model with the merged folder.",
        )
    found = qwen_model(served)
    name = settings.name or str(recipe.get("name") or build.absolute().name)
    return plan_serving(found, demand_of(build, found), settings, served=served, name=name, cpu=cpu)


def recipe_data(build: Path) -> dict[str, Any]:
    """The recipe of a build as plain data. Raises UserError for a folder that is no build."""
    if not build.is_dir():
        raise UserError(f"there is no build at {build}", remedy="Make it: datakit build recipes/<name>.yaml")
    try:
        found = yaml.safe_load((build / RECIPE).read_text("utf-8"))
    except FileNotFoundError:
        raise UserError(
            f"{build} is no build ({RECIPE} is missing)", remedy="Make it: datakit build recipes/<name>.yaml"
        ) from None
    except (OSError, yaml.YAMLError, UnicodeDecodeError) as error:
        raise UserError(f"cannot read {build / RECIPE}: {error}", remedy="Build again.") from None
    if not isinstance(found, dict):
        raise UserError(f"{build / RECIPE} is damaged", remedy="Build again.")
    return found


def exported(build: Path) -> str | None:
    """The folder that the training's export fills, when it holds a model."""
    try:
        keys = yaml.safe_load((build / EXPORT).read_text("utf-8"))
        folder = (build / keys["export_dir"]).resolve()
    except (OSError, yaml.YAMLError, KeyError, TypeError):
        return None
    return str(folder) if (folder / "config.json").is_file() else None


def _settings(recipe: dict[str, Any], changes: dict[str, Any]) -> ServeSettings:
    try:
        found: ServeSettings = validated(ServeSettings, {**(recipe.get("serve") or {}), **changes})
    except ValidationError as error:
        text, remedy = describe_fault(
            error.errors(include_url=False, include_context=False)[0], ServeSettings
        )
        raise UserError(f"`serve:` of the build's recipe: {text}", remedy=remedy) from None
    return found
