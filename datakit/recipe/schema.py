"""The JSON Schema of recipes: completion, help and red lines in any editor that knows YAML schemas."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel

from datakit.core.contract_words import LANGUAGES
from datakit.core.registry import find, names
from datakit.core.settings import LlmSettings, RunSettings, Settings
from datakit.core.task_blocks import TASK
from datakit.core.transform import Emitter
from datakit.recipe.recipe import VERSION
from datakit.recipe.task_settings import TaskSettings

DIALECT = "https://json-schema.org/draft/2020-12/schema"
JSON = dict[str, Any]


def recipe_schema(sections: Mapping[str, type[Settings]] | None = None) -> JSON:
    """The schema (draft 2020-12) of a recipe, with every transform's parameters and help.

    `sections` gives the models of later stages' sections, as for `load_recipe`.
    """
    definitions: JSON = {}
    steps = {name: find(name) for name in names()}
    emitters = {name: kind for name, kind in steps.items() if issubclass(kind, Emitter)}
    models: dict[str, type[BaseModel]] = {"llm": LlmSettings, "run": RunSettings, **(sections or {})}
    return {
        "$schema": DIALECT,
        "title": "datakit recipe",
        "description": "Sources, steps, emitters and settings of a data set. Make it: datakit build RECIPE",
        "type": "object",
        "additionalProperties": False,
        "required": ["steps", "emit"],
        "properties": {
            "version": {"const": VERSION, "description": "Version of the recipe's language."},
            "name": {
                "type": "string",
                "pattern": "^[\\w-]+$",
                "description": "Name of the build and its files; the recipe's file name when not given.",
            },
            "seed": {
                "type": "integer",
                "minimum": 0,
                "default": 7,
                "description": "Where all randomness starts from.",
            },
            "language": {
                "type": ["string", "null"],
                "enum": [*LANGUAGES, None],
                "description": "Language of the shipped prompts: `zh` or `en`.",
            },
            "labels": {"type": ["string", "null"], "description": "Path of the label file, from the recipe."},
            "steps": _steps(
                {name: kind for name, kind in steps.items() if name not in emitters},
                definitions,
                "What is done with the records, in this order; the first step is a reader.",
                blocks=True,
            ),
            "emit": _steps(
                {short: kind for name, kind in emitters.items() for short in _spellings(name)},
                definitions,
                "What is written at the end.",
            ),
            **{key: _or_null(_model(model, key, definitions)) for key, model in models.items()},
        },
        "$defs": definitions,
    }


def _spellings(name: str) -> tuple[str, ...]:
    return (name.removeprefix("emit."), name) if name.startswith("emit.") else (name,)


def _steps(
    kinds: Mapping[str, type[BaseModel]], definitions: JSON, help_: str, *, blocks: bool = False
) -> JSON:
    """A list whose items are `name: {parameters}`, or the bare name where no parameter is required."""
    properties: JSON = {}
    bare: list[str] = []
    for name, kind in kinds.items():
        model = _model(kind, _definition_name(kind), definitions)
        optional = not definitions[_definition_name(kind)].get("required")
        properties[name] = {**(_or_null(model) if optional else model), "description": _summary(kind)}
        if optional:
            bare.append(name)
    step = {
        "type": "object",
        "minProperties": 1,
        "maxProperties": 1,
        "additionalProperties": False,
        "properties": properties,
    }
    if blocks:
        _add_blocks(step, bare, definitions)
    items = {"anyOf": [step, {"type": "string", "enum": bare}]} if bare else step
    return {"type": "array", "minItems": 1, "items": items, "description": help_}


def _add_blocks(step: JSON, bare: list[str], definitions: JSON) -> None:
    """Lets a step be a task block, whose own steps are as the step was before."""
    own = {**step, "properties": dict(step["properties"])}
    reference = _model(TaskSettings, TASK, definitions)
    definitions[TASK]["properties"]["steps"] = {
        **{key: value for key, value in definitions[TASK]["properties"]["steps"].items() if key != "items"},
        "items": {"anyOf": [own, {"type": "string", "enum": list(bare)}]},
    }
    step["properties"][TASK] = {**reference, "description": _summary(TaskSettings)}


def _model(model: type[BaseModel], name: str, definitions: JSON) -> JSON:
    """A reference to the model's schema, which goes with all that it refers to into `definitions`."""
    if name not in definitions:
        schema = model.model_json_schema(ref_template=f"#/$defs/{name}.{{model}}")
        for inner, part in schema.pop("$defs", {}).items():
            definitions[f"{name}.{inner}"] = part
        schema["description"] = _summary(model)
        schema.pop("title", None)
        definitions[name] = schema
    return {"$ref": f"#/$defs/{name}"}


def _definition_name(kind: type[BaseModel]) -> str:
    name: str = kind.name()  # type: ignore[attr-defined]
    return name


def _or_null(schema: JSON) -> JSON:
    return {"anyOf": [schema, {"type": "null"}]}


def _summary(model: type[BaseModel]) -> str:
    return " ".join(inspect.cleandoc(model.__doc__ or "").split("\n\n", 1)[0].split())
