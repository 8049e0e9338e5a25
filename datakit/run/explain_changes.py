"""Why a build differs from the last one, and why results are missing: which parameter, template or input."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl

import datakit
from datakit.artifacts.build_folder import BuildFolder
from datakit.artifacts.manifest import Manifest
from datakit.artifacts.tables import scan_table
from datakit.core.counted import counted_with
from datakit.core.errors import UserError
from datakit.core.files import FileDigests
from datakit.core.plain_yaml import yaml_inline
from datakit.core.shown_path import show_path
from datakit.core.step_context import StepContext
from datakit.core.task_blocks import flat_steps, labels_of, task_names
from datakit.core.transform import Annotator
from datakit.recipe.recipe import Recipe
from datakit.run import manifest as manifests
from datakit.run.dry_run import Lookup
from datakit.run.keys import fingerprint

MOST = 8
"""Differences that are told; more are counted."""


@dataclass(frozen=True)
class Earlier:
    """What the last build recorded of its steps and records."""

    manifest: Manifest
    records: Path

    @classmethod
    def load(cls, build: BuildFolder) -> Earlier | None:
        """The last build's record; None when there is no build."""
        manifest = build.find_manifest()
        return cls(manifest, build.records_file) if manifest is not None and build.is_finished else None

    def step(self, lookup: Lookup) -> Mapping[str, Any] | None:
        """The same step in the last build: of that name, as near as possible to its number."""
        same = [step for step in self.manifest.steps if step["name"] == lookup.step.name]
        return min(same, key=lambda step: abs(step["number"] - lookup.step.number), default=None)

    def inputs(self, step: Mapping[str, Any], columns: list[str]) -> pl.DataFrame | None:
        """Per record of the last build: id, key at the step, and those of `columns` that it has. None where
        it does not say, or is damaged: the next build takes its place."""
        try:
            return self._inputs(step, columns)
        except (UserError, pl.exceptions.PolarsError):
            return None

    def _inputs(self, step: Mapping[str, Any], columns: list[str]) -> pl.DataFrame | None:
        frame = scan_table(self.records)
        have = frame.collect_schema().names()
        trace = f"@{step['number']}.{step['name']}"
        if trace not in have:
            return None
        key = pl.col(trace).struct.field("key").alias("@key")
        kept = [pl.col(name) for name in columns if name in have and name != "id"]
        return frame.select("id", key, *kept).unique("id").collect()


def why_calls(lookup: Lookup, context: StepContext, earlier: Earlier | None) -> list[str]:
    """Why a step has calls to make."""
    if lookup.annotator is not None:
        count = len(lookup.open_ids)
        return (
            [f"{count:,} record{'s' if count != 1 else ''} to be answered anew for a fault"] if count else []
        )
    reasons: list[str] = []
    before = earlier.step(lookup) if earlier is not None else None
    if earlier is None:
        reasons += ["no earlier build to compare with"] if lookup.cached else ["never built"]
    elif before is None:
        reasons.append("new step")
    else:
        changes = list(_setting_changes(lookup, before, context))
        if _asks_of_other_labels(lookup, earlier.manifest, context):
            changes.append("the label file was edited")
        reasons += changes or _input_changes(lookup, before, earlier)
    if lookup.open:
        reasons.append(f"{lookup.open:,} wait for an earlier step's result")
    return reasons


def _setting_changes(lookup: Lookup, before: Mapping[str, Any], context: StepContext) -> Iterator[str]:
    transform = lookup.step.transform
    assert isinstance(transform, Annotator)  # lookups are made for annotators only
    if fingerprint(transform, context) != before["fingerprint"]:
        if transform.version != before["version"]:
            yield f"version {before['version']} -> {transform.version} of {lookup.step.name}"
        yield from value_changes(before["settings"], transform.key_settings(context))
    for name in transform.templates():
        if before["templates"].get(name, context.templates.digest(name)) != context.templates.digest(name):
            yield f"template {name} edited"


def _asks_of_other_labels(lookup: Lookup, manifest: Manifest, context: StepContext) -> bool:
    """Whether a template of the step names the labels, which are others than in the last build."""
    before, now = manifest.labels, context.labels.digest if context.labels else ""
    names = {name for file in lookup.step.transform.templates() for name in context.templates.variables(file)}
    return bool(before) and before != now and any(name.startswith("label") for name in names)


def _input_changes(lookup: Lookup, before: Mapping[str, Any], earlier: Earlier) -> list[str]:
    """New records, records whose input differs (and in which columns), results gone from the store."""
    if lookup.inputs is None or not lookup.keys:
        return []
    now = lookup.inputs.with_columns(
        pl.col("id").replace_strict(lookup.keys, default=None, return_dtype=pl.Binary).alias("@now")
    ).filter(pl.col("@now").is_not_null())
    columns = [name for name in lookup.inputs.columns if name not in ("id", "source_file", "source_line")]
    old = earlier.inputs(before, columns)
    if old is None:
        return ["new step"]
    joined = now.join(old, on="id", how="left", suffix="@old")
    new = joined.filter(pl.col("@key").is_null()).height
    edited = joined.filter(pl.col("@key") != pl.col("@now"))
    reasons = [counted_with(new, "record", "is new", "are new")] if new else []
    if edited.height:
        have = counted_with(edited.height, "record", "has", "have")
        reasons.append(f"{have} another {_edited_columns(edited, columns)}")
    if not reasons:
        reasons.append("results are missing in the store (another store, or datakit cache gc)")
    return reasons


