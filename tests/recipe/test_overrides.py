"""`--set key=value` reaches every value of a recipe, and nothing that is not there by accident."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import pytest

from datakit.core.errors import RecipeErrors, UserError
from datakit.recipe.overrides import apply_overrides, drop_step
from datakit.recipe.recipe import load_recipe

DATA: dict[str, Any] = {
    "name": "mine",
    "steps": [
        {"read.jsonl": {"path": "a"}},
        {"read.jsonl": {"path": "b"}},
        "guard.label",
        {"annotate.ocr": None},
        {"mix.general": {"read.alpaca": {"path": "g"}, "share": 0.1}},
    ],
    "emit": [{"llamafactory": {"images": "link"}}, "emit.parquet"],
    "run": {"workers": 1},
}


@pytest.mark.parametrize(
    ("override", "path", "value"),
    [
        ("seed=3", ("seed",), 3),
        ("name=other", ("name",), "other"),
        ("run.workers=8", ("run", "workers"), 8),
        ("run.budget_usd=0.5", ("run", "budget_usd"), 0.5),
        ("llm.model=qwen-vl-max", ("llm", "model"), "qwen-vl-max"),
        ("llm.base_url=http://h/v1?a=b", ("llm", "base_url"), "http://h/v1?a=b"),
        ("read.jsonl#2.path=c", ("steps", 1, "read.jsonl", "path"), "c"),
        ("guard.label.strict=true", ("steps", 2, "guard.label", "strict"), True),
        ("annotate.ocr.fields=[a, b]", ("steps", 3, "annotate.ocr", "fields"), ["a", "b"]),
        ("mix.general.share=0.3", ("steps", 4, "mix.general", "share"), 0.3),
        ("mix.general.read.alpaca.path=h", ("steps", 4, "mix.general", "read.alpaca", "path"), "h"),
        ("emit.llamafactory.images=copy", ("emit", 0, "llamafactory", "images"), "copy"),
        ("emit.parquet.level=3", ("emit", 1, "emit.parquet", "level"), 3),
        ("labels=null", ("labels",), None),
    ],
)
def test_value_lands_in_its_place(override: str, path: tuple[Any, ...], value: Any) -> None:
    found: Any = apply_overrides(DATA, [override])
    for part in path:
        found = found[part]
    assert found == value


def test_the_recipe_itself_is_not_changed() -> None:
    apply_overrides(DATA, ["guard.label.x=1", "run.workers=9", "emit.llamafactory.images=copy"])
    assert DATA["steps"][2] == "guard.label"
    assert DATA["run"] == {"workers": 1}
    assert DATA["emit"][0] == {"llamafactory": {"images": "link"}}


def test_later_overrides_win() -> None:
    assert apply_overrides(DATA, ["seed=1", "seed=2"])["seed"] == 2


@pytest.mark.parametrize(
    ("override", "words"),
    [
        ("seed", "is not key=value"),
        ("=3", "is not key=value"),
        ("run..workers=1", "the key has an empty part"),
        ("guard.label.=1", "the key has an empty part"),
        ("seed=[1", "the value is not YAML"),
        ("seed=!!python/name:os.system", "the value is not YAML"),
        ("steps.0.path=x", "`steps` is not a mapping"),
        ("name.first=x", "`name` is not a mapping"),
        ("name.first=x", "replace it as a whole: --set name=…"),
        ("qqq.zzz.x=1", "It has read.jsonl, "),
        ("annotate.orc.engine=x", "Did you mean `annotate.ocr`?"),
        ("emit.llamafactori.images=x", "Did you mean `emit.llamafactory`?"),
        ("read.jsonl.path=x", "Say which: read.jsonl#1"),
        ("read.jsonl#3.path=x", "there are 2 steps `read.jsonl`"),
        ("read.jsonl#².path=x", "Say which: read.jsonl#1"),
        ("read.jsonl#x.path=x", "there are 2 steps `read.jsonl`"),
    ],
)
def test_bad_override_says_what_is_wrong(override: str, words: str) -> None:
    with pytest.raises(UserError) as caught:
        apply_overrides(DATA, [override])
    assert words in str(caught.value)


TWICE = {
    "steps": [
        {"read.jsonl": {"path": "a"}},
        {"read.jsonl": {"path": "b"}},
        "guard.label",
        {"task": {"steps": ["guard.image"]}},
    ]
}


def test_a_dropped_step_goes_and_says_where_it_stood() -> None:
    data = copy.deepcopy(TWICE)
    assert drop_step(data, "read.jsonl#2") == 1
    assert data["steps"][:2] == [{"read.jsonl": {"path": "a"}}, "guard.label"]


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("guard.labels", "Did you mean `guard.label`?"),
        ("read.jsonl", "read.jsonl#1"),
        ("read.jsonl#3", "there are 2 steps"),
        ("guard.image", "stands in a task"),
    ],
)
def test_a_step_that_cannot_be_dropped_is_told(name: str, told: str) -> None:
    with pytest.raises(UserError) as error:
        drop_step(copy.deepcopy(TWICE), name)
    assert told in str(error.value)


def test_messages_name_the_right_lines_behind_a_dropped_step(tmp_path: Path) -> None:
    path = tmp_path / "r.yaml"
    path.write_text(
        "steps:\n  - read.jsonl: {path: a}\n  - guard.label: {}\n  - guard.imag: {}\nemit: [llamafactory]\n"
    )
    with pytest.raises(RecipeErrors) as error:
        load_recipe(path, drop="guard.label")
    assert "r.yaml:4:5" in str(error.value)
    assert "r.yaml:3" not in str(error.value)
