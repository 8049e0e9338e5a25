"""Parameters of a step or section, drawn from its own JSON schema."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cache
from typing import Any

from pydantic import BaseModel

from fuzzing.dice import Dice, Tree

Hints = Mapping[str, Callable[[], Any]]
"""Parameter -> how a value of it is drawn, where its schema says too little (columns, templates, paths)."""
NO_VALUE = object()
"""What a hint gives for a parameter that is to be left out."""


@cache
def schema_of(model: type[BaseModel]) -> Tree:
    """The JSON schema of a model."""
    return model.model_json_schema()


def parameters(dice: Dice, model: type[BaseModel], hints: Hints, share: float = 0.35) -> Tree:
    """Required parameters and a share of the others."""
    schema = schema_of(model)
    required = schema.get("required", ())
    drawn: Tree = {}
    for name, field in schema.get("properties", {}).items():
        if name not in required and not dice.maybe(share):
            continue
        value = hints[name]() if name in hints else value_of(dice, field, schema.get("$defs", {}))
        if value is not NO_VALUE:
            drawn[name] = value
    return drawn


def value_of(dice: Dice, field: Mapping[str, Any], definitions: Mapping[str, Any]) -> Any:
    """A value that the schema allows."""
    if "$ref" in field:
        return value_of(dice, definitions[field["$ref"].rsplit("/", 1)[-1]], definitions)
    for key in ("anyOf", "oneOf"):
        if key in field:
            return value_of(dice, dice.choice(field[key]), definitions)
    if "enum" in field:
        return dice.choice(field["enum"])
    if "const" in field:
        return field["const"]
    return _typed(dice, field, definitions)


def _typed(dice: Dice, field: Mapping[str, Any], definitions: Mapping[str, Any]) -> Any:
    kind = field.get("type")
    usual = field.get("default")
    if kind == "boolean":
        return dice.maybe(0.5)
    if kind == "integer":
        number = usual if isinstance(usual, int) else 3
        return dice.whole(field.get("minimum"), field.get("maximum"), number)
    if kind == "number":
        return _real(dice, field, usual if isinstance(usual, int | float) else 1.0)
    if kind == "array":
        least, most = field.get("minItems", 0), field.get("maxItems", 3)
        items = field.get("items", {"type": "string"})
        return [value_of(dice, items, definitions) for _ in range(dice.randint(least, max(least, most)))]
    if kind == "object":
        inner = field.get("properties")
        if inner:
            required = field.get("required", ())
            return {
                name: value_of(dice, value, definitions)
                for name, value in inner.items()
                if name in required or dice.maybe(0.4)
            }
        values = field.get("additionalProperties")
        values = values if isinstance(values, dict) else {"type": "string"}
        return {dice.word(): value_of(dice, values, definitions) for _ in range(dice.randint(0, 2))}
    if kind == "null":
        return None
    if "pattern" in field:
        return dice.one_of("notes", "seen_2", "extra")
    return dice.text() if field.get("maxLength", 9) > 1 else dice.one_of(",", ";", "\t", "|", "、")


def _real(dice: Dice, field: Mapping[str, Any], usual: float) -> float:
    least, most = field.get("minimum"), field.get("maximum")
    over, under = field.get("exclusiveMinimum"), field.get("exclusiveMaximum")
    low = over + 1e-6 if over is not None else least
    high = under - 1e-6 if under is not None else most
    return dice.real(low, high, usual)


def spoil(dice: Dice, tree: Any) -> None:
    """Puts a value beyond what is allowed somewhere into a tree, or takes a key away, in place."""
    places = list(_places(tree))
    if not places:
        return
    holder, key = dice.choice(places)
    if isinstance(holder, dict) and dice.maybe(0.15):
        holder[f"{key}{dice.one_of('_', 's', '2', '​')}"] = holder.pop(key)
    elif isinstance(holder, dict) and dice.maybe(0.1):
        del holder[key]
    else:
        holder[key] = dice.beyond(holder[key])


def _places(tree: Any) -> Any:
    pairs = tree.items() if isinstance(tree, dict) else enumerate(tree) if isinstance(tree, list) else ()
    for key, value in pairs:
        yield tree, key
        yield from _places(value)
