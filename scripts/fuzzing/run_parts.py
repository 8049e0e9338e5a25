"""Single parts taken as far as they go: label files, templates, sources, data folders, answers."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from datakit.artifacts.build_folder import BuildFolder
from datakit.core.answer_forms import ContractFormat
from datakit.core.contract import AnswerContract
from datakit.core.errors import UserError
from datakit.core.labels import LabelSet, load_labels, normal_form
from datakit.library import build, load
from datakit.llm import json_answer
from datakit.llm.answer_schema import AnswerSchema
from fuzzing.checks import check_build
from fuzzing.commands import command
from fuzzing.dice import Tree
from fuzzing.faults import Fault
from fuzzing.projects import label_bytes, write_files, write_project, yaml_bytes
from fuzzing.run_onward import answers_are_read
from fuzzing.run_recipe import Step, run_recipe


def run_labels(tree: Tree, folder: Path, reach: Step) -> None:
    """A label file: read, written as JSON and read again, every name and alias looked up, rendered."""
    path = folder / "labels.yaml"
    path.write_bytes(label_bytes(tree["labels"]))
    labels = load_labels(path)
    reach("load")
    try:
        read_back = LabelSet.from_json(labels.to_json())
    except UserError as error:
        raise Fault(
            "differs", f"the set that was written as JSON is refused: {error}", "labels.json"
        ) from None
    if read_back != LabelSet(labels.labels, labels.digest):
        raise Fault("differs", "the set that JSON gives back is another one", "labels.json")
    for label in labels.labels:
        if labels.find(label.name) is not label and normal_form(label.name):
            raise Fault("labels", f"{label.name!r} is found as {labels.find(label.name)}", "find")
        for alias in label.aliases:
            labels.find(alias)
    if set(json.loads(labels.json_block)) != set(labels.names):
        raise Fault("labels", "the block of the prompt has other labels", "json_block")
    if tree.get("build"):
        project = {**tree["build"], "labels": tree["labels"]}
        rows = [{"id": f"r{at}", "label": name} for at, name in enumerate(labels.names)]
        project["sources"] = [{"name": "rows.jsonl", "format": "jsonl", "rows": rows}]
        result = build(write_project(project, folder), card=False)
        check_build(result, project, None)
        if (
            result.report.rejected == 0
            and getattr(BuildFolder.open(result.folder).labels, "labels", ()) != labels.labels
        ):
            raise Fault("labels", "the build holds other labels than its recipe", "build")
    reach("after")


def run_build(tree: Tree, folder: Path, reach: Step) -> None:
    """A small project built once: for templates and sources."""
    path = write_project(tree, folder)
    load(path)
    reach("load")
    result = build(path, card=False)
    reach("build")
    check_build(result, tree, None)
    answers_are_read(tree, result.folder)
    reach("after")


def run_data_info(tree: Tree, folder: Path, reach: Step) -> None:
    """A data folder: `datakit check` of it, then a build that reads it."""
    write_files(tree, folder)
    (folder / "dataset_info.json").write_text(json.dumps(tree["info"]), "ascii")
    (folder / "train.yaml").write_bytes(yaml_bytes(tree["settings"]))
    _, output = command("check", "--train-yaml", folder / "train.yaml", "--json")
    plain: dict[str, Any] = json.loads(output)
    counted = plain["data_sets"][0] if plain["data_sets"] else {}
    if counted.get("kept"):
        reach("load")
    command("check", "--train-yaml", folder / "train.yaml")
    command("check", "--dataset-dir", folder, "--dataset", "set", "--decode")
    recipe = {
        "steps": [{"read.llamafactory": {"path": "..", "dataset": "set"}}],
        "emit": ["llamafactory"],
        "run": {"max_reject_rate": 1},
    }
    project: Tree = {"recipe": recipe, "sources": []}
    result = build(write_project(project, folder), card=False)
    check_build(result, project, None)
    reach("after")


def run_train(tree: Tree, folder: Path, reach: Step) -> None:
    """A `train:` section: what datakit writes for it, its own check must take."""
    run_recipe(tree, folder, reach)


def run_answers(tree: Tree, folder: Path, reach: Step) -> None:
    """Texts of a model: read by the contract of a form, and as JSON by a schema."""
    try:
        contract = AnswerContract.model_validate(AnswerContract.of(tree["form"]).model_dump())
        schema = AnswerSchema(**{key: _tuples(value) for key, value in tree["schema"].items()})
    except (ValidationError, UserError, ValueError):
        return
    reach("load")
    labels = None
    if tree["labels"]:
        path = folder / "labels.yaml"
        path.write_bytes(label_bytes(tree["labels"]))
        labels = load_labels(path)
        if any(len(name.splitlines()) > 1 for name in labels.names):
            return  # no recipe takes such a set
    names = labels.names if labels else ()
    answers = ContractFormat.of_contracts([contract])
    if ContractFormat.from_json(answers.to_json()) != answers:
        raise Fault("differs", "the answer's form is another one after JSON", "answer.json")
    for text in tree["texts"]:
        answer = contract.read(text, labels)
        contract.typed(answer)
        contract.reward(text, tree["truth"], labels)
        json_answer.read(text, schema, tree["question"])
    contract.guide(names), contract.json_schema(names), contract.prompt_lines()
    written = contract.write(tree["record"], labels)
    if isinstance(written, tuple):
        _reads_its_own(contract, written, labels)
    reach("after")


def _tuples(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value


def _reads_its_own(contract: AnswerContract, written: tuple[str, ...], labels: LabelSet | None) -> None:
    """What a contract writes, it reads without a problem."""
    answer = contract.read(written[-1], labels)
    if answer.problem:
        raise Fault("answer", f"{contract.form} wrote {written!r} and reads {answer}", "own")
