"""The kinds of inputs: how each is drawn, how it is run, and how much of the time it gets."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from fuzzing import draw_parts, run_parts
from fuzzing.dice import Dice, Tree
from fuzzing.draw_recipes import recipe_input
from fuzzing.draw_trainer import data_info_input
from fuzzing.run_recipe import Step, run_recipe


class Kind(NamedTuple):
    """A kind of input."""

    draw: Callable[[Dice], Tree]
    run: Callable[[Tree, Path, Step], None]
    share: int
    """Inputs of this kind among those of a round."""


KINDS = {
    "recipe": Kind(recipe_input, run_recipe, 8),
    "labels": Kind(draw_parts.labels_input, run_parts.run_labels, 6),
    "template": Kind(draw_parts.template_input, run_parts.run_build, 6),
    "source": Kind(draw_parts.source_input, run_parts.run_build, 6),
    "train": Kind(draw_parts.train_input, run_parts.run_train, 2),
    "data_info": Kind(data_info_input, run_parts.run_data_info, 4),
    "answers": Kind(draw_parts.answers_input, run_parts.run_answers, 6),
}


def drawn(kind: str, seed: int, number: int) -> Tree:
    """The input of a number: the same for the same seed."""
    return KINDS[kind].draw(Dice(f"{seed}/{kind}/{number}"))


def order() -> list[str]:
    """The kinds of one round, mixed."""
    names = [name for name, kind in KINDS.items() for _ in range(kind.share)]
    Dice("order").shuffle(names)
    return names
