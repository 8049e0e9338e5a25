"""Every name of the library's face has an example in its docstring, and it runs."""

from __future__ import annotations

import doctest
import json
import shutil
from pathlib import Path

import pytest

import datakit as dk
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


@pytest.mark.parametrize("name", dk.__all__)
def test_example_of_the_docstring_runs(
    built: Path, name: str, server: Loopback, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(built)
    monkeypatch.setenv("VLLM_API_KEY", KEY)
    server.script = lambda call: Reply(content="退货页面")
    thing = getattr(dk, name)
    finder = doctest.DocTestFinder(recurse=False)
    (test,) = finder.find(thing, name, globs={})
    assert test.examples, f"dk.{name} has no example"
    for example in test.examples:
        example.source = example.source.replace(SERVED, server.url)
    said: list[str] = []
    runner = doctest.DocTestRunner(optionflags=doctest.NORMALIZE_WHITESPACE | doctest.ELLIPSIS)
    runner.run(test, out=said.append)
    assert not runner.failures, "".join(said)
