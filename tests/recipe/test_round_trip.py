"""A recipe that is loaded and dumped loads to the same steps, whatever its parameters are."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from datakit.core.parameters import validated
from datakit.core.registry import find
from datakit.core.transform import Emitter, Reader
from datakit.recipe.recipe import Recipe, load_recipe
from tests.support.every import CASES

READERS = [name for name in CASES if issubclass(find(name), Reader)]
EMITTERS = [name for name in CASES if issubclass(find(name), Emitter)]
MIDDLE = [name for name in CASES if name not in READERS + EMITTERS]
TRICKY = [
    "1e-4",
    "yes",
    "null",
    "2026-11-24",
    "0x1F",
    "a: b",
    "#1",
    "'",
    '"',
    "- x",
    "{}",
    " 空 ",
    "第\n二",
    "\t",
    "3",
]


@st.composite
def step(draw: st.DrawFn, names: list[str]) -> dict[str, Any]:
    """A step with the parameters of its case, some of them replaced by any others that it takes."""
    name = draw(st.sampled_from(names))
    kind = find(name)
    parameters = dict(CASES[name].parameters)
    for field in draw(
        st.lists(st.sampled_from(list(kind.model_fields) or ["none"]), max_size=3, unique=True)
    ):
        value = draw(
            st.sampled_from(TRICKY)
            | st.text(st.characters(codec="utf-8", exclude_categories=("Cc", "Cs")), max_size=6)
            | st.integers(-3, 5000)
            | st.floats(0, 1)
            | st.booleans()
            | st.none()
            | st.lists(st.sampled_from(TRICKY), max_size=3)
            | st.dictionaries(st.sampled_from(TRICKY), st.integers(1, 9), max_size=2)
        )
        try:
            validated(kind, {**parameters, field: value})
        except ValidationError:
            continue
        parameters[field] = value
    return {name: parameters}


recipes = st.fixed_dictionaries(
    {
        "steps": st.tuples(step(READERS), st.lists(step(MIDDLE), max_size=4)).map(
            lambda pair: [pair[0], *pair[1]]
        ),
        "emit": st.lists(step(EMITTERS), min_size=1, max_size=2),
    },
    optional={
        "name": st.from_regex(r"[a-z][a-z0-9_-]{0,9}", fullmatch=True),
        "seed": st.integers(0, 2**40),
        "run": st.fixed_dictionaries({}, optional={"concurrency": st.integers(1, 99), "workers": st.none()}),
        "llm": st.fixed_dictionaries(
            {}, optional={"model": st.sampled_from(TRICKY), "price_in": st.floats(0, 9)}
        ),
    },
)


def same(one: Recipe, other: Recipe) -> bool:
    def parts(recipe: Recipe) -> list[Any]:
        steps = [(step.number, step.transform) for step in (*recipe.steps, *recipe.emitters)]
        return [recipe.name, recipe.seed, steps, recipe.run, recipe.llm]

    return parts(one) == parts(other)


def test_a_dump_whose_signs_might_be_chinese_says_that_it_is_utf_8(tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text(
        "name: mine\nsteps:\n- read.jsonl: {path: á.jsonl}\nemit:\n- llamafactory: {}\n", "utf-8-sig"
    )
    loaded = load_recipe(path)
    (tmp_path / "again.yaml").write_text(loaded.dump(), "utf-8")
    assert same(loaded, load_recipe(tmp_path / "again.yaml"))


@settings(max_examples=60, deadline=None)
@given(document=recipes)
def test_a_dumped_recipe_loads_to_the_same_steps(
    document: dict[str, Any], tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("recipe")
    path = folder / "mine.yaml"
    path.write_text(yaml.safe_dump(document, allow_unicode=True, sort_keys=False), "utf-8-sig")
    loaded = load_recipe(path)
    path.write_text(loaded.dump(), "utf-8")
    again = load_recipe(path)
    assert same(loaded, again)
    assert again.dump() == loaded.dump()


@settings(max_examples=60, deadline=None)
@given(drawn=step(list(CASES)))
def test_a_transforms_own_dump_is_a_step_of_a_recipe(drawn: dict[str, Any]) -> None:
    ((name, parameters),) = drawn.items()
    transform = validated(find(name), parameters)
    dumped = transform.model_dump(mode="json", by_alias=True, exclude_unset=True)
    assert validated(find(name), yaml.safe_load(yaml.safe_dump(dumped, allow_unicode=True))) == transform


@pytest.mark.parametrize(
    "path", sorted((Path(__file__).parents[2] / "recipes").glob("*.yaml")), ids=lambda p: p.stem
)
def test_shipped_recipes_survive_too(path: Path, tmp_path: Path) -> None:
    from datakit.library import sections

    loaded = load_recipe(path, sections=sections())
    (tmp_path / path.name).write_text(
        loaded.dump().replace("../templates", str(path.parents[1] / "templates")), "utf-8"
    )
    assert same(loaded, load_recipe(tmp_path / path.name, sections=sections()))
