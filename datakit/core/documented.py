"""Models whose fields are described by the docstrings under them, read when a JSON schema is asked for.

pydantic's own `use_attribute_docstrings` parses the source of each class when the class is made: a sixth of
the start of a command, and only a schema and a reference page need the texts.
"""

from __future__ import annotations

import ast
import inspect
import itertools
import linecache
from collections.abc import Iterator
from functools import cache
from typing import Any

from pydantic import BaseModel


class Documented(BaseModel):
    """Base of models whose JSON schema has the docstring under a field as its description."""

    @classmethod
    def __get_pydantic_json_schema__(cls, core_schema: Any, handler: Any) -> dict[str, Any]:
        schema: dict[str, Any] = handler(core_schema)
        texts = field_texts(cls)
        properties = handler.resolve_ref_schema(schema).get("properties", {})
        for name, field in cls.model_fields.items():
            part = properties.get(field.alias or name)
            if part is not None and name in texts:
                part.setdefault("description", texts[name])
        return schema


def field_texts(model: type[BaseModel]) -> dict[str, str]:
    """Field -> its description: as stated, or else the docstring under it, of this class or of a base."""
    texts: dict[str, str] = {}
    for base in reversed(model.__mro__):
        if issubclass(base, BaseModel) and base is not BaseModel:
            texts |= _docstrings(base)
    stated = {name: field.description for name, field in model.model_fields.items() if field.description}
    return {name: text for name, text in {**texts, **stated}.items() if name in model.model_fields}


def _docstrings(kind: type) -> dict[str, str]:
    """Attribute -> the text under it; none where there is no source to read."""
    try:
        file = inspect.getsourcefile(kind)
    except (OSError, TypeError):
        return {}
    if file is None:
        return {}
    linecache.checkcache(file)
    return _in_classes("".join(linecache.getlines(file))).get(kind.__qualname__, {})


@cache
def _in_classes(source: str) -> dict[str, dict[str, str]]:
    """Qualified name of a class -> attribute -> the text under it.

    All classes of a file at once, because inspect.getsource parses the file for each of them.
    """
    try:
        tree = ast.parse(source)
    except SyntaxError:
        return {}
    found: dict[str, dict[str, str]] = {}
    for name, body in _classes(tree, ""):
        found.setdefault(name, _under_attributes(body))
    return found


def _classes(node: ast.AST, place: str) -> Iterator[tuple[str, list[ast.stmt]]]:
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.ClassDef):
            yield place + child.name, child.body
            yield from _classes(child, f"{place}{child.name}.")
        elif isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef):
            yield from _classes(child, f"{place}{child.name}.<locals>.")
        elif isinstance(child, ast.stmt | ast.ExceptHandler):
            yield from _classes(child, place)


def _under_attributes(body: list[ast.stmt]) -> dict[str, str]:
    return {
        field.target.id: inspect.cleandoc(text.value.value)
        for field, text in itertools.pairwise(body)
        if isinstance(field, ast.AnnAssign)
        and isinstance(field.target, ast.Name)
        and isinstance(text, ast.Expr)
        and isinstance(text.value, ast.Constant)
        and isinstance(text.value.value, str)
    }
