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
from datakit.core.wording import later, t, told
from datakit.pages.blocks import Block, Bullets, Cell, Code, CodeBlock, Section, Table, Text
from datakit.verdict import command_of
from datakit.verdict.labels import FEW

_STATES = {
    "failed": later("{count} failed"),
    "warned": later("{count} warned"),
    "passed": later("{count} passed"),
}
_SHOUTED = (later("FAILED"), later("WARNED"), later("passed"))
"""The states of single lines."""
_MANY_TO_SCORE = 200
"""Validation records from which a score is within ±7 points."""
_DIGEST = re.compile(r"\b([0-9a-f]{12})[0-9a-f]{20,}\b")


def limits_section(
    build: BuildFolder, splits: pl.DataFrame, classes: pl.DataFrame, verdict: Sequence[Finding]
) -> Section:
    """Intended use and limits, as far as the build itself can know them."""
    texts = [
        t(
            "Made to fine-tune a vision-language model on the tasks above, and to compare recipes with each "
            "other."
        )
        if build.tasks
        else t(
            "Made to fine-tune a vision-language model on the task above, and to compare recipes with each "
            "other."
        )
    ]
    texts += [told(note) for note in build.report.notes if note.startswith("No model wrote")]
    if build.tasks:
        for task in build.tasks:
            texts += _validation_limits(part_table(task), t(" of {task}", task=task.path.name))
    else:
        texts += _validation_limits(splits)
    texts += _class_limits(classes, is_repeated=build.has_step("balance.resample"))
    texts += [
        t(
            "Failed check: {statement}: {words}.",
            statement=told(line.statement).lower(),
            words=told(line.words),
        )
        for line in verdict
        if line.state == "failed"
    ]
    if not build.has_step("guard.personal_data"):
        texts.append(t("No step looked for personal data in the records."))
    texts += _written_by_programs(build)
    texts += [
        t("Predicted labels: {words}.", words=told(line.words))
        for line in verdict
        if line.kind == "pseudo_labels" and line.state != "passed"
    ]
    return Section(t("Intended use and limits"), [Bullets(texts)])


def _validation_limits(splits: pl.DataFrame, of: str = "") -> list[str]:
    """How little a score on validation says, of a task by itself."""
    count = dict(splits.select("part", "records").rows()).get(VAL)
    if not count:
        return [
            t("There is no validation part{of}: nothing in here measures what a model has learnt.", of=of)
        ]
    if count >= _MANY_TO_SCORE:
        return []
    half = 98 / count**0.5
    return [
        t(
            "Validation{of} has {count:,} records, so that a score on it is uncertain by up "
            "to ±{half:.0f} points (95% interval, at an accuracy of one half).",
            of=of,
            count=count,
            half=half,
        )
    ]


def _written_by_programs(build: BuildFolder) -> list[str]:
    """Which texts no person wrote, as far as the build has them."""
    texts = []
    steps = {"annotate.describe": later("descriptions"), "annotate.reason": later("reasons")}
    written = [t(what) for step, what in steps.items() if build.has_step(step)]
    if written:
        what = t(" and ").join(written).capitalize()
        texts.append(t("{what} are written by a program, not by people, and may be wrong.", what=what))
    return texts


def _class_limits(classes: pl.DataFrame, *, is_repeated: bool) -> list[str]:
    if classes.is_empty():
        return []
    texts = []
    absent = classes.filter(pl.col("train") == 0)["label"].to_list()
    if absent:
        texts.append(t("Classes without training records: {some}.", some=_some(absent)))
    few = classes.filter((pl.col("train") > 0) & (pl.col("train") < FEW))["label"].to_list()
    if few:
        partly = len(few) < classes.height
        texts.append(
            (
                t(
                    "{few} of {all} classes have fewer than {least} training records; expect mistakes on "
                    "them: {names}.",
                    few=len(few),
                    all=classes.height,
                    least=FEW,
                    names=_some(few),
                )
                if partly
                else t(
                    "All classes have fewer than {least} training records; expect mistakes on them.",
                    least=FEW,
                )
            )
            + (t(" Repeats make them seen more often, but add nothing new.") if is_repeated else "")
        )
    if classes["val"].sum():
        blind = classes.filter((pl.col("val") == 0) & (pl.col("train") > 0))["label"].to_list()
        if blind:
            texts.append(t("Classes that validation does not test: {some}.", some=_some(blind)))
    return texts


