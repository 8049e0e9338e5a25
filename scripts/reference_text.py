"""What reference pages are made of: pages, tables, docstrings as Markdown."""

from __future__ import annotations

import ast
import inspect
import textwrap
from collections.abc import Iterable, Sequence
from typing import Any

GENERATED = "<!-- Made by scripts/make_reference.py out of the code: edit the docstrings, not this page. -->"
FLOW = ("read", "annotate", "guard", "curate", "balance", "render", "mix", "emit")


def page(title: str, *blocks: str) -> str:
    """A page of the site. Exactly one empty line between its blocks."""
    return "\n\n".join([GENERATED, f"# {title}", *(block.strip("\n") for block in blocks if block)]) + "\n"


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A Markdown table."""
    lines = [tuple(head), ("---",) * len(head), *rows]
    return "\n".join(f"| {' | '.join(cell.replace('|', '&#124;') for cell in line)} |" for line in lines)


def with_code(text: str) -> str:
    """Docstrings as they are; angle brackets outside code must not become HTML."""
    pieces = text.split("`")
    return "`".join(piece if at % 2 else piece.replace("<", "&lt;") for at, piece in enumerate(pieces))


def documented_constants(module: Any) -> dict[str, str]:
    """Names at the top of a module, or of a class, with the docstring that stands under them."""
    body = ast.parse(textwrap.dedent(inspect.getsource(module))).body
    if len(body) == 1 and isinstance(body[0], ast.ClassDef):
        body = body[0].body
    texts: dict[str, str] = {}
    name = ""
    for node in body:
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
            name = node.targets[0].id
            texts[name] = ""
        elif isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
            name = node.target.id
            texts[name] = ""
        elif isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and name:
            texts[name] = " ".join(str(node.value.value).split())
            name = ""
        else:
            name = ""
    return texts
