"""The account of a build, checked against what was drawn: every row is somewhere."""

from __future__ import annotations

import json
from collections import Counter

import polars as pl

from datakit.artifacts.build_folder import BuildFolder
from datakit.artifacts.report import BuildReport
from datakit.run.build import BuildResult
from fuzzing.dice import Tree
from fuzzing.faults import Fault


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
