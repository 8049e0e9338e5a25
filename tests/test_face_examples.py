"""Every name of the library's face, and of what it gives, has an example in its docstring, and it runs."""

from __future__ import annotations

import doctest
import inspect
import json
import shutil
from collections.abc import Iterator
from functools import cached_property
from pathlib import Path
from typing import Any

import pytest

import datakit as dk
from datakit import notebook, opened_build, plots, shown, shown_records
from tests.support.loopback import KEY, Loopback, Reply

SERVED = "http://127.0.0.1:8000/v1"
"""The address that examples show; that of a server of the test takes its place."""
ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project of the shipped files with the build that the examples speak of, and right answers to it."""
    project = tmp_path_factory.mktemp("face") / "project"
    for name in ("recipes", "templates", "examples"):
        shutil.copytree(ROOT / name, project / name)
    dk.build(project / "recipes" / "ecom_v1.yaml")
    folder = project / "build" / "ecom_v1"
    val = dk.open_build(folder).records.filter(split="val").select("id", "label").collect()
    rows = [{"id": id_, "predicted": label} for id_, label in val.iter_rows()]
    (project / "answers.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")
    return project


GIVERS = (notebook, opened_build, plots, shown, shown_records)
"""Modules whose classes people hold in their hands."""


def given_classes() -> list[type]:
    """The classes of the face, and those that its functions and their members give."""
    face = [getattr(dk, name) for name in dk.__all__]
    held = [
        kind
        for module in GIVERS
        for kind in vars(module).values()
        if inspect.isclass(kind) and kind.__module__ == module.__name__ and not kind.__name__.startswith("_")
    ]
    own = {kind for kind in (*face, *held) if inspect.isclass(kind) and kind is not shown.Shown}
    return sorted(own, key=lambda kind: kind.__name__)


def members(kind: type) -> Iterator[str]:
    """Names of the methods and properties that a class adds to its bases."""
    for name, member in vars(kind).items():
        is_own = isinstance(member, property | cached_property | classmethod) or inspect.isfunction(member)
        if is_own and not name.startswith("_"):
            yield name


PARTS = sorted(
    {(name, "") for name in dk.__all__ if not inspect.isclass(getattr(dk, name))}
    | {(kind.__name__, name) for kind in given_classes() for name in ("", *members(kind))}
)


def examples(thing: Any, name: str, globs: dict[str, Any], url: str) -> doctest.DocTest:
    """The examples of a docstring, which ask the server at `url`."""
    text = inspect.getdoc(thing) or ""
    test = doctest.DocTestParser().get_doctest(text, globs, name, None, 0)
    for example in test.examples:
        example.source = example.source.replace(SERVED, url)
    return test


def run(test: doctest.DocTest) -> dict[str, Any]:
    """The names that the examples left."""
    said: list[str] = []
    runner = doctest.DocTestRunner(optionflags=doctest.NORMALIZE_WHITESPACE | doctest.ELLIPSIS)
    runner.run(test, out=said.append, clear_globs=False)
    assert not runner.failures, "".join(said)
    return test.globs


@pytest.mark.parametrize(("name", "member"), PARTS)
def test_example_of_the_docstring_runs(
    built: Path, name: str, member: str, server: Loopback, monkeypatch: pytest.MonkeyPatch
) -> None:
    """That of a member stands in its own docstring, and goes on from its class's, or in that of the class."""
    monkeypatch.chdir(built)
    monkeypatch.setenv("VLLM_API_KEY", KEY)
    server.models = ("shop-7b",)
    server.script = lambda call: Reply(content="退货页面")
    classes = {kind.__name__: kind for kind in given_classes()}
    thing = classes[name] if name in classes else getattr(dk, name)
    of_all = examples(thing, name, {}, server.url)
    assert of_all.examples, f"{name} has no example"
    names = run(of_all)
    if member and not any(f".{member}" in example.source for example in of_all.examples):
        own = examples(inspect.getattr_static(thing, member), f"{name}.{member}", names, server.url)
        assert own.examples, f"{name}.{member} has no example"
        run(own)


def test_there_are_members_to_look_at() -> None:
    assert {("Records", "filter"), ("Plots", "confusion"), ("OpenedBuild", "why"), ("ShownPlan", "")} <= {
        *PARTS
    }
    assert len(PARTS) > 60
