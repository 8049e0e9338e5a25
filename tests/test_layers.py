"""Imports point one way, heavy packages load late, and every file stays of a size that can be read."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from datakit.core.registry import FOLDERS

PACKAGE = Path(__file__).resolve().parent.parent / "datakit"
MODULES = sorted(PACKAGE.rglob("*.py"))

BASE = {"core", "artifacts"}
TRANSFORMS = set(FOLDERS)
ALLOWED = {
    "core": {"core"},
    "artifacts": BASE,
    "recipe": {*BASE, "recipe"},
    "llm": {*BASE, "llm"},
    "pages": {"core", "pages"},
    "proxy": {"core", "proxy"},
    "personal": {"core", "personal"},
    **{folder: {*BASE, "llm", "proxy", "personal", folder} for folder in TRANSFORMS},
    "annotate": {*BASE, "llm", "proxy", "serving", "annotate"},
    "run": {*BASE, "recipe", "llm", "run"},
    "verdict": {*BASE, "pages", "verdict"},
    "cards": {*BASE, "pages", "verdict", "cards"},
    "reviewing": {*BASE, "pages", "verdict", "reviewing"},
    "training": {*BASE, "recipe", "training"},
    "checking": {*BASE, "recipe", "run", "training", "checking"},
    "evaluation": {*BASE, "pages", "verdict", "cards", "evaluation"},
    "serving": {*BASE, "recipe", "llm", "run", "serving"},
    "handoff": {*BASE, "cards", "checking", "llm", "run", "training", "evaluation", "serving", "handoff"},
    "kfold": {*BASE, "recipe", "run", "training", "handoff", "kfold"},
    "ablation": {*BASE, "recipe", "run", "training", "cards", "evaluation", "handoff", "kfold", "ablation"},
    "bundling": {
        *BASE,
        *("llm", "run", "training", "evaluation", "serving", "handoff", "ablation", "bundling"),
    },
    "testing": {*BASE, "llm", "recipe", "run", "testing"},
    "starting": {*BASE, "recipe", "run", "read", "library", "estimate", "starting"},
}
"""Folder -> folders that it may import. Files at the top and the command may import everything."""

HEAVY = {
    "aiohttp",
    "cv2",
    "datasets",
    "deepspeed",
    "IPython",
    "llamafactory",
    "matplotlib",
    "onnxruntime",
    "openai",
    "paddleocr",
    "pandas",
    "rapidocr",
    "ray",
    "rich",
    "scipy",
    "sklearn",
    "torch",
    "transformers",
    "vllm",
}
NEVER = {"vllm", "llamafactory", "deepspeed", "torch", "transformers"}
"""Packages of the trainer's environment; datakit writes their configuration and runs their command."""


def imports(path: Path, *, top_only: bool = False) -> Iterator[str]:
    """Names of imported modules; with `top_only` those that run when the module is imported."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    nodes = list(_top_nodes(tree)) if top_only else list(ast.walk(tree))
    for node in nodes:
        if isinstance(node, ast.Import):
            yield from (name.name for name in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module
            yield from (f"{node.module}.{name.name}" for name in node.names)


def _top_nodes(tree: ast.AST) -> Iterator[ast.AST]:
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
            continue
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.dump(node.test):
            continue
        yield node
        yield from _top_nodes(node)


def test_there_are_modules_to_look_at() -> None:
    assert len(MODULES) > 40
    assert {path.parent.name for path in MODULES} >= set(ALLOWED)


@pytest.mark.parametrize("path", MODULES, ids=lambda path: path.relative_to(PACKAGE).as_posix())
def test_imports_point_one_way(path: Path) -> None:
    folder = path.relative_to(PACKAGE).parts[0]
    if folder not in ALLOWED:
        return
    inner = {name.split(".")[1] for name in imports(path) if name.startswith("datakit.")}
    assert inner <= ALLOWED[folder], f"{path.name} may import {sorted(ALLOWED[folder])}"


@pytest.mark.parametrize("path", MODULES, ids=lambda path: path.relative_to(PACKAGE).as_posix())
def test_transforms_do_not_import_each_other(path: Path) -> None:
    folder = path.relative_to(PACKAGE).parts[0]
    if folder not in TRANSFORMS or path.name == "__init__.py":
        return
    own = [name for name in imports(path) if name.startswith(f"datakit.{folder}.")]
    public = [name for name in own if not name.split(".")[2].startswith("_")]
    assert public == [], "share behaviour through a private module or core"


@pytest.mark.parametrize("path", MODULES, ids=lambda path: path.relative_to(PACKAGE).as_posix())
def test_heavy_packages_are_imported_where_work_starts(path: Path) -> None:
    assert {name.split(".")[0] for name in imports(path, top_only=True)} & HEAVY == set()
    assert {name.split(".")[0] for name in imports(path)} & NEVER == set()


@pytest.mark.parametrize("path", MODULES, ids=lambda path: path.relative_to(PACKAGE).as_posix())
def test_files_stay_readable(path: Path) -> None:
    assert len(path.read_text(encoding="utf-8").splitlines()) <= 420


DECLARED = {"asks_model", "close", "files", "notes", "optional", "packages", "sources", "writer"}
"""What transforms and workers declare, so that nobody need feel for it."""


@pytest.mark.parametrize("path", MODULES, ids=lambda path: path.relative_to(PACKAGE).as_posix())
def test_nobody_feels_for_what_is_declared(path: Path) -> None:
    calls = [
        node for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))) if isinstance(node, ast.Call)
    ]
    felt = {
        node.args[1].value
        for node in calls
        if isinstance(node.func, ast.Name)
        and node.func.id in ("getattr", "hasattr")
        and isinstance(node.args[1], ast.Constant)
    }
    assert felt & DECLARED == set()


def test_help_loads_no_heavy_package_and_no_polars() -> None:
    code = (
        "import sys; from datakit.cli import run; run(['--help']); "
        "print([name for name in sys.modules if '.' not in name], file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    loaded = set(ast.literal_eval(done.stderr.strip().splitlines()[-1]))
    assert "Commands:" in done.stdout
    assert loaded & (HEAVY | {"polars", "numpy", "pydantic", "jinja2"}) == set()


def test_importing_the_library_loads_no_heavy_package() -> None:
    code = "import sys, datakit, datakit.library; print([name for name in sys.modules if '.' not in name])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert set(ast.literal_eval(done.stdout)) & HEAVY == set()
