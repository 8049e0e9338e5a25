"""SECURITY.md's table of faults out of the markers of the tests, and the page of the site out of SECURITY.md.

A marker is `@pytest.mark.fault(fault, outcome, kind=...)`, three plain texts, above a test. Tests are parsed
and never imported.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from reference_text import table, with_code

KINDS = {
    "store": "The result store",
    "folders": "Folders and files of the user",
    "inputs changed": "Inputs that change during a build",
    "signals": "Signals and kills",
    "processes": "Trainer and server as processes",
    "secrets": "Secrets",
    "scripts": "Generated scripts and configurations",
    "pages": "Cards, pages, tables and the terminal",
    "bounds": "Broken and hostile inputs",
    "answers": "Answers and servers",
    "dependencies": "Dependencies",
}
"""`kind` of a marker -> the heading of its rows, in the order of the page."""
_FORM = '@pytest.mark.fault("what goes wrong", "what comes of it", kind="...")'
_LINK = re.compile(r"\]\((?!#)([\w./-]+)")


@dataclass(frozen=True)
class Fault:
    """One row: what goes wrong, what comes of it, and the test that shows it."""

    kind: str
    fault: str
    outcome: str
    test: str
    """Its node id, as pytest takes it."""


def faults(tests: Path) -> list[Fault]:
    """Every marker below `tests`, by file and line. Raises ValueError naming all that cannot be read."""
    rows: list[Fault] = []
    wrong: list[str] = []
    for path in sorted(tests.rglob("test_*.py")):
        text = path.read_text("utf-8")
        if "mark.fault" in text:
            place = path.relative_to(tests.parent).as_posix()
            for line, row in _rows(ast.parse(text), place):
                if isinstance(row, Fault):
                    rows.append(row)
                else:
                    wrong.append(f"{place}:{line}: {row}")
    if wrong:
        raise ValueError("\n".join([*wrong, f"A marker has the form {_FORM}", f"kind: {', '.join(KINDS)}"]))
    return rows


def fault_table(rows: list[Fault]) -> str:
    """A heading and a table for each kind. Raises ValueError for a kind without a row."""
    parts = []
    for kind, title in KINDS.items():
        cells = [
            (with_code(row.fault), with_code(row.outcome), f"`{row.test}`")
            for row in rows
            if row.kind == kind
        ]
        if not cells:
            raise ValueError(f"no test is marked with kind={kind!r}: {_FORM}")
        parts += [f"### {title}", table(("fault", "outcome", "shown by"), cells)]
    return "\n\n".join(parts)


def page(text: str) -> str:
    """SECURITY.md as a page of docs/explanation: links of the repository's top lead out of docs/."""
    linked = _LINK.sub(lambda link: f"]({_from_explanation(link[1])}", text)
    return f"<!-- Made by scripts/make_reference.py out of SECURITY.md. -->\n\n{linked}"


def _from_explanation(target: str) -> str:
    if not target.startswith("docs/"):
        raise ValueError(f"SECURITY.md links to {target}, which is not in docs/: the site cannot show it")
    return f"../{target.removeprefix('docs/')}"


def _rows(tree: ast.Module, place: str) -> Iterator[tuple[int, Fault | str]]:
    """Line of each marker with its row, or with what is wrong about it."""
    lines = {node.lineno for node in ast.walk(tree) if isinstance(node, ast.expr) and _is_marker(node)}
    for test, name in _tests(tree.body, place):
        for decorator in test.decorator_list:
            marker = decorator.func if isinstance(decorator, ast.Call) else decorator
            if _is_marker(marker):
                lines.discard(marker.lineno)
                yield decorator.lineno, _row(decorator, name)
    yield from ((line, "it does not stand above a test") for line in sorted(lines))


def _tests(body: list[ast.stmt], place: str) -> Iterator[tuple[ast.FunctionDef | ast.AsyncFunctionDef, str]]:
    """The tests that pytest collects, with their node ids."""
    for node in body:
        if isinstance(node, ast.ClassDef) and node.name.startswith("Test"):
            yield from _tests(node.body, f"{place}::{node.name}")
        elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name.startswith("test_"):
            yield node, f"{place}::{node.name}"


def _is_marker(node: ast.expr) -> bool:
    return isinstance(node, ast.Attribute) and ast.unparse(node).endswith("mark.fault")


def _row(marker: ast.expr, test: str) -> Fault | str:
    if not isinstance(marker, ast.Call) or len(marker.args) != 2:
        return "it takes two texts"
    if [word.arg for word in marker.keywords] != ["kind"]:
        return "kind= is missing"
    texts = [_text(node) for node in (*marker.args, marker.keywords[0].value)]
    if not all(texts):
        return "its texts must be written out, in one line each, and not be empty"
    fault, outcome, kind = texts
    if kind not in KINDS:
        return f"there is no kind {kind!r}"
    return Fault(kind, fault, outcome, test)


def _text(node: ast.expr) -> str:
    """The text that a literal holds; empty for anything else, and for one of several lines."""
    value = node.value if isinstance(node, ast.Constant) else None
    return value.strip() if isinstance(value, str) and len(value.splitlines()) == 1 else ""
