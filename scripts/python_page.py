"""docs/reference/python.md, out of docstrings: the library, the kinds of transform, the errors."""

from __future__ import annotations

import inspect
import textwrap
from functools import cache
from typing import Any

from reference_text import FLOW, documented_constants, page, table, with_code

import datakit as dk
from datakit.core import errors, transform
from datakit.recipe.reference import KINDS


def python() -> str:
    """The library's face, the kinds of transform and the errors."""
    listed = [f"[`{name}`](#{name.lower()})" for name in dk.__all__]
    transforms_by_folder = (
        "Transforms are classes in the folders of the flow, "
        + ", ".join(f"`dk.{folder}`" for folder in FLOW)
        + ": `dk.annotate.Ocr(into='ocr')` is `annotate.ocr: {into: ocr}` of a recipe. Parameters are those "
        "of [Transforms](transforms.md): a list is taken wherever YAML takes one, and a wrong parameter "
        "raises `RecipeErrors` with the words that a recipe would get."
    )
    kinds = [KIND_BASE, *KINDS]
    return page(
        "Python",
        "```python\nimport datakit as dk\n```",
        f"{', '.join(listed)}.",
        transforms_by_folder,
        *(block for name in dk.__all__ for block in _object(getattr(dk, name), f"dk.{name}", name)),
        "## Kinds of transform",
        "In `datakit.core.transform`, for packages with transforms of their own; see "
        "[Write a transform](../how-to/write-a-transform.md).",
        *(block for kind in kinds for block in _object(kind, kind.__name__, kind.__name__, level="###")),
        "## Errors",
        "In `datakit.core.errors`.",
        table(("error", "exit code", "meaning"), [_error(kind) for kind in _errors()]),
    )


KIND_BASE = transform.Transform


def _object(thing: Any, name: str, short: str, level: str = "##") -> list[str]:
    head = f"{level} {short} {{ #{short.lower()} }}"
    text = inspect.cleandoc(thing.__doc__ or "")
    signature = "" if issubclass_of(thing, transform.Transform) else _signature(thing)
    blocks = [head, f"```text\n{name}{signature}\n```" if signature else "", _prose(text)]
    if inspect.isclass(thing):
        blocks += [table(("member", "what it gives"), rows)] if (rows := _members(thing)) else []
    return blocks


def issubclass_of(thing: Any, kind: type) -> bool:
    """Whether it is a class of a kind."""
    return inspect.isclass(thing) and issubclass(thing, kind)


def _signature(thing: Any) -> str:
    text = str(inspect.signature(thing)).replace("'", "")
    pieces = [piece.strip() for piece in _split(text[1 : text.rindex(")")])]
    if len(text) <= 90 or not pieces:
        return text
    return "(\n" + "".join(f"    {piece},\n" for piece in pieces) + ")" + text[text.rindex(")") + 1 :]


def _split(text: str) -> list[str]:
    """Parameters, parted at commas outside brackets."""
    pieces, depth, start = [], 0, 0
    for at, char in enumerate(text):
        depth += (char in "([") - (char in ")]")
        if char == "," and not depth:
            pieces.append(text[start:at])
            start = at + 1
    return [*pieces, text[start:]]


def _prose(text: str) -> str:
    """A docstring as Markdown: its indented parts are code that other pages run, so they stay plain text."""
    blocks: list[str] = []
    for block in text.split("\n\n"):
        if block.startswith("    "):
            blocks.append(f"```text\n{textwrap.dedent(block)}\n```")
        else:
            blocks.append(with_code(block))
    return "\n\n".join(blocks)


def _members(kind: type) -> list[tuple[str, str]]:
    documented = _field_docs(kind)
    rows = [(f"`{name}`", with_code(text)) for name, text in documented.items() if text]
    listed: list[Any] = []
    for name, member in vars(kind).items():
        inner = member.fget if isinstance(member, property) else getattr(member, "func", member)
        inner = getattr(inner, "__func__", inner)
        text = inspect.getdoc(inner) if callable(inner) else None
        is_alias = any(inner is other for other in listed)  # methods of plug-ins for datakit 0.1
        if name.startswith("_") or not text or inspect.isclass(member) or is_alias:
            continue
        listed.append(inner)
        shown = f"`{name}`" if inner is not member and not _is_method(member) else f"`{name}{_short(inner)}`"
        rows.append((shown, with_code(" ".join(text.split("\n\n")[0].split()))))
    return rows


def _is_method(member: Any) -> bool:
    return isinstance(member, classmethod | staticmethod)


def _short(function: Any) -> str:
    stars = {inspect.Parameter.VAR_POSITIONAL: "*", inspect.Parameter.VAR_KEYWORD: "**"}
    parameters = inspect.signature(function).parameters.values()
    names = [
        stars.get(parameter.kind, "") + parameter.name
        for parameter in parameters
        if parameter.name not in ("self", "cls")
    ]
    return f"({', '.join(names)})"


def _field_docs(kind: type) -> dict[str, str]:
    return {name: text for name, text in documented_constants(kind).items() if not name.startswith("_")}


@cache
def _errors() -> tuple[type[errors.DatakitError], ...]:
    kinds = [kind for kind in vars(errors).values() if issubclass_of(kind, errors.DatakitError)]
    return tuple(kinds)


def _error(kind: type[errors.DatakitError]) -> tuple[str, str, str]:
    text = " ".join(inspect.cleandoc(kind.__doc__ or "").split("\n\n")[0].split())
    return f"`{kind.__name__}`", f"`{int(kind.exit_code)}`", with_code(text)