def _edited_columns(edited: pl.DataFrame, columns: list[str]) -> str:
    names = [
        name
        for name in columns
        if f"{name}@old" in edited.columns
        and edited.select((pl.col(name).ne_missing(pl.col(f"{name}@old"))).any()).item()
    ]
    if not names and "images" in columns:
        paths = edited["images"].explode().drop_nulls().to_list()
        gone = [path for path in paths if not os.path.exists(path)]
        return (
            f"picture: {len(gone):,} are gone, such as {show_path(Path(gone[0]))}"
            if gone
            else "picture content"
        )
    return ", ".join(names) or "input"


def why_build(recipe: Recipe, context: StepContext, build: BuildFolder, limit: int | None) -> list[str]:
    """What differs between the last build and one made now."""
    manifest = build.find_manifest()
    if manifest is None:
        return [f"there is no build in {show_path(build.path)}"]
    reasons = _recipe_changes(recipe, build)
    if manifest.datakit != datakit.__version__:
        reasons.append(f"datakit {manifest.datakit} -> {datakit.__version__}")
    reasons += _source_changes(recipe, context, manifest)
    for path, old in manifest.artifacts.items():
        if not manifests.is_same(build.path / path, old, context.files):
            reasons.append(f"{path} of the build is missing or was edited")
    reasons += _picture_changes(build, manifest, context.files)
    if not reasons and manifest.settings != manifests.settings_digest(recipe, context, limit):
        reasons.append("a template, the label file, the provider, --limit or a step's version changed")
    if not reasons:
        reasons.append("a file of the build or of its sources was touched")
    return _short(reasons)


def _recipe_changes(recipe: Recipe, build: BuildFolder) -> list[str]:
    try:
        before = build.recipe
    except UserError:
        return []  # its file is told below as one that is missing or was edited
    return [f"recipe: {change}" for change in value_changes(_by_name(before), _by_name(recipe.data))]


def _by_name(data: Mapping[str, Any]) -> dict[str, Any]:
    """A recipe's data without `run:`, its steps by name, so that an inserted step moves no other."""
    by_name = {key: value for key, value in data.items() if key not in ("run", "steps", "emit")}
    for name in task_names(data):
        by_name[f"labels of {name}"] = labels_of(data, name)
    rows = [*flat_steps(data), *(("", row) for row in data.get("emit") or [])]
    for task, row in rows:
        name, parameters = (row, {}) if isinstance(row, str) else next(iter(row.items()))
        name = f"{task}: {name}" if task else name
        count = sum(key.split("#")[0] == name for key in by_name)
        by_name[f"{name}#{count + 1}" if count else str(name)] = parameters or {}
    return by_name


def _source_changes(recipe: Recipe, context: StepContext, manifest: Manifest) -> list[str]:
    paths = {str(path) for path in manifests.declared_files(recipe, context)}
    reasons = [f"source {show_path(Path(path))} is new" for path in sorted(paths - manifest.sources.keys())]
    for path, old in manifest.sources.items():
        if path not in paths:
            reasons.append(f"source {show_path(Path(path))} is no longer read")
        elif not manifests.is_same(Path(path), old, context.files):
            reasons.append(f"source {show_path(Path(path))} was edited")
    return reasons


def _picture_changes(build: BuildFolder, manifest: Manifest, files: FileDigests) -> list[str]:
    paths = build.input_images()
    same = paths is None or manifests.same_images(paths, manifest.images, files)
    return [] if same else ["pictures were edited, moved or touched"]


def value_changes(before: Any, now: Any) -> list[str]:
    """`path: old -> new` for every value that differs."""
    old, new = dict(_flat(before, "")), dict(_flat(now, ""))
    changes = []
    for path in dict.fromkeys([*old, *new]):
        if path not in old:
            changes.append(f"{path}: {_show(new[path])} added")
        elif path not in new:
            changes.append(f"{path}: {_show(old[path])} removed")
        elif old[path] != new[path]:
            changes.append(f"{path}: {_show(old[path])} -> {_show(new[path])}")
    return changes


def _flat(value: Any, path: str) -> Iterator[tuple[str, Any]]:
    if isinstance(value, Mapping) and value:
        for key, inner in value.items():
            yield from _flat(inner, f"{path}.{key}" if path else str(key))
    elif isinstance(value, list | tuple) and any(isinstance(item, Mapping) for item in value):
        for index, inner in enumerate(value, 1):
            yield from _flat(inner, f"{path}[{index}]")
    else:
        yield path, list(value) if isinstance(value, tuple) else value


def _show(value: Any) -> str:
    text = yaml_inline(value)
    return text if len(text) <= 40 else text[:37] + "..."


def _short(reasons: list[str]) -> list[str]:
    if len(reasons) <= MOST:
        return reasons
    return [*reasons[:MOST], f"and {len(reasons) - MOST} more differences"]
