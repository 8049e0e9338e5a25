"""Label files in each form that is accepted."""

from __future__ import annotations

from typing import Any

from fuzzing.dice import Dice, Tree
from fuzzing.draw_parameters import spoil
from fuzzing.draw_sources import LABELS


def label_file(dice: Dice, *, usable: bool = False) -> Tree:
    """A label file: its document, how YAML writes it. `usable` ones hold the labels of drawn rows."""
    names = list(LABELS)
    if not usable:
        names = [*dict.fromkeys(dice.one_of(dice.word, dice.text)() for _ in range(dice.randint(1, 8)))]
    rows: list[Any] = [_label(dice, name, names) for name in names]
    document: Any = {"labels": rows}
    if not usable and dice.maybe(0.15):
        spoil(dice, document)
    style = dice.one_of("block", "block", "flow", "json")
    return {"document": document, "style": style, "bom": dice.maybe(0.05), "crlf": dice.maybe(0.05)}


def _label(dice: Dice, name: str, names: list[str]) -> Any:
    if dice.maybe(0.4):
        return name
    row: Tree = {"name": name}
    if dice.maybe(0.7):
        row["description"] = dice.text()
    if dice.maybe(0.3):
        row["aliases"] = [f"{name}的别名{number}" for number in range(dice.randrange(3))]
    if dice.maybe(0.3):
        others = [other for other in names if other != name or dice.maybe(0.1)]
        row["confusable_with"] = dice.some(others, 2)
    return row
