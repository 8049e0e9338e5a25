"""A drawn project all the way: load, plan, build, check, card, verdict, diff, why; twice, to compare."""

from __future__ import annotations

import contextlib
import io
import json
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl

from datakit.artifacts.build_folder import BuildFolder
from datakit.artifacts.report import BuildReport
from datakit.cli import cli
from datakit.core.errors import DatakitError
from datakit.library import build, load
from datakit.run.build import BuildResult, Options
from datakit.run.columns import check_columns
from fuzzing.dice import Tree
from fuzzing.faults import Fault
from fuzzing.projects import write_project

Step = Callable[[str], None]
"""Told how far an input has come."""


def command(*words: str | Path) -> tuple[int, str]:
    """Exit code and output of a command of datakit. Errors are raised, not written."""
    output = io.StringIO()
    with contextlib.redirect_stdout(output), contextlib.redirect_stderr(output):
        code = cli.main(args=[str(word) for word in words], prog_name="datakit", standalone_mode=False)
    return (code if isinstance(code, int) else 0), output.getvalue()


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
    _keeps_the_old(tree, path, result)
    reach("after")


def _settings(tree: Tree, more: dict[str, Any]) -> list[str]:
    return [*tree.get("set", ()), *(f"{key}={value}" for key, value in more.items())]


def _set_words(settings: list[str]) -> list[str]:
    return [word for setting in settings for word in ("--set", setting)]


def check_build(result: BuildResult, tree: Tree, limit: int | None) -> None:
    """Raises Fault where the build's account does not add up."""
    report = result.report
    before = 0
    for step in report.steps:
        if not step.balanced:
            raise Fault("loss", f"{step.name}: {step}", step.name)
        if not step.emits and step.records_in != before:
            raise Fault("loss", f"{step.name} got {step.records_in} of {before} records", step.name)
        before = before if step.emits else step.records_out
    folder = BuildFolder.open(result.folder)
    records = folder.records.select("id", *_columns(folder, ("split", "repeat", "set"))).collect()
    if records.height != before:
        raise Fault("loss", f"{records.height} records in the build, {before} in the report", "records")
    if records["id"].n_unique() != records.height:
        raise Fault("loss", "ids of the build are not unique", "records")
    _check_sources(report, folder, records, tree, limit)
    for step in report.steps:
        if step.emits and step.name == "emit.llamafactory":
            _check_rows(folder, records, sum(step.rejected.values()))


def _columns(folder: BuildFolder, names: tuple[str, ...]) -> list[str]:
    return [name for name in names if name in folder.columns]


def _check_sources(
    report: BuildReport, folder: BuildFolder, records: pl.DataFrame, tree: Tree, limit: int | None
) -> None:
    """Every row of a whole source is a record, a reject or left by --limit."""
    readers = [step for step in report.steps if step.name.startswith("read.")]
    sources = [source for source in tree["sources"] if not source["name"].startswith("mix")]
    rejects = [json.loads(line) for line in folder.rejects_file.read_text("utf-8").splitlines()]
    ids = {*records["id"].to_list(), *(reject.get("id") for reject in rejects)}
    for step, source in zip(readers, sources, strict=False):
        rows = source.get("pictures" if source["format"] == "folder" else "rows", ())
        if (
            source.get("damage")
            or len(readers) != len(sources)
            or len(readers) > 1
            or source["format"] == "folder"
        ):
            continue
        least = min(len(rows), limit or len(rows))  # the limit is one of records, not of rejected rows
        if not least <= step.added <= len(rows) or step.records_out > (limit or len(rows)):
            raise Fault(
                "loss", f"{step.name} read {step.added} of {len(rows)} rows, limit {limit}", step.name
            )
        given = [row.get("id") for row in rows if isinstance(row, dict)]
        named = tree["recipe"]["steps"][0].get(step.name, {})
        whole = all(isinstance(value, str) for value in given) and "id" not in (named or {})
        unreadable = sum(":" in str(reject.get("id")) for reject in rejects)  # named by file and line
        if whole and not limit and len(missing := set(given) - ids) > unreadable:
            raise Fault("loss", f"rows {sorted(map(str, missing))} are nowhere", step.name)


def _check_rows(folder: BuildFolder, records: pl.DataFrame, left_out: int) -> None:
    """The trainer's files hold every record as often as it is repeated."""
    wanted: Counter[str] = Counter()
    for row in records.iter_rows(named=True):
        wanted[row["id"]] += row.get("repeat") or 1
    written: Counter[str] = Counter()
    for path in folder.path.glob("*.json"):
        if path.stem.rsplit("_", 1)[-1] in ("train", "val", "general", "text"):
            written.update(str(row["id"]) for row in json.loads(path.read_bytes()))
    lacking = [key for key in wanted if key not in written]
    if len(lacking) != left_out or any(written[key] != wanted[key] for key in written):
        raise Fault("loss", f"rows {dict(written)} of records {dict(wanted)}; {left_out} left out", "emit")


def _after(result: BuildResult, folder: Path) -> None:
    """Every command that looks at a build."""
    for words in (["check", result.folder], ["verdict", result.folder], ["verdict", result.folder, "--json"]):
        code, output = command(*words)
        if words[0] == "check" and code and BuildFolder.open(result.folder).has_data_set:
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
    except DatakitError:
        if (first.folder / "manifest.json").read_bytes() != before:
            raise Fault("swap", "a failed build changed the old one", "swap") from None
        raise
    if not BuildFolder.open(first.folder).is_finished:
        raise Fault("swap", "no finished build stands in the folder", "swap")
