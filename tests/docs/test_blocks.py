"""Every command, recipe, template and Python block of the documents does what it says.

A page is one scenario: its blocks run in order in a project of their own, made of the shipped recipes,
templates and examples. A block with a title is written to that file. A page may ask for a server by a comment
at its end.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import orjson
import pytest
import yaml
from jinja2 import Environment

import datakit as dk
from datakit.core.labels import load_labels
from datakit.core.registry import names
from datakit.recipe.recipe import TOP
from tests.support.kept_python import KeptPython
from tests.support.loopback import KEY, Call, Loopback, Reply
from tests.support.loopback_batches import LoopbackBatches
from tests.support.markdown_blocks import (
    PAGES,
    ROOT,
    Block,
    blocks_of,
    command_lines,
    fault_of,
    inline_commands,
    server_of,
    shown_commands,
)

BLOCKS = [block for page in PAGES for block in blocks_of(page)]
RUN, WRITTEN, PLAIN = {"bash", "python"}, {"yaml", "jinja", "json", "csv", "toml"}, {"text"}
RUN_ELSEWHERE = {"build-command", "test-command"}
"""Markers of the two commands that tests/test_readme_commands.py runs in clean environments."""
OTHER_PROGRAMS = {
    "tar",
    "pip",
    "createuser",
    "createdb",
    "vllm",
    "nox",
    "ray",
    "pre-commit",
    "export",
    "bash",
    "python3",
    "python",
    ".",
}
"""What a block that is not run may call besides datakit and the files of this repository."""
IN_PLUGIN = "from examples/plugin/"
"""Marker of a block that is a part of that package: tests/test_example_plugin.py holds it equal and runs it.
In a page's scenario the package is installed where its entry points are shown."""
BLOCK_S = 300
SERVED = "http://127.0.0.1:8000/v1"
"""The address that pages show; where a served model stands in, its own address takes its place."""


def runs(block: Block) -> bool:
    elsewhere = block.marker in RUN_ELSEWHERE or block.marker.startswith(IN_PLUGIN)
    return block.language in RUN and not block.not_run and not elsewhere


def ids(block: Block) -> str:
    return block.where


def test_there_are_blocks_of_every_kind_on_many_pages() -> None:
    assert len(PAGES) > 20
    assert len([block for block in BLOCKS if runs(block)]) > 30
    assert {block.language for block in BLOCKS} >= RUN | {"yaml", "jinja"}
    tutorials = {page for page in PAGES if page.parent.name in ("tutorials", "how-to")}
    assert {block.page for block in BLOCKS if runs(block)} >= tutorials | {ROOT / "README.md"}


def test_every_block_is_of_a_kind_that_is_looked_at() -> None:
    assert [block.where for block in BLOCKS if block.language not in RUN | WRITTEN | PLAIN] == []
    assert [block.where for block in BLOCKS if block.marker.startswith("not run") and not block.not_run] == []
    elsewhere = [block for block in BLOCKS if block.marker in RUN_ELSEWHERE]
    assert len(elsewhere) == 2
    assert all(
        f'"{block.marker}"' in (ROOT / "tests/test_readme_commands.py").read_text() for block in elsewhere
    )


def test_command_lines_are_taken_apart() -> None:
    text = "A=1 datakit build x --limit 2 > y || test $? = 1\ndatakit cache ls  # all\n"
    commands = [words for words in command_lines(text) if words]
    assert commands == [
        ["datakit", "build", "x", "--limit", "2"],
        ["test", "$?", "=", "1"],
        ["datakit", "cache", "ls"],
    ]
    assert fault_of(["datakit", "build", "x", "--limit", "2"]) == ""
    assert "No such option" in fault_of(["datakit", "build", "x", "--limits", "2"])
    assert fault_of(["datakit", "bild", "x"]) == "no command bild"
    assert fault_of(["datakit", "cache", "gc", "x"]) == "['x'] is too much"


# every command line, run or not


@pytest.mark.parametrize("block", [block for block in BLOCKS if block.language in {"bash", "text"}], ids=ids)
def test_commands_have_only_options_that_exist(block: Block) -> None:
    lines = [block.text] if block.language == "bash" else shown_commands(block)
    for words in (words for line in lines for words in command_lines(line) if words):
        program = words[0].removeprefix(".venv/bin/").removeprefix(".venv-test/bin/")
        if program == "datakit":
            assert fault_of([program, *words[1:]]) == "", f"{block.where}: {' '.join(words)}"
        elif block.not_run:
            packed = "-bundle/" in program or "-ablation/" in program
            known = program in OTHER_PROGRAMS or (ROOT / program).is_file() or packed
            assert known, f"{block.where}: {program} is neither of this repository nor known"


