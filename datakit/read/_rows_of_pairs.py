"""Rows among chats that have a question and an answer in columns of their own, and no chat."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from datakit.core.counted import counted_with
from datakit.core.training_columns import plain_name
from datakit.read._rows import Block, Plan

_PAIRS = ("query response", "instruction output", "question answer", "prompt response")
_SHOWN = 3


class RowsOfPairs:
    """Counts such rows while blocks of a source go by, and says what to do with them."""

    def __init__(self, plan: Plan, columns: Collection[str]) -> None:
        self._chats = plan.messages or ""
        self._pair: tuple[str, ...] | None = None
        self._count, self._places = 0, list[str]()
        known = {plain_name(name): name for name in columns if name != plan.messages}
        for pair in map(str.split, _PAIRS) if self._chats else ():
            if self._pair is None and all(name in known for name in pair):
                self._pair = tuple(known[name] for name in pair)

    def look(self, block: Block) -> None:
        """Takes the next block."""
        if self._pair is None:
            return
        for row, line in zip(block.rows, block.lines, strict=True):
            if _is_blank(row.get(self._chats)) and not any(_is_blank(row.get(name)) for name in self._pair):
                self._count += 1
                self._places += [str(line)] if len(self._places) < _SHOWN else []

    def warnings(self) -> list[str]:
        """The rows in words; none where there are none."""
        if not self._count or self._pair is None:
            return []
        question, answer = self._pair
        lines = ", ".join(self._places) + (" …" if self._count > _SHOWN else "")
        return [
            f"{counted_with(self._count, 'row', 'has', 'have')} `{question}` and `{answer}` and no "
            f"`{self._chats}` (line {lines}), so no chat is read from there: write the question as a turn of "
            f"`user` and the answer as one of `assistant` into `{self._chats}`, or move such rows to a file "
            "with a recipe of its own"
        ]


def _is_blank(cell: Any) -> bool:
    return cell is None or cell in ("", [])
