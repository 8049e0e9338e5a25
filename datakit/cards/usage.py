"""What the data is good for, how to train on it and how to make it again: the last sections of a card."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Sequence
from typing import Any

import polars as pl

from datakit.artifacts.build_folder import BuildFolder
from datakit.artifacts.report import Finding
from datakit.cards.overview import flat, part_table, shortened
from datakit.core.record import VAL
from datakit.core.scripts import shell_words
from datakit.pages.blocks import Block, Bullets, Cell, Code, CodeBlock, Section, Table, Text
from datakit.verdict import command_of
from datakit.verdict.labels import FEW

_MANY_TO_SCORE = 200
"""Validation records from which a score is within ±7 points."""
_DIGEST = re.compile(r"\b([0-9a-f]{12})[0-9a-f]{20,}\b")


def limits_section(
    build: BuildFolder, splits: pl.DataFrame, classes: pl.DataFrame, verdict: Sequence[Finding]
) -> Section:
    """Intended use and limits, as far as the build itself can know them."""
    tasks = "tasks" if build.tasks else "task"
    texts = [
        f"Made to fine-tune a vision-language model on the {tasks} above, and to compare recipes with each "
        "other."
    ]
    texts += [note for note in build.report.notes if note.startswith("No model wrote")]
    if build.tasks:
        for task in build.tasks:
            texts += _validation_limits(part_table(task), f" of {task.path.name}")
    else:
        texts += _validation_limits(splits)
    texts += _class_limits(classes, is_repeated=build.has_step("balance.resample"))
    texts += [
        f"Failed check: {line.statement.lower()}: {line.words}." for line in verdict if line.state == "failed"
    ]
    if not build.has_step("guard.personal_data"):
        texts.append("No step looked for personal data in the records.")
    texts += _written_by_programs(build)
    texts += [
        f"Predicted labels: {line.words}."
        for line in verdict
        if line.kind == "pseudo_labels" and line.state != "passed"
    ]
    return Section("Intended use and limits", [Bullets(texts)])


def _validation_limits(splits: pl.DataFrame, of: str = "") -> list[str]:
    """How little a score on validation says, of a task by itself."""
    count = dict(splits.select("part", "records").rows()).get(VAL)
    if not count:
        return [f"There is no validation part{of}: nothing in here measures what a model has learnt."]
    if count >= _MANY_TO_SCORE:
        return []
    half = 98 / count**0.5
    return [
        f"Validation{of} has {count:,} records, so that a score on it is uncertain by up to ±{half:.0f} "
        "points (95% interval, at an accuracy of one half)."
    ]


def _written_by_programs(build: BuildFolder) -> list[str]:
    """Which texts no person wrote, as far as the build has them."""
    texts = []
    steps = {"annotate.describe": "descriptions", "annotate.reason": "reasons"}
    written = [what for step, what in steps.items() if build.has_step(step)]
    if written:
        what = " and ".join(written).capitalize()
        texts.append(f"{what} are written by a program, not by people, and may be wrong.")
    return texts


def _class_limits(classes: pl.DataFrame, *, is_repeated: bool) -> list[str]:
    if classes.is_empty():
        return []
    texts = []
    absent = classes.filter(pl.col("train") == 0)["label"].to_list()
    if absent:
        texts.append(f"Classes without training records: {_some(absent)}.")
    few = classes.filter((pl.col("train") > 0) & (pl.col("train") < FEW))["label"].to_list()
    if few:
        partly = len(few) < classes.height
        who = f"{len(few)} of {classes.height} classes have" if partly else "All classes have"
        texts.append(
            f"{who} fewer than {FEW} training records; expect mistakes on them"
            f"{': ' + _some(few) if partly else ''}."
            f"{' Repeats make them seen more often, but add nothing new.' if is_repeated else ''}"
        )
    if classes["val"].sum():
        blind = classes.filter((pl.col("val") == 0) & (pl.col("train") > 0))["label"].to_list()
        if blind:
            texts.append(f"Classes that validation does not test: {_some(blind)}.")
    return texts


def _some(names: list[str], most: int = 12) -> str:
    return "、".join(names[:most]) + (f" and {len(names) - most} more" if len(names) > most else "")


def verdict_section(build: BuildFolder, verdict: Sequence[Finding]) -> Section:
    """The verdict as a table, with the commands that show the records."""
    folder = build.clean(str(build.path.absolute()))
    rows: list[list[Cell]] = [
        [
            line.statement,
            line.state if line.state == "passed" else line.state.upper(),
            line.words,
            "" if line.state == "passed" else Code(command_of(line.kind, folder)),
        ]
        for line in verdict
    ]
    blocks: list[Block] = [Text(f"{state_words(verdict)}.")] if verdict else []
    return Section(
        "Verdict", [*blocks, Table(["what should hold", "result", "found", "show the records"], rows)]
    )


def state_words(lines: Sequence[Finding]) -> str:
    """How many lines of the verdict have each state."""
    states = Counter[str](line.state for line in lines)
    order = ("failed", "warned", "passed")
    return ", ".join(f"{states[state]} {state}" for state in order if states[state]) or "nothing looked at"


def training_section(build: BuildFolder) -> Section:
    """How to train on it and how to read it."""
    blocks: list[Block] = []
    if build.training_file is not None:
        blocks += [
            Text("Train with LLaMA-Factory, in the build folder:"),
            CodeBlock("llamafactory-cli train train.yaml", "bash"),
        ]
    if build.data_files:
        first = next(iter(build.data_files.values())).file
        blocks += [
            Text(
                "Each data file is a JSON array of rows with id, messages (role and content, with a place "
                "for every picture) and images (paths relative to the build folder):"
            ),
            CodeBlock(
                f'import json\n\nwith open({json.dumps(first)}, encoding="utf-8") as file:\n'
                "    rows = json.load(file)\n"
                'print(rows[0]["messages"][-1]["content"])',
                "python",
            ),
            Text("records.parquet holds what every step found out about each record:"),
            CodeBlock('import polars as pl\n\nrecords = pl.read_parquet("records.parquet")', "python"),
        ]
    return Section("Use it", blocks)


def reproduce_section(build: BuildFolder) -> Section:
    """Everything that decides the build, and the command that makes it again."""
    manifest = build.manifest
    rows: list[list[Cell]] = [
        ["content hash (sha256 over the data files)", Code(manifest.content)],
        ["recipe", Code(build.clean(build.report.recipe))],
        ["seed", Code(str(build.recipe.get("seed", 7)))],
        ["datakit", Code(manifest.datakit)],
    ]
    if build.labels is not None:
        rows.append(["label file (sha256)", Code(build.labels.digest)])
    blocks: list[Block] = [
        Text("Two builds with one content hash train the same."),
        CodeBlock(shell_words(["datakit", "build", build.clean(build.report.recipe)]), "bash"),
        Table(["what", "value"], rows),
    ]
    steps: list[list[Cell]] = [
        [
            step.get("number"),
            Code(str(step.get("name"))),
            Code(str(step.get("fingerprint", ""))[:16]),
            _settings(build, step),
        ]
        for step in manifest.steps
        if not step.get("changes_texts")
    ]
    if steps:
        blocks += [
            Text("Steps whose answers are stored, with what their keys rest on:"),
            Table(["step", "transform", "fingerprint", "settings"], steps),
        ]
    return Section("Make it again", blocks)


def _settings(build: BuildFolder, step: dict[str, Any]) -> str:
    facts = [f"{key} {value}" for key, value in flat(step.get("settings") or {}) if value not in (None, "")]
    return shortened(_DIGEST.sub(r"\1…", build.clean("; ".join(facts))))