def test_commands_in_running_text_have_only_options_that_exist() -> None:
    sessions = set(re.findall(r"^def (\w+)\(session", (ROOT / "noxfile.py").read_text(), re.MULTILINE))
    found = [(page, command) for page in PAGES for command in inline_commands(page)]
    assert len(found) > 30
    for page, command in found:
        words = next(command_lines(command))
        if words[0] == "nox":
            assert words[1:3] in ([], ["--list"], ["-s"]) or words[2] in sessions, (page, command)
        else:
            fault = fault_of(words)  # prose may name an option without a value
            assert fault == "" or fault.endswith("requires an argument."), (page, command, fault)


# recipes, templates, data


@pytest.mark.parametrize("block", [block for block in BLOCKS if block.language in WRITTEN - {"csv"}], ids=ids)
def test_written_blocks_are_valid(block: Block, project: Path) -> None:
    if block.language == "jinja":
        Environment().parse(block.text)
    elif block.language == "toml":
        tomllib.loads(block.text)
    elif block.language == "json":
        assert [yaml.safe_load(line) for line in block.text.splitlines()]
    elif "labels" in block.title:
        (project / "labels.yaml").write_text(block.text, "utf-8")
        assert load_labels(project / "labels.yaml").names
    elif not block.marker.startswith(IN_PLUGIN):
        _check_recipe(yaml.safe_load(block.text), project, block)


def _check_recipe(value: Any, project: Path, block: Block) -> None:
    """A recipe, or a part of one in the place where it belongs, loads."""
    if isinstance(value, list):
        ((name, _),) = value[0].items()
        value = {"emit": value} if f"emit.{name}" in names() else {"steps": value}
    assert set(value) <= set(TOP), block.where
    steps = value.get("steps", [])
    for task in (step["task"] for step in steps if isinstance(step, dict) and "task" in step):
        task["labels"] = str(ROOT / "templates" / "ecom" / Path(task["labels"]).name)
    if not steps or not next(iter(steps[0])).startswith(("read.", "task")):
        steps = [{"read.jsonl": {"path": "train.jsonl"}}, *steps]
    whole = {
        "labels": str(ROOT / "templates/ecom/labels.yaml"),
        "emit": ["llamafactory"],
        **value,
        "steps": steps,
    }
    if "labels" in value:
        whole["labels"] = str(ROOT / "templates/ecom/labels.yaml")
    (project / "recipes" / "page.yaml").write_text(yaml.safe_dump(whole, allow_unicode=True), "utf-8")
    assert dk.load(project / "recipes" / "page.yaml").steps


@pytest.mark.parametrize("block", [block for block in BLOCKS if block.title.startswith("recipes/")], ids=ids)
def test_recipe_with_a_title_is_used_by_a_command_of_its_page(block: Block) -> None:
    others = [other.text for other in blocks_of(block.page) if runs(other) or other.language == "yaml"]
    name = block.title if block.title.endswith(".yaml") else Path(block.title).name
    assert any(name in text for text in others if text != block.text)


# the scenarios


@pytest.mark.parametrize(
    "page",
    [page for page in PAGES if any(map(runs, blocks_of(page)))],
    ids=lambda page: page.relative_to(ROOT).as_posix(),
)
def test_page_runs_from_top_to_bottom(page: Path, tmp_path: Path, shared_store: Path) -> None:
    scenario = Scenario(tmp_path, shared_store)
    with serving(server_of(page)) as (environment, address):
        scenario.environment |= environment
        scenario.address = address
        try:
            for block in blocks_of(page):
                scenario.take(block)
        finally:
            exit_code = scenario.python.close() if scenario.python else 0
        assert exit_code == 0


