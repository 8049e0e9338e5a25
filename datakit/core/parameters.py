"""A recipe's plain values as the frozen parameters of a transform or a section, and faults in words."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, TypeVar, Union, get_args, get_origin

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
    return [describe_fault(fault, model) for fault in merged_faults(error, model)]


def merged_faults(error: ValidationError, model: type[BaseModel]) -> list[Mapping[str, Any]]:
    """The faults as the user's file has them: of a value that may be of several kinds, those of its own kind.

    pydantic tries each kind (`str | tuple[str, ...]`), tells the faults of all, and puts the kind's name into
    the place, where the file has none.
    """
    groups: dict[tuple[Any, ...], list[Mapping[str, Any]]] = {}
    for number, fault in enumerate(error.errors(include_url=False, include_context=False)):
        kinds = _kinds_in(fault["loc"], model)
        groups.setdefault(fault["loc"][: kinds[0]] if kinds else (number,), []).append(
            {**fault, "kinds": kinds}
        )
    return [fault for group in groups.values() for fault in _of_own_kind(group)]


def _of_own_kind(group: list[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """The faults of one value without those of kinds that it is not, or the one that it is none of them."""
    if not group[0]["kinds"]:
        return group
    own = [fault for fault in group if not _is_other_kind(fault)]
    if own:
        return [
            {**fault, "loc": tuple(part for at, part in enumerate(fault["loc"]) if at not in fault["kinds"])}
            for fault in own
        ]
    first = group[0]
    loc = first["loc"][: first["kinds"][0]]
    wanted = " or ".join(dict.fromkeys(_kind_words(fault) for fault in group))
    name = ".".join(map(str, loc))
    return [
        {**first, "loc": loc, "type": "fault", "msg": f"`{name}` must be {wanted}, not {first['input']!r}"}
    ]


def _is_other_kind(fault: Mapping[str, Any]) -> bool:
    if len(fault["loc"]) != fault["kinds"][0] + 1:
        return False
    is_literal = fault["type"] == "literal_error"
    return str(fault["type"]).endswith("_type") or (is_literal and not isinstance(fault["input"], str))


def _kind_words(fault: Mapping[str, Any]) -> str:
    if fault["type"] == "literal_error":
        return str(fault["msg"]).removeprefix("Input should be ")
    return _KIND_WORDS.get(str(fault["type"]).removesuffix("_type"), str(fault["type"]).removesuffix("_type"))


_KIND_WORDS = {
    "string": "a text",
    "tuple": "a list",
    "list": "a list",
    "dict": "a mapping",
    "model": "a mapping",
    "model_attributes": "a mapping",
    "int": "a whole number",
    "float": "a number",
    "bool": "true or false",
}


def _kinds_in(loc: tuple[Any, ...], model: Any) -> list[int]:
    """Where in the place of a fault the names of kinds stand, which pydantic puts behind a union's field."""
    kinds, annotation = [], model
    for at, part in enumerate(loc):
        members = _members(annotation)
        if len(members) > 1:
            kinds.append(at)
            annotation = next((member for member in members if _is_named(member, str(part))), None)
        else:
            annotation = _inner(members[0], part) if members else None
    return kinds


def _members(annotation: Any) -> list[Any]:
    """The kinds that an annotation allows besides null; one for what is no union."""
    while get_origin(annotation) is Annotated:
        annotation = get_args(annotation)[0]
    if get_origin(annotation) not in (Union, UnionType):
        return [annotation]
    return [member for member in get_args(annotation) if member is not NoneType]


def _is_named(member: Any, kind: str) -> bool:
    [plain, *_] = _members(member)
    origin = get_origin(plain) or plain
    name = getattr(origin, "__name__", str(origin))
    return kind.startswith(f"{name}[") or kind.endswith((name, f"{name}]"))


def _inner(annotation: Any, part: Any) -> Any:
    """What an annotation says of a part of its value; None where it says nothing."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        info = annotation.model_fields.get(str(part))
        return info.annotation if info else None
    values = [value for value in get_args(annotation) if value is not Ellipsis]
    return values[-1] if values and get_origin(annotation) is not Literal else None


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
    values = re.findall("'([^']*)'", fault["msg"]) if fault["type"] == "literal_error" else []
    hint = did_you_mean(str(value), values)
    return f"`{name}`: {fault['msg'][0].lower()}{fault['msg'][1:]} (value {value!r})", hint


def _model_at(model: type[BaseModel], location: list[str]) -> type[BaseModel]:
    for part in location:
        info = model.model_fields.get(part)
        options = [info.annotation, *get_args(info.annotation)] if info else []
        inner = [item for item in options if isinstance(item, type) and issubclass(item, BaseModel)]
        if not inner:
            break
        model = inner[0]
    return model