def _some(names: list[str], most: int = 12) -> str:
    return "、".join(names[:most]) + (
        t(" and {count} more", count=len(names) - most) if len(names) > most else ""
    )


def verdict_section(build: BuildFolder, verdict: Sequence[Finding]) -> Section:
    """The verdict as a table with the commands that show the records; beside lines that ask for a look,
    those that passed are folded."""
    folder = build.clean(str(build.path.absolute()))
    passed = [line for line in verdict if line.state == "passed"]
    others = [line for line in verdict if line.state != "passed"]
    blocks: list[Block] = [Text(state_words(verdict) + t("."))] if verdict else []
    head = [t("what should hold"), t("result"), t("found")]
    if others or not passed:
        rows: list[list[Cell]] = [
            [
                told(line.statement),
                t(line.state.upper()),
                told(line.words),
                Code(command_of(line.kind, folder)),
            ]
            for line in others
        ]
        blocks.append(Table([*head, t("show the records")], rows))
    if passed:
        fine: list[list[Cell]] = [[told(line.statement), t(line.state), told(line.words)] for line in passed]
        folded = t(_STATES["passed"], count=len(passed)) if others else ""
        blocks.append(Table(head, fine, folded))
    return Section(t("Verdict"), blocks)


def state_words(lines: Sequence[Finding]) -> str:
    """How many lines of the verdict have each state."""
    states = Counter[str](line.state for line in lines)
    return t(", ").join(
        t(words, count=states[state]) for state, words in _STATES.items() if states[state]
    ) or t("nothing looked at")


def training_section(build: BuildFolder) -> Section:
    """How to train on it and how to read it."""
    blocks: list[Block] = []
    if build.training_file is not None:
        blocks += [
            Text(t("Train with LLaMA-Factory, in the build folder:")),
            CodeBlock("llamafactory-cli train train.yaml", "bash"),
        ]
    if build.data_files:
        first = json.dumps(next(iter(build.data_files.values())).file, ensure_ascii=False)
        blocks += [
            Text(
                t(
                    "Each data file is a JSON array of rows with id, messages (role and content, "
                    "with a place for every picture) and images (paths relative to the build folder):"
                )
            ),
            CodeBlock(
                f'import json\n\nwith open({first}, encoding="utf-8") as file:\n'
                "    rows = json.load(file)\n"
                'print(rows[0]["messages"][-1]["content"])',
                "python",
            ),
            Text(t("records.parquet holds what every step found out about each record:")),
            CodeBlock('import polars as pl\n\nrecords = pl.read_parquet("records.parquet")', "python"),
        ]
    return Section(t("Use it"), blocks)


def reproduce_section(build: BuildFolder) -> Section:
    """Everything that decides the build, and the command that makes it again."""
    manifest = build.manifest
    rows: list[list[Cell]] = [
        [t("content hash (sha256 over the data files)"), Code(manifest.content)],
        [t("recipe"), Code(build.clean(build.report.recipe))],
        [t("seed"), Code(str(build.recipe.get("seed", 7)))],
        ["datakit", Code(manifest.datakit)],
    ]
    if build.labels is not None:
        rows.append([t("label file (sha256)"), Code(build.labels.digest)])
    blocks: list[Block] = [
        Text(t("Two builds with one content hash train the same.")),
        CodeBlock(shell_words(["datakit", "build", build.clean(build.report.recipe)]), "bash"),
        Table([t("what"), t("value")], rows),
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
            Text(t("Steps whose answers are stored, with what their keys rest on:")),
            Table([t("step"), t("transform"), t("fingerprint"), t("settings")], steps),
        ]
    return Section(t("Make it again"), blocks)


def _settings(build: BuildFolder, step: dict[str, Any]) -> str:
    facts = [f"{key} {value}" for key, value in flat(step.get("settings") or {}) if value not in (None, "")]
    return shortened(_DIGEST.sub(r"\1…", build.clean("; ".join(facts))))
