"""Nobody outside artifacts/ knows what the files of a build are called: the formats stay its own affair."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from datakit.artifacts import names

PACKAGE = Path(names.__file__).parent.parent
FILES = sorted(
    value
    for key, value in vars(names).items()
    if key.isupper() and "." in value  # folders have the names of columns and sections too
)
EXEMPT = {"artifacts", "bundling/payload"}
"""The owner, and what runs on a machine without datakit."""
NAMERS = {
    "ablation/packed_command.py": "the files beside an archive's trainings",
    "ablation/packed_results.py": "the files beside an archive's trainings",
    "bundling/ablation.py": "packs files as they are",
    "bundling/pack.py": "packs files as they are",
    "bundling/start_here.py": "lists what a bundle holds",
    "checking/data_set.py": "reads the trainer's index of any data set",
    "cli/scores.py": "the ledger of the project",
    "emit/llamafactory.py": "writes pictures, one by one",
    "evaluation/entering.py": "the ledger of the project",
    "evaluation/runs.py": "looks for files of answers",
    "evaluation/taking_over.py": "looks for files of answers",
    "handoff/bundle_settings.py": "reads what a bundle holds with the standard library",
    "handoff/doctor.py": "looks at the files of a bundle",
    "handoff/from_build.py": "digests files as they are",
    "handoff/packed.py": "digests files as they are",
    "read/_known_files.py": "tells a folder that is a build",
    "read/llamafactory.py": "reads the trainer's index of any data set",
    "run/engine.py": "writes rejects while the steps work",
    "starting/place.py": "a project's label file is called as a build's copy of it",
    "starting/sources.py": "tells a folder that is a build, and the trainer's index",
    "training/export.py": "the trainer's command names its file",
    "training/launch.py": "the trainer's command names its file",
    "training/run_claim.py": "a remedy names the files to edit",
    "training/run_folder.py": "an error names the file",
}
"""File -> why it may import the names. It names files; what they hold it learns from BuildFolder."""


def modules() -> Iterator[tuple[str, ast.Module]]:
    for path in sorted(PACKAGE.rglob("*.py")):
        place = path.relative_to(PACKAGE).as_posix()
        if not any(place.startswith(f"{folder}/") for folder in EXEMPT):
            yield place, ast.parse(path.read_text(encoding="utf-8"))


def paths_of_builds(tree: ast.AST) -> Iterator[str]:
    """Constants that are a file of a build, or a path or pattern that ends in one. Sentences are neither."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and " " not in node.value:
            for name in FILES:
                if node.value == name or node.value.endswith(f"/{name}"):
                    yield f"line {node.lineno}: {node.value!r}"


@pytest.mark.parametrize(
    ("line", "found"),
    [
        ('open(folder / "manifest.json")', True),
        ('root.glob("build/*/records.parquet")', True),
        ('open(f"{folder}/recipe.yaml")', True),
        ('raise UserError("report.json cannot be read")', False),
        ('call("rejects.jsonl.gz")', False),
    ],
)
def test_names_are_told_from_sentences(line: str, found: bool) -> None:
    assert bool(list(paths_of_builds(ast.parse(line)))) is found


def test_every_file_of_a_build_has_a_name() -> None:
    assert {"manifest.json", "report.json", "emitted.json", "recipe.yaml", "check.json"} <= set(FILES)
    assert len(FILES) >= 15


def test_no_module_outside_artifacts_names_a_file_of_a_build() -> None:
    found = {place: list(paths_of_builds(tree)) for place, tree in modules()}
    assert len(found) > 100
    assert {place: where for place, where in found.items() if where} == {}, "ask BuildFolder or BuildDraft"


def test_only_those_with_a_reason_import_the_names() -> None:
    importers = {
        place
        for place, tree in modules()
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom)
        and (
            node.module == "datakit.artifacts.names"
            or (node.module == "datakit.artifacts" and any(name.name == "names" for name in node.names))
        )
    }
    assert importers == set(NAMERS)
