"""Steps that run together, so that prompts touch the disk once."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from datakit.core.transform import Guard, Renderer
from datakit.recipe.recipe import Step


def step_groups(steps: Sequence[Step]) -> Iterator[list[Step]]:
    """Steps that run together: a guard or renderer, and those after it that do not compare records."""
    group: list[Step] = []
    for step in steps:
        kind = step.transform
        chained = isinstance(kind, Guard | Renderer) and not kind.compares
        together = group and step.task == group[-1].task
        if group and not (chained and together and isinstance(group[-1].transform, Guard | Renderer)):
            yield group
            group = []
        group.append(step)
    if group:
        yield group
