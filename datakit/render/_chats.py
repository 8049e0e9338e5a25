"""The column `messages` of a batch, joined from parts column by column: constant texts are only copied."""

from __future__ import annotations

from collections.abc import Sequence

import polars as pl

from datakit.core.factored_chats import chats
from datakit.core.prompt import Filled
from datakit.core.record import MESSAGES

NAME = "messages"
Turns = Sequence[tuple[str, str]]
"""Role and text of each turn."""


class Chats:
    """Collects the chats of a batch and makes their column at the end."""

    def __init__(self, system: str | None) -> None:
        self.system = system
        self._rendered: list[tuple[tuple[Filled, ...], tuple[str, ...]]] = []
        self._given: list[tuple[int, Turns]] = []

    def add(self, users: tuple[Filled, ...], answers: tuple[str, ...]) -> None:
        """The next chat, rendered: user turns in parts and their answers."""
        self._rendered.append((users, answers))

    def add_given(self, turns: Turns) -> None:
        """The next chat, as it came with the record."""
        self._given.append((len(self._rendered) + len(self._given), turns))

    def series(self) -> pl.Series:
        """The chats in the order of their coming."""
        rendered = self._rendered_series()
        if not self._given:
            return rendered
        values = [[{"role": role, "content": text} for role, text in turns] for _, turns in self._given]
        given_chats = pl.Series(NAME, values, dtype=MESSAGES)
        places = {at: len(rendered) + number for number, (at, _) in enumerate(self._given)}
        others = iter(range(len(rendered)))
        order = [
            places[at] if at in places else next(others) for at in range(len(rendered) + len(given_chats))
        ]
        return pl.concat([rendered, given_chats]).gather(order)

    def _rendered_series(self) -> pl.Series:
        if not self._rendered:
            return pl.Series(NAME, [], dtype=MESSAGES)
        users = zip(*[users for users, _ in self._rendered], strict=True)
        answers = zip(*[answers for _, answers in self._rendered], strict=True)
        columns: list[pl.Series] = []
        for user, answer in zip(users, answers, strict=True):
            columns += [
                pl.Series([turn.text for turn in user], dtype=pl.String),
                pl.Series(answer, dtype=pl.String),
            ]
        return woven(columns, self.system)


def woven(turns: list[pl.Series], system: str | None) -> pl.Series:
    """User and assistant turns, a column each, as one chat a row; `system` goes before all."""
    count = len(turns[0])
    if not count:
        return pl.Series(NAME, [], dtype=MESSAGES)
    roles = ["user", "assistant"] * (len(turns) // 2)
    if system is None:
        return chats(roles, turns)
    return chats(["system", *roles], [pl.repeat(system, count, dtype=pl.String, eager=True), *turns])


def joined(constants: tuple[str, ...], texts: Sequence[pl.Series], count: int) -> pl.Series:
    """`constants[0] texts[0] constants[1] …` for `count` records; null where a text is."""
    if constants == ("", "") and texts:
        return texts[0]
    if len(constants) == 1:
        return pl.repeat(constants[0], count, dtype=pl.String, eager=True)
    frame = pl.DataFrame([text.alias(str(number)) for number, text in enumerate(texts)])
    parts = [pl.lit(constants[0])]
    for number, constant in enumerate(constants[1:]):
        parts += [pl.col(str(number)), pl.lit(constant)]
    return frame.select(pl.concat_str(parts)).to_series()
