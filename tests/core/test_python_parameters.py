"""Steps in Python take what a recipe takes, and refuse it in the recipe's words."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any, get_args, get_origin

import pytest
import yaml

import datakit as dk
from datakit.core.errors import Exit, RecipeErrors
from datakit.core.parameters import validated
from datakit.core.registry import find, names
from datakit.recipe.recipe import load_recipe
from datakit.recipe.reference import entry

FORMS = [{"form": "label_only"}, {"form": "reason_first", "share": 0.5}]


def _takes_a_list(annotation: Any) -> bool:
    return any(get_origin(kind) in (tuple, list) for kind in (annotation, *get_args(annotation)))


LISTS = [
    (name, field)
    for name in names()
    for field, info in find(name).model_fields.items()
    if _takes_a_list(info.annotation)
]


def test_there_are_lists_in_every_kind_of_step() -> None:
    assert {name.split(".")[0] for name, _ in LISTS} >= {"read", "annotate", "curate", "render", "emit"}


@pytest.mark.parametrize(("name", "field"), LISTS)
def test_list_is_taken_in_python_as_yaml_takes_it(name: str, field: str) -> None:
    kind = find(name)
    (example,) = yaml.safe_load(entry(name).example)[0].values()
    two = {
        "answers": FORMS,
        "tasks": ["lines", "read"],
        "find": ["phone", "name"],
        "label_block": ["json", "short"],
        "leave_out": ["status_bar", "single_signs"],
    }.get(field, ["a", "b"])
    values = {**(example or {}), field: two}
    if name == "render.chat":
        values.pop("answer", None)
        values |= {"answer": "label_only"} if field == "label_block" else {"answers": FORMS}
    if field in ("prompt", "answer"):  # a dialogue: a template for each turn on both sides
        values = {"prompt": ["a", "b"], "answer": ["a", "b"]}
    step = kind(**values)
    assert step == validated(kind, values)
    assert len(getattr(step, field)) == 2
    assert pickle.loads(pickle.dumps(step)) == step  # workers in other processes get their step so


@pytest.mark.parametrize("name", names())
def test_parameters_of_the_shipped_recipes_make_the_same_step_in_python(name: str) -> None:
    (values,) = yaml.safe_load(entry(name).example)[0].values()
    assert find(name)(**(values or {})) == validated(find(name), values or {})


def test_numbers_as_keys_paths_and_tuples_are_taken() -> None:
    assert dk.balance.Resample(strategy="explicit", counts={3: 5}).counts == {"3": 5}
    assert dk.read.Jsonl(path=Path("data") / "train.jsonl", keep=("a",)).path == "data/train.jsonl"


def test_reader_among_the_parameters_is_taken_as_it_is() -> None:
    reader = dk.read.Alpaca(path="general.json", keep=["topic"])
    step = dk.mix.General(source=reader, share=0.2)
    assert step.source is reader
    with pytest.raises(RecipeErrors, match="`share`: input should be less than 1"):
        dk.mix.General(source=reader, share=2.0)


def test_wrong_parameters_are_told_all_at_once_with_a_remedy() -> None:
    with pytest.raises(RecipeErrors) as error:
        dk.annotate.Ocr(intoo="x", min_score=3)
    assert error.value.exit_code == Exit.USAGE
    assert sorted(fault.message for fault in error.value.errors) == [
        "annotate.ocr: `min_score`: input should be less than or equal to 1 (value 3)",
        "annotate.ocr: unknown parameter `intoo` (value 'x')",
    ]
    assert "Did you mean `into`?" in str(error.value)


@pytest.mark.parametrize(
    ("name", "values"),
    [
        ("annotate.ocr", {"intoo": "x"}),
        ("annotate.ocr", {"into": 3}),
        ("read.jsonl", {}),
        ("guard.image", {"min_side_px": "28"}),
        ("guard.prompt_length", {"max_chars": None}),
        ("render.chat", {"prompt": "a.j2", "shrink": "ocr"}),
        ("mix.general", {"share": 0.1}),
        ("curate.split", {"val": 1.5, "group": [1]}),
    ],
)
def test_fault_has_the_words_that_the_recipe_has(name: str, values: dict[str, Any], tmp_path: Path) -> None:
    recipe = tmp_path / "recipe.yaml"
    steps = [{"read.jsonl": {"path": "a.jsonl"}}, {name: values}]
    recipe.write_text(yaml.safe_dump({"steps": steps, "emit": ["llamafactory"]}))
    with pytest.raises(RecipeErrors) as in_yaml:
        load_recipe(recipe)
    with pytest.raises(RecipeErrors) as in_python:
        find(name)(**values)
    in_yaml_words = {
        (fault.message.partition(f"({name}): ")[2], fault.remedy) for fault in in_yaml.value.errors
    }
    python_words = {
        (fault.message.partition(f"{name}: ")[2], fault.remedy) for fault in in_python.value.errors
    }
    assert in_yaml_words == python_words


def test_position_is_no_place_for_a_parameter() -> None:
    with pytest.raises(TypeError):
        dk.annotate.Ocr("ocr")
