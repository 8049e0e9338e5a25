"""What a build is used for: another recipe reads it, and answers to its records are scored."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from datakit.artifacts.build_folder import BuildFolder
from datakit.library import build
from fuzzing.checks import check_build
from fuzzing.commands import command
from fuzzing.dice import Tree
from fuzzing.faults import Fault
from fuzzing.projects import yaml_bytes


def read_again(tree: Tree, recipe: Path, finished: Path) -> None:
    """A recipe that reads the build, renders as its recipe does and emits in every form."""
    rendering = [step for step in tree["recipe"]["steps"] if "render.chat" in step]
    document = {
        "labels": tree["recipe"].get("labels"),
        "steps": [{"read.build": {"path": str(finished)}}, *rendering],
        "emit": ["llamafactory", {"messages": {"form": "trl"}}, "ms_swift", "parquet"],
        "run": {"max_reject_rate": 1},
    }
    path = recipe.with_name("onward.yaml")
    path.write_bytes(yaml_bytes(document))
    result = build(path, card=False)
    check_build(result, {"sources": []}, None)
    source = BuildFolder.open(finished)
    expected = source.main.select("id").collect().height
    if result.report.steps[0].added != expected:
        words = f"read.build read {result.report.steps[0].added} of {expected} records"
        raise Fault("loss", words, "read.build")


def answers_are_read(tree: Tree, finished: Path) -> None:
    """What the build trains, its own form reads: no problem, and the record's label."""
    opened = BuildFolder.open(finished)
    own = next((step["render.chat"] for step in tree["recipe"]["steps"] if "render.chat" in step), None)
    if not opened.has_data_set or not opened.has_answer_format or not own or own.get("keep_messages"):
        return
    truths = (
        dict(opened.main.select("id", "label").collect().iter_rows()) if "label" in opened.columns else {}
    )
    for row in opened.rows("train", "val"):
        text = row["messages"][-1]["content"]
        answer = opened.answer_format.fitting(text).parse(text, opened.labels)
        wanted = truths.get(row["id"])
        if answer.problem or (answer.label is not None and opened.labels and answer.label != wanted):
            raise Fault("answer", f"{row['id']} is trained to say {text!r}, read as {answer}", "trained")


def score(tree: Tree, finished: Path) -> None:
    """`datakit evaluate` of a trainer's answers, some right and some as a model may answer."""
    opened = BuildFolder.open(finished)
    if not opened.has_data_set or not opened.has_answer_format:
        return
    split = "val" if any(file.part == "val" for file in opened.data_files.values()) else "train"
    rows = list(opened.rows(split))
    lines = []
    for number, row in enumerate(rows):
        truth = row["messages"][-1]["content"]
        answer = truth if number % 2 else tree["answers"][number % len(tree["answers"])]
        lines.append(json.dumps({"prompt": "?", "predict": answer, "label": truth}))
    if not lines:
        return
    folder = finished.parent / "answers"
    folder.mkdir(exist_ok=True)
    path = folder / "generated_predictions.jsonl"
    path.write_text("\n".join(lines) + "\n", "ascii")
    words = ["evaluate", str(finished), "--predictions", str(path), "--split", split, "--no-ledger"]
    code, output = command(*words, "--json")
    if code not in (0, 3):
        raise Fault("evaluate", output[-2000:], "evaluate")
    plain: dict[str, Any] = json.loads(output)
    counted = plain["evaluations"][0].get("records")
    if isinstance(counted, int) and counted > len(rows):
        raise Fault("evaluate", f"{counted} of {len(rows)} rows were scored", "evaluate")
