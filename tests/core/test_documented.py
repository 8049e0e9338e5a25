"""Texts under fields as the descriptions of a JSON schema."""

from __future__ import annotations

import inspect

import pytest
from pydantic import Field

from datakit.core.documented import Documented, field_texts


class Inner(Documented):
    depth: int = 0
    """How deep."""


class Base(Documented):
    kept: int = 0
    """Of the base."""
    told: int = 0
    """Of the base too."""


class Outer(Base):
    told: int = 1
    """Of the class itself.

    In two paragraphs."""
    bare: int = 0
    stated: int = Field(default=0, description="As it is stated.")
    """Not this."""
    inner: Inner = Inner()
    """Another model."""
    other: int = Field(default=0, alias="also")
    """By its other name."""


def test_schema_describes_fields_by_the_texts_under_them() -> None:
    schema = Outer.model_json_schema()
    texts = {name: part.get("description") for name, part in schema["properties"].items()}
    assert texts == {
        "kept": "Of the base.",
        "told": "Of the class itself.\n\nIn two paragraphs.",
        "bare": None,
        "stated": "As it is stated.",
        "inner": "Another model.",
        "also": "By its other name.",
    }
    assert schema["$defs"]["Inner"]["properties"]["depth"]["description"] == "How deep."


def test_fields_of_a_class_inside_a_function_are_described() -> None:
    class Local(Inner):
        width: int = 0
        """How wide."""

    assert field_texts(Local) == {"depth": "How deep.", "width": "How wide."}


def test_class_without_source_has_fields_without_texts() -> None:
    space: dict[str, type[Documented]] = {"Documented": Documented}
    exec("class Made(Documented):\n    x: int = 0\n    'Lost.'", space)
    assert field_texts(space["Made"]) == {}
    assert list(space["Made"].model_json_schema()["properties"]) == ["x"]


def test_making_a_class_reads_no_source(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(inspect, "getsourcefile", lambda _: pytest.fail("the source was read"))

    class Quick(Documented):
        x: int = 0
        """A text."""

    assert Quick(x=1).x == 1
