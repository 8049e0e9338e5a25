"""Every transform is explained: in the command, on its page, in the words of its own docstrings."""

from __future__ import annotations

from typing import Any, ClassVar, Literal

import pytest
import yaml
from pydantic import Field

from datakit.core import registry
from datakit.core.transform import Transform
from datakit.recipe.reference import KINDS, entries, entry, parameters_of, yaml_inline


class _Sample(Transform):
    """Column `x`: something."""

    registered_name: ClassVar[str] = "toy.sample"
    path: str
    """Where it is."""
    mode: Literal["a", "b"] = "a"
    """How it
    goes."""
    most: int | None = Field(default=None, ge=1)
    """Upper bound."""
    share: float = Field(default=0.5, gt=0, lt=1)
    """Part."""
    fields: tuple[str, ...] = ()
    """Columns."""
    counts: dict[str, int] | None = None
    """Numbers."""
    on: bool = True
    """Whether."""


def test_parameters_are_told_in_words() -> None:
    told = {item.name: item for item in parameters_of(_Sample.model_json_schema())}
    assert {name: item.type for name, item in told.items()} == {
        "path": "text",
        "mode": "a | b",
        "most": "whole number >= 1 or null",
        "share": "number > 0, < 1",
        "fields": "list of text",
        "counts": "mapping of text to whole number or null",
        "on": "true | false",
    }
    assert {name: item.default_text for name, item in told.items()} == {
        "path": "required",
        "mode": "a",
        "most": "null",
        "share": "0.5",
        "fields": "[]",
        "counts": "null",
        "on": "true",
    }
    assert told["mode"].help == "How it goes."


@pytest.mark.parametrize("name", registry.names())
def test_every_transform_has_kind_summary_help_and_a_valid_example(name: str) -> None:
    item = entry(name)
    assert item.kind in KINDS.values()
    assert item.summary.endswith(".")
    assert [parameter.name for parameter in item.parameters if not parameter.help] == []
    (row,) = yaml.safe_load(item.example)
    assert next(iter(row)) in (name, name.removeprefix("emit."))


def test_examples_of_the_shipped_recipes_give_columns() -> None:
    listed = {item.name: item for item in entries()}
    assert listed["balance.resample"].outputs == {"repeat": "UInt32"}
    assert listed["annotate.image_facts"].inputs == ("images",)
    assert listed["emit.llamafactory"].example.startswith("- llamafactory: {")


@pytest.mark.parametrize("value", [None, True, 3, 0.5, "a", "", "a: b", [1, "x"], {"k": [1]}, "数据"])
def test_inline_yaml_reads_back(value: Any) -> None:
    text = yaml_inline(value)
    assert "\n" not in text
    assert yaml.safe_load(text) == value
