"""A recipe's plain values as the frozen parameters of a transform or a section, and faults in words."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, TypeVar, get_args

from pydantic import BaseModel, ValidationError

from datakit.core.errors import did_you_mean

Model = TypeVar("Model", bound=BaseModel)


def validated(model: type[Model], values: Any) -> Model:
    """The model of a recipe's plain values. Raises pydantic's ValidationError.

    Checked as JSON: strict about types as Python values are, but a YAML list may fill a tuple, a number may
    be a mapping's key (a label called 3), and a date is the text that was written.
    """
    return model.model_validate_json(as_json(values))


def as_json(values: Any) -> str:
    """Values out of YAML or Python as JSON text; a path or a date as it is written, a model as its fields."""
    return json.dumps(with_text_keys(values), default=_as_written)


def as_plain(values: dict[str, Any]) -> dict[str, Any]:
    """Python values for strict fields: lists as tuples. Models stay as they are."""
    return {key: _without_lists(value) for key, value in with_text_keys(values).items()}


def with_text_keys(value: Any) -> Any:
    """`value` with every mapping key as text: YAML reads a label called 3 as a number."""
    if isinstance(value, dict):
        return {str(key): with_text_keys(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [with_text_keys(inner) for inner in value]
    return value


def _without_lists(value: Any) -> Any:
    if isinstance(value, list):
        return tuple(_without_lists(inner) for inner in value)
    if isinstance(value, dict):
        return {key: _without_lists(inner) for key, inner in value.items()}
    return value


def _as_written(value: Any) -> Any:
    return value.model_dump(mode="json", exclude_unset=True) if isinstance(value, BaseModel) else str(value)


def described_faults(error: ValidationError, model: type[BaseModel]) -> list[tuple[str, str]]:
    """Every fault of a validation in words."""
    return [describe_fault(fault, model) for fault in error.errors(include_url=False, include_context=False)]


def describe_fault(fault: Mapping[str, Any], model: type[BaseModel]) -> tuple[str, str]:
    """A pydantic fault in words: (what is wrong, what to do)."""
    location = [str(part) for part in fault["loc"]]
    name = ".".join(location)
    value = fault.get("input")
    if not location:
        text = str(fault["msg"]).removeprefix("Value error, ")
        return ("must be a mapping" if fault["type"] == "model_type" else text), ""
    if fault["type"] == "extra_forbidden":
        fields = list(_model_at(model, location[:-1]).model_fields)
        hint = did_you_mean(location[-1], fields)
        known = f"Known: {', '.join(fields)}." if fields else "It takes none."
        return f"unknown parameter `{name}` (value {value!r})", f"{hint} {known}".strip()
    if fault["type"] == "missing":
        return f"parameter `{name}` is missing", ""
    if fault["type"] == "fault":  # says by itself which parameter is wrong, and what to do
        return (text if name in (text := str(fault["msg"])) else f"`{name}`: {text}"), ""
    if fault["type"] == "value_error":
        return f"`{name}`: {fault['msg'].removeprefix('Value error, ')}", ""
    return f"`{name}`: {fault['msg'][0].lower()}{fault['msg'][1:]} (value {value!r})", ""


def _model_at(model: type[BaseModel], location: list[str]) -> type[BaseModel]:
    for part in location:
        info = model.model_fields.get(part)
        options = [info.annotation, *get_args(info.annotation)] if info else []
        inner = [item for item in options if isinstance(item, type) and issubclass(item, BaseModel)]
        if not inner:
            break
        model = inner[0]
    return model
