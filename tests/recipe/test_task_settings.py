"""Task blocks of a recipe: what they may say, and which may stand beside each other."""

from __future__ import annotations

from pathlib import Path

import pytest

from datakit.core.errors import RecipeErrors
from datakit.core.task_blocks import flat_steps, for_task, task_names
from datakit.library import load
from datakit.recipe.recipe import load_recipe

A = "  - task: {name: a, steps: [read.jsonl: {path: a.jsonl}]}\n"
B = "  - task: {name: b, steps: [read.jsonl: {path: b.jsonl}]}\n"


def _faults(tmp_path: Path, steps: str, head: str = "") -> str:
    path = tmp_path / "r.yaml"
    path.write_text(f"version: 1\n{head}steps:\n{steps}emit:\n  - parquet: {{}}\n", encoding="utf-8")
    with pytest.raises(RecipeErrors) as error:
        load_recipe(path)
    return str(error.value)


@pytest.mark.parametrize(
    ("steps", "words"),
    [
        (A + A, "r.yaml:4:12\n  two tasks are called `a`"),
        (A + A.replace("name: a", "name: A"), "differ in their capitals alone"),
        (
            A + "  - task: {name: b, steps: [guard.label: {}]}\n",
            "first step of the task `b` is no reader",
        ),
        (A + "  - task: {name: a, labels: x.yaml, steps: [guard.label: {}]}\n", "two tasks are called `a`"),
        (A + "  - read.jsonl: {path: c.jsonl}\n", "stands outside of the tasks"),
        (A.replace("}]}", "}, {curate.split: {}}]}"), "`curate.split` stands in a task"),
        (A.replace("name: a", "name: a, weight: 2") + B, "`b` has no `weight`, and `a` has one"),
        (A.replace("name: a", "name: a, weight: 0"), "`weight`"),
        (A.replace("name: a", "name: 'a/../b'"), "`name`"),
        (A.replace("name: a, ", ""), "`name`"),
        (A.replace("name: a", "name: a, label: x.yaml"), "Did you mean `labels`?"),
        (A.replace("name: a", "name: a, labels: nowhere.yaml"), "nowhere.yaml"),
        ("  - task: {name: a, steps: []}\n", "`steps`"),
        ("  - task: []\n", "`task:`"),
        ("  - task:\n", "`task:`"),
        ("  - task: {name: a, steps: [{task: {name: b, steps: [x]}}]}\n", "a task stands in no other task"),
        ("  - task: {name: a, steps: [read.jsnl: {path: a.jsonl}]}\n", "Did you mean `read.jsonl`?"),
        ("  - task: {name: a, steps: [read.jsonl: {path: a.jsonl}, {emit.parquet: {}}]}\n", "under `emit:`"),
        ("  - task: {name: a, steps: [5]}\n", "a step is"),
    ],
)
@pytest.mark.fault(
    "two tasks of one name, a task in a task, a reader outside of them, a split in one of them",
    "an error with its line",
    kind="recipe",
)
def test_a_wrong_block_is_told_with_its_place(tmp_path: Path, steps: str, words: str) -> None:
    assert words in _faults(tmp_path, steps)


def test_labels_that_are_missing_in_one_task_are_told_at_its_block(tmp_path: Path) -> None:
    text = _faults(tmp_path, A + B.replace("name: b", "name: b, labels: no.yaml"))
    assert "r.yaml:4:" in text
    assert "no.yaml" in text


def test_the_recipe_of_one_task_has_its_steps_and_those_of_all() -> None:
    recipe = load("recipes/ecom_tasks.yaml" if Path("recipes").is_dir() else "ecom_tasks.yaml")
    assert [task.name for task in recipe.tasks] == ["screens", "intents"]
    assert [len(task.labels.names) for task in recipe.tasks if task.labels] == [25, 23]
    one = recipe.for_task("intents")
    assert [step.number for step in one.steps] == [1, 2, 3, 4, 5, 6]
    assert [step.name for step in one.steps][-1] == "curate.split"
    assert one.labels is not None
    assert len(one.labels.names) == 23
    assert one.data["labels"] == "../templates/ecom/intents.yaml"
    assert not one.tasks


def test_weights_give_the_recipe_a_step_that_reaches_them() -> None:
    recipe = load("recipes/ecom_tasks.yaml")
    assert recipe.steps[-1].name == "balance.tasks"
    assert recipe.steps[-1].task == ""


def test_a_value_of_a_step_in_a_block_is_set_by_its_name() -> None:
    recipe = load_recipe("recipes/ecom_tasks.yaml", overrides=["render.chat#2.max_chars=900"])
    chars = [step.transform.model_dump()["max_chars"] for step in recipe.steps if step.name == "render.chat"]
    assert chars == [2500, 900]


def test_plain_data_is_flat_in_order_and_cut_to_a_task() -> None:
    data = {
        "labels": "all.yaml",
        "steps": [
            {"task": {"name": "a", "labels": "a.yaml", "steps": ["x"]}},
            {"task": {"name": "b", "steps": ["y"]}},
            "z",
            {"balance.tasks": {}},
            {"task": {"name": "a", "steps": ["w"]}},
        ],
    }
    assert [task for task, _ in flat_steps(data)] == ["a", "b", "", "", "a"]
    assert [row for _, row in flat_steps(data)] == ["x", "y", "z", {"balance.tasks": {}}, "w"]
    assert task_names(data) == ["a", "b"]
    assert for_task(data, "a") == {"labels": "a.yaml", "steps": ["x", "z", "w"]}
    assert for_task(data, "b") == {"labels": "all.yaml", "steps": ["y", "z"]}
    assert task_names({"steps": None}) == []