class Scenario:
    """A project in which the blocks of a page run one after the other."""

    def __init__(self, folder: Path, store: Path) -> None:
        self.project, self.site, self.place = folder / "project", folder / "site", folder / "cwd"
        for name in ("recipes", "templates", "examples"):
            shutil.copytree(ROOT / name, self.project / name)
        (self.project / "scripts").symlink_to(ROOT / "scripts")
        self.place.write_text(str(self.project))
        programs = folder / "bin"
        programs.mkdir()
        for name, words in {"datakit": "-m datakit.cli", "python": ""}.items():
            (programs / name).write_text(f'#!/bin/sh\nexec "{sys.executable}" {words} "$@"\n')
            (programs / name).chmod(0o755)
        paths = [str(self.project), str(self.site), str(ROOT)]
        kept = {
            name: value for name, value in os.environ.items() if not name.startswith(("OPENAI_", "DATAKIT_"))
        }
        self.environment = {
            **kept,
            "PATH": f"{programs}:{os.environ['PATH']}",
            "PYTHONPATH": ":".join(paths),
            "DATAKIT_STORE": str(store),
        }
        self.address = SERVED
        self.python: KeptPython | None = None
        """Runs the Python blocks of the page, each with the names of those before it."""

    def take(self, block: Block) -> None:
        """Writes the block to its file, or runs it."""
        if block.title:
            path = self.project / block.title
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(block.text, "utf-8")
        elif block.marker == f"{IN_PLUGIN}pyproject.toml":
            self._install(self.project / "examples" / "plugin")
        elif runs(block) and block.language == "bash":
            self._bash(block)
        elif runs(block):
            self._python(block)
        elif block.language == "python":
            compile(block.text, block.where, "exec")

    def _install(self, package: Path) -> None:
        """What `pip install -e .` leaves: the package on the path, and its entry points."""
        self.environment["PYTHONPATH"] += f":{package}"
        project = tomllib.loads((package / "pyproject.toml").read_text("utf-8"))["project"]
        info = self.site / f"{project['name'].replace('-', '_')}-{project['version']}.dist-info"
        info.mkdir(parents=True)
        (info / "METADATA").write_text(
            f"Metadata-Version: 2.1\nName: {project['name']}\nVersion: {project['version']}\n"
        )
        sections = [
            "\n".join([f"[{group}]", *(f"{name} = {target}" for name, target in points.items())])
            for group, points in project["entry-points"].items()
        ]
        (info / "entry_points.txt").write_text("\n\n".join(sections) + "\n")

    def _bash(self, block: Block) -> None:
        script = f'cd "$(cat {self.place})"\n{block.text}\npwd > {self.place}\n'
        done = subprocess.run(
            ["bash", "-euo", "pipefail", "-c", script.replace(SERVED, self.address)],
            cwd=self._folder(),
            env=self.environment,
            capture_output=True,
            text=True,
            errors="replace",
            check=False,
            timeout=BLOCK_S,
        )
        assert done.returncode == 0, (
            f"{block.where}\n{block.text}\n{done.stdout[-3000:]}\n{done.stderr[-3000:]}"
        )

    def _python(self, block: Block) -> None:
        if self.python is None:
            self.python = KeptPython(self.environment, self.place.with_name("python.log"))
        assert self.python.environment == self.environment, f"{block.where}: installed after Python's start"
        code = block.text.replace(SERVED, self.address)
        fault = self.python.fault(code, block.where, self._folder(), BLOCK_S)
        assert fault is None, f"{block.where}\n{block.text}\n{fault[-6000:]}"

    def _folder(self) -> str:
        return self.place.read_text().strip()


# what pages talk to


@contextmanager
def serving(what: str) -> Iterator[tuple[dict[str, str], str]]:
    """A server of the kind that a page asks for: (environment, address of a served model)."""
    if not what:
        yield {}, SERVED
        return
    kind, key_names = SERVERS[what]
    with kind() as server:
        environment = dict.fromkeys(key_names, KEY)
        if what == "a served model":
            server.script = lambda call: Reply(content=_as_trained(call))
        else:
            environment |= {"OPENAI_BASE_URL": server.url, "PARROT_URL": server.url.removesuffix("/v1")}
        yield environment, server.url
        assert server.count or getattr(server, "batches", ()), f"nothing was asked of {what}"


def _as_trained(call: Call) -> str:
    """An answer in the form that the prompt asks for."""
    return "理由：底部有去结算按钮。\n类别：购物车页面" if "理由：" in call.text else "购物车页面"


class Parrot(Loopback):
    """The service of examples/plugin: takes {text} at /say, without a key, and gives {said}."""

    def _shown_key(self, path: str, headers: dict[str, str]) -> str:
        return self.key

    async def _elsewhere(self, method: str, path: str, headers: dict[str, str], body: bytes) -> Reply:
        if (method, path) != ("POST", "/say"):
            return Reply(404, "Not Found")
        self.count += 1
        echo = orjson.dumps({"echo": f"heard {len(orjson.loads(body)['text'])} characters"}).decode()
        return Reply(raw=orjson.dumps({"said": echo}))


SERVERS: dict[str, tuple[type[Loopback], tuple[str, ...]]] = {
    "a model server": (Loopback, ("OPENAI_API_KEY",)),
    "a batch server": (LoopbackBatches, ("OPENAI_API_KEY",)),
    "a served model": (Loopback, ("VLLM_API_KEY",)),
    "a parrot": (Parrot, ()),
}
