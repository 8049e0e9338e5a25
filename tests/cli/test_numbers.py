"""Options of the command line that take numbers take no infinity."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

Run = Callable[..., Any]


@pytest.mark.parametrize("value", ["inf", "nan", "1e400", "-1", "x"])
@pytest.mark.parametrize(
    "words",
    [
        ["predict", ".", "--timeout-s"],
        ["serve", ".", "--gpu-memory-gb"],
        ["plan", "recipe.yaml", "--train", "--gpu-memory-gb"],
        ["plan", "recipe.yaml", "--train", "--host-memory-gb"],
        ["evaluate", ".", "--tolerance"],
    ],
)
def test_an_option_takes_finite_numbers_alone(
    datakit: Run, project: Path, monkeypatch: pytest.MonkeyPatch, words: list[str], value: str
) -> None:
    monkeypatch.chdir(project)
    (project / "recipe.yaml").touch()
    result = datakit(*words, value)
    assert result.code == 2
    assert words[-1] in result.err
