"""What a transform is, does and takes, in words: for `datakit transforms`, docs/reference and editors."""

from __future__ import annotations

import inspect
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from pydantic import ValidationError

from datakit.core.errors import UserError
from datakit.core.parameters import validated
from datakit.core.plain_yaml import parse, yaml_inline
from datakit.core.registry import find, names
from datakit.core.regular_files import read_regular_text
from datakit.core.shipped import shipped_folder
from datakit.core.step_context import StepContext
from datakit.core.task_blocks import flat_steps
from datakit.core.transform import Annotator, Emitter, Guard, Reader, Renderer, TableTransform, Transform

KINDS: dict[type[Transform], str] = {
    Reader: "reader",
    Annotator: "annotator",
    Guard: "guard",
    TableTransform: "table",
    Renderer: "renderer",
    Emitter: "emitter",
}


@dataclass(frozen=True)
class Parameter:
    """One parameter of a transform or of a recipe's section."""

    name: str
    type: str
    required: bool
    default: Any
    help: str

    @property
    def default_text(self) -> str:
        """The default as YAML writes it, `required` where there is none."""
        return "required" if self.required else yaml_inline(self.default)


@dataclass(frozen=True)
class Entry:
    """One transform."""

    name: str
    kind: str
    summary: str
    """First line of the docstring: what comes out."""
    text: str
    """The whole docstring."""
    parameters: tuple[Parameter, ...]
    example: str
    """The step in a recipe, as YAML."""
    example_from: str
    """The shipped recipe that has it so; "" where none has the step with parameters."""
    inputs: tuple[str, ...] | None
    """Columns that the example reads; None when that depends on files that are not here."""
    outputs: dict[str, str] | None
    """Columns that the example adds or replaces, with their dtype; None as above."""
    version: int


_Shipped = tuple[str, str, dict[str, Any]]
"""A recipe's file, the name of one of its steps, and the step's parameters."""


def entries() -> list[Entry]:
    """Every transform, in the order of the flow."""
    shipped = list(_shipped_steps())
    return [_entry(name, shipped) for name in names()]


def entry(name: str) -> Entry:
    """What is known of one transform. Raises UserError with a did-you-mean for an unknown name."""
    return _entry(name, _shipped_steps())


def _entry(name: str, shipped: Iterable[_Shipped]) -> Entry:
    kind = find(name)
    text = inspect.cleandoc(kind.__doc__ or "")
    parameters = tuple(parameters_of(kind.model_json_schema()))
    example, step, recipe = _example(name, kind, parameters, shipped)
    inputs, outputs = _columns(step)
    return Entry(
        name=name,
        kind=kind_of(kind),
        summary=" ".join(text.split("\n\n", 1)[0].split()),
        text=text,
        parameters=parameters,
        example=example,
        example_from=recipe,
        inputs=inputs,
        outputs=outputs,
        version=kind.version,
    )


def kind_of(transform: type[Transform]) -> str:
    """reader, annotator, guard, table, renderer or emitter."""
    return next((word for kind, word in KINDS.items() if issubclass(transform, kind)), "transform")


def parameters_of(schema: dict[str, Any]) -> list[Parameter]:
    """The parameters that a JSON schema of a model describes."""
    required = schema.get("required", [])
    return [
        Parameter(
            name=name,
            type=type_text(part, schema.get("$defs", {})),
            required=name in required,
            default=part.get("default"),
            help=" ".join(part.get("description", "").split()),
        )
        for name, part in schema.get("properties", {}).items()
    ]


def type_text(part: dict[str, Any], defs: dict[str, Any]) -> str:
    """A JSON schema in words, such as `whole number >= 1 or null` or `list of text`."""
    if "$ref" in part:
        return type_text(defs.get(part["$ref"].rsplit("/", 1)[-1], {}), defs)
    if "const" in part:
        return yaml_inline(part["const"])
    if "enum" in part:
        return " | ".join(yaml_inline(value) for value in part["enum"])
    for key in ("anyOf", "oneOf"):
        if key in part:
            return " or ".join(dict.fromkeys(type_text(option, defs) for option in part[key]))
    kind = part.get("type")
    if kind == "array":
        return _array_text(part, defs)
    if kind == "object":
        inner = part.get("additionalProperties")
        return f"mapping of text to {type_text(inner, defs)}" if isinstance(inner, dict) else "mapping"
    words = {"integer": "whole number", "number": "number", "string": "text", "boolean": "true | false"}
    return words.get(str(kind), str(kind or "any value")) + _bounds(part)


def _array_text(part: dict[str, Any], defs: dict[str, Any]) -> str:
    if "prefixItems" in part:
        return f"list of {', '.join(type_text(item, defs) for item in part['prefixItems'])}"
    return f"list of {type_text(part.get('items', {}), defs)}"


def _bounds(part: dict[str, Any]) -> str:
    signs = {"minimum": ">=", "exclusiveMinimum": ">", "maximum": "<=", "exclusiveMaximum": "<"}
    bounds = [f"{sign} {part[key]:g}" for key, sign in signs.items() if key in part]
    return f" {', '.join(bounds)}" if bounds else ""


def _shipped_steps() -> Iterator[_Shipped]:
    """Steps and emitters of the shipped recipes that have parameters, by the names that recipes use."""
    for path in sorted(shipped_folder("recipes").glob("*.yaml"), reverse=True):
        document = parse(read_regular_text(path))
        for row in (*(row for _, row in flat_steps(document)), *document.get("emit", ())):
            if isinstance(row, dict):
                ((name, values),) = row.items()
                yield f"recipes/{path.name}", name, values or {}


def _example(
    name: str,
    kind: type[Transform],
    parameters: tuple[Parameter, ...],
    shipped: Iterable[_Shipped],
) -> tuple[str, Transform | None, str]:
    """The step as the first shipped recipe writes it, else with its required parameters; and that recipe."""
    short = name.removeprefix("emit.") if issubclass(kind, Emitter) else name
    for recipe, step_name, values in shipped:
        if step_name in (name, short):
            return f"- {step_name}: {yaml_inline(values)}", _try(kind, values), recipe
    if kind.example is not None:
        step = None if issubclass(kind, Reader) else _try(kind, kind.example)  # its source is not here
        return f"- {short}: {yaml_inline(kind.example)}", step, ""
    needed = ", ".join(f"{item.name}: <{item.type}>" for item in parameters if item.required)
    return f"- {short}: {{{needed}}}", _try(kind, {}), ""


def _try(kind: type[Transform], values: dict[str, Any]) -> Transform | None:
    try:
        return validated(kind, values)
    except (ValidationError, UserError):
        return None


def _columns(step: Transform | None) -> tuple[tuple[str, ...] | None, dict[str, str] | None]:
    if step is None:
        return None, None
    recipes = shipped_folder("recipes")
    context = StepContext(base=recipes, project=recipes.parent)
    try:
        outputs = step.columns(context) if isinstance(step, Reader) else step.outputs(context)
        return tuple(step.inputs(context)), {column: str(dtype) for column, dtype in outputs.items()}
    except (UserError, OSError):
        return None, None
