"""A drawn project all the way: load, plan, build, check, card, verdict, diff, why; twice, to compare."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from datakit.artifacts.build_folder import BuildFolder
from datakit.core.errors import DatakitError
from datakit.library import build, load
from datakit.run.build import BuildResult, Options
from datakit.run.columns import check_columns
from fuzzing.checks import check_build
from fuzzing.commands import command
from fuzzing.dice import Tree
from fuzzing.faults import Fault, poor_words
from fuzzing.projects import write_project
from fuzzing.run_onward import answers_are_read, read_again, score

Step = Callable[[str], None]
"""Told how far an input has come."""


def run_recipe(tree: Tree, folder: Path, reach: Step) -> None:
    """Runs the input. Raises Fault for what datakit must not do, and what datakit raises."""
    path = write_project(tree, folder)
    recipe = load(path, _settings(tree, {}))
    check_columns(recipe, recipe.context().pinned())
    reach("load")
    limit = tree.get("limit")
    words = ["--limit", str(limit)] if limit else []
    command("plan", path, *words, *_set_words(_settings(tree, {})))
    reach("plan")
    options = Options(limit=limit, allow_partial=tree.get("partial", False))
    result = build(path, overrides=_settings(tree, {}), options=options, card=tree.get("card", False))
    reach("build")
    check_build(result, tree, limit)
    _after(result, folder)
    if not result.report.retry:
        _twice(tree, path, folder, result, limit)
    answers_are_read(tree, result.folder)
    if tree.get("onward") == "read.build":
        read_again(tree, path, result.folder)
    if tree.get("onward") == "evaluate":
        score(tree, result.folder)
    _keeps_the_old(tree, path, result)
    reach("after")


def _settings(tree: Tree, more: dict[str, Any]) -> list[str]:
    return [*tree.get("set", ()), *(f"{key}={value}" for key, value in more.items())]


def _set_words(settings: list[str]) -> list[str]:
    return [word for setting in settings for word in ("--set", setting)]


def _after(result: BuildResult, folder: Path) -> None:
    """Every command that looks at a build."""
    place = str(result.folder)
    for words in (["check", place], ["verdict", place], ["verdict", place, "--json"]):
        if words[0] == "check" and not BuildFolder.open(result.folder).has_data_set:
            continue
        code, output = command(*words)
        if words[0] == "check" and code:
            raise Fault("check", f"the build was green, check says {code}:\n{output[-3000:]}", "check")
    opened = BuildFolder.open(result.folder)
    ids = opened.records.select("id").limit(2).collect()["id"].to_list()
    rejects = [json.loads(line).get("id") for line in opened.rejects_file.read_text("utf-8").splitlines()][:1]
    for key in [*ids, *rejects]:
        if isinstance(key, str) and not key.startswith("-"):
            command("why", result.folder, key)
    for card in result.cards:
        card.read_text("utf-8")
    for finding in result.report.verdict:
        if finding.count:
            command("verdict", result.folder, "--kind", finding.kind)
            break


def _twice(tree: Tree, path: Path, folder: Path, first: BuildResult, limit: int | None) -> None:
    """The same input again, in other batches and with an empty store, must give the same rows."""
    settings = _settings(tree, {**tree["again"], "run.store": folder / "store_2"})
    second = build(path, overrides=settings, options=Options(out=folder / "build_2", limit=limit), card=False)
    one, two = (
        BuildFolder.open(first.folder).manifest.content,
        BuildFolder.open(second.folder).manifest.content,
    )
    if one != two:
        raise Fault("differs", f"content {one} and {two}; again with {tree['again']}", "twice")
    code, output = command("diff", first.folder, second.folder, "--json")
    if code not in (0, 1):
        raise Fault("diff", output, "diff")
    again = build(path, overrides=_settings(tree, {}), options=Options(limit=limit), card=False)
    if not again.report.reused:
        raise Fault("differs", "an unchanged build was made anew", "reused")


def _keeps_the_old(tree: Tree, path: Path, first: BuildResult) -> None:
    """A further build that fails leaves the first one in its place."""
    before = (first.folder / "manifest.json").read_bytes()
    try:
        build(
            path,
            overrides=[*_settings(tree, {}), tree["change"]],
            options=Options(out=first.folder),
            card=False,
        )
    except DatakitError as error:
        if poor_words(error):
            raise
        if (first.folder / "manifest.json").read_bytes() != before:
            raise Fault("swap", "a failed build changed the old one", "swap") from None
    if not BuildFolder.open(first.folder).is_finished:
        raise Fault("swap", "no finished build stands in the folder", "swap")
