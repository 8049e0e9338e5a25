"""What holds for every command: help with examples, words instead of tracebacks, a quick start."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from datakit.cli import COMMANDS
from datakit.core import registry

Run = Callable[..., Any]
PROGRAM = (sys.executable, "-m", "datakit.cli")
JSON_CALLS = [
    ("build", "recipes/toy.yaml", "--no-card", "--json"),
    ("plan", "recipes/toy.yaml", "--json"),
    ("why", "recipes/toy.yaml", "n1", "--json"),
    ("transforms", "--json"),
    ("transforms", "balance.resample", "--json"),
    ("schema",),
    ("doctor", "--json"),
    ("init", "--example", "new", "--json"),
]


@pytest.mark.parametrize("name", COMMANDS)
def test_help_has_a_summary_and_examples(datakit: Run, name: str) -> None:
    done = datakit(name, "--help")
    assert done.code == 0
    assert "Examples:" in done.out
    assert f"datakit {name}" in done.out.split("Examples:")[1]


@pytest.mark.parametrize("call", JSON_CALLS, ids=lambda call: " ".join(call[:2]))
def test_json_output_is_one_document_and_nothing_else(
    datakit: Run, recipe: Path, call: tuple[str, ...]
) -> None:
    done = datakit(*call)
    assert (done.code, done.err) == (0, "")
    json.loads(done.out)


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (("plam",), "Did you mean `plan`?"),
        (("kfold",), "Missing argument 'RECIPE'"),
        (("plan", "recipes/toy.yaml", "--limti", "3"), "--limit"),
        (("plan", "recipes/toy.yaml", "--limit", "0"), "--limit"),
        (("build", "nowhere.yaml"), "cannot read nowhere.yaml"),
        (("transforms", "balance.resampel"), "Did you mean `balance.resample`?"),
        (("schema", "-o", "nowhere/s.json"), "cannot write nowhere/s.json"),
        (("cache", "lss"), "lss"),
        (("doctor", "--project", "nowhere"), "nowhere"),
    ],
)
def test_wrong_call_ends_with_2_and_a_hint(
    datakit: Run, recipe: Path, call: tuple[str, ...], words: str
) -> None:
    done = datakit(*call)
    assert (done.code, words in done.err) == (2, True), done.err


def test_help_takes_less_than_0_3_seconds_of_the_processor() -> None:
    """Not of the clock, which runs on while other programs work."""
    times = []
    for _ in range(3):
        before = os.times()
        subprocess.run([*PROGRAM, "--help"], check=True, capture_output=True)
        after = os.times()
        times.append(
            after.children_user + after.children_system - before.children_user - before.children_system
        )
    assert min(times) < 0.3


def test_output_into_a_closed_pipe_is_no_error() -> None:
    command = f"'{sys.executable}' -m datakit.cli schema | head -c 1; exit ${{PIPESTATUS[0]}}"
    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


def test_list_of_transforms_names_every_one_with_its_summary(datakit: Run) -> None:
    first_words = {line.split()[0] for line in datakit("transforms").out.splitlines() if line.strip()}
    assert set(registry.names()) <= first_words


def test_one_transform_shows_parameters_columns_and_example(datakit: Run) -> None:
    out = datakit("transforms", "balance.resample").out
    assert "max_repeat: whole number >= 1 (default 3)" in out
    assert "gives repeat UInt32" in out
    assert "- balance.resample: {" in out


def test_schema_goes_to_a_file(datakit: Run, tmp_path: Path) -> None:
    done = datakit("schema", "-o", tmp_path / "s.json")
    assert (done.code, "Written" in done.out) == (0, True)
    assert json.loads((tmp_path / "s.json").read_text())["title"] == "datakit recipe"


def test_plugin_is_listed_and_offered_in_the_schema(datakit: Run, toys: None) -> None:
    assert "toy.numbers" in datakit("transforms").out
    assert "toy.numbers" in json.loads(datakit("schema").out)["$defs"]
