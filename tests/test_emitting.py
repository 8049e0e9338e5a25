"""What emitters are written with: the examples of its documentation run."""

from __future__ import annotations

import doctest
import importlib

import pytest

from datakit import emitting

PUBLIC = [getattr(emitting, name) for name in emitting.__all__]
MODULES = sorted({value.__module__ for value in PUBLIC if callable(value)})


@pytest.mark.parametrize(
    "module", ["datakit.emitting", *(name for name in MODULES if name.startswith("datakit.emit._"))]
)
def test_examples_of_the_documentation_run(module: str) -> None:
    result = doctest.testmod(importlib.import_module(module))
    assert result.attempted >= 1, "it has no example"
    assert result.failed == 0


def test_everything_that_is_public_says_what_it_is() -> None:
    mine = [value for value in PUBLIC if callable(value) and value.__module__.startswith("datakit.emit.")]
    assert len(mine) >= 8
    assert [value.__name__ for value in mine if not value.__doc__] == []
