"""A recipe of the toy steps that counts records and writes them as lines."""

from __future__ import annotations

from pathlib import Path

from datakit.core.settings import LlmSettings, RunSettings
from datakit.recipe.recipe import Recipe, Step
from tests.support.toys import Lines, Numbers


def recipe(project: Path, count: int = 3, store: str | None = None) -> Recipe:
    """The recipe of `count` records in a project."""
    return Recipe(
        path=project / "recipes" / "toy.yaml",
        name="toy",
        seed=1,
        steps=(Step(1, Numbers(count=count), "r.yaml:1:1"),),
        emitters=(Step(1, Lines(), "r.yaml:9:1"),),
        llm=LlmSettings(),
        run=RunSettings(max_reject_rate=1.0, store=store),
        labels=None,
        data={"steps": [{"toy.numbers": {"count": count}}]},
    )
