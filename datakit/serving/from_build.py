"""The serving plan of a finished build."""

from __future__ import annotations

from typing import Any

from pydantic import ValidationError

from datakit.artifacts.build_folder import BuildFolder
from datakit.core.errors import UserError
from datakit.core.parameters import described_faults, validated
from datakit.core.qwen_models import qwen_model
from datakit.serving.plan import ServingPlan, plan_serving
from datakit.serving.requirements import requirements_of
from datakit.serving.settings import ServeSettings


def plan_for(
    build: BuildFolder,
    model: str | None,
    changes: dict[str, Any],
    *,
    cpu: bool = False,
    untrained: bool = False,
) -> ServingPlan:
    """The plan of a build for `model`, or for what its training exported; `changes` replace settings.

    With `untrained`, a model that is not exported yet is planned for at the place where it will lie, by the
    architecture of its base.
    """
    recipe = build.recipe
    settings = _settings(recipe, changes)
    exported = build.exported()
    served = model or settings.model or (str(exported) if exported is not None else None)
    base = served
    if served is None and untrained and build.training_file is not None:
        served = str((build.path / str(build.export["export_dir"])).resolve())
        base = str(build.training["model_name_or_path"])
    if served is None or base is None:
        raise UserError(
            "there is no trained model to serve",
            remedy="Export it first (datakit export BUILD), or give --model with the merged folder.",
        )
    architecture = qwen_model(base)
    name = settings.name or str(recipe.get("name") or build.path.absolute().name)
    return plan_serving(
        architecture, requirements_of(build, architecture), settings, served=served, name=name, cpu=cpu
    )


def _settings(recipe: dict[str, Any], changes: dict[str, Any]) -> ServeSettings:
    try:
        settings: ServeSettings = validated(ServeSettings, {**(recipe.get("serve") or {}), **changes})
    except ValidationError as error:
        text, remedy = described_faults(error, ServeSettings)[0]
        raise UserError(f"`serve:` of the build's recipe: {text}", remedy=remedy) from None
    return settings
