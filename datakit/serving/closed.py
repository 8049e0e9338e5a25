"""What a server is asked to decode, and nothing else: answers of the trained form with a label of the set.

A text of the model's own in front of the label is bounded, so that the label still comes within the room.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from datakit.core.answer import LABEL, AnswerFormat
from datakit.core.answer_forms import ContractFormat
from datakit.core.guided import FREE_CHARS, any_of, literal

_CHARS_A_TOKEN = 6
"""More than texts of any script have on the average, so that every trained text fits."""
_LEAST_CHARS = 20
_FREE_KINDS = ("line", "text")


@dataclass(frozen=True)
class ClosedForm:
    """The closed answers of a build."""

    form: AnswerFormat
    names: tuple[str, ...]
    """The labels."""
    trained_room: int
    """Tokens for an answer of the last turn, which is twice the longest trained one."""

    @property
    def room(self) -> int:
        """Tokens for the longest answer that may be decoded: a token for each character of free text, which
        is more than Chinese and English texts have, beside what the trained answers take."""
        return self.trained_room + max(self._free_chars(self._most_chars))

    def within(self, room: int) -> dict[str, Any] | None:
        """vLLM's `structured_outputs` for answers of so many tokens: free texts are as short as that asks.

        Their length is halved, so that a server has few grammars to prepare.
        """
        chars = self._most_chars
        while chars > _LEAST_CHARS and max(self._free_chars(chars)) + self._fixed > room:
            chars //= 2
        return closed_form(self.form, self.names, chars)

    @cached_property
    def _most_chars(self) -> int:
        return max(FREE_CHARS, self.trained_room // 2 * _CHARS_A_TOKEN)

    def _free_chars(self, chars: int) -> list[int]:
        """Characters of free text in each form."""
        if not isinstance(self.form, ContractFormat):
            return [chars * sum(name != LABEL for name in self.form.turns[-1].variables)]
        return [
            sum(
                min(field.max_chars or chars, chars)
                for field in contract.in_turn(contract.turns)
                if field.kind in _FREE_KINDS
            )
            for contract in self.form.contracts
        ]

    @cached_property
    def _fixed(self) -> int:
        """Tokens of the rest at most: a character takes one or less."""
        label = max(map(len, self.names), default=0)
        forms = self.form.contracts if isinstance(self.form, ContractFormat) else ()
        turns = [contract.format.turns[-1] for contract in forms] or [self.form.turns[-1]]
        return min(self.trained_room, label + max(sum(map(len, turn.constants)) for turn in turns))


def closed_form(
    form: AnswerFormat, names: Sequence[str], most_chars: int | None = None
) -> dict[str, Any] | None:
    """vLLM's `structured_outputs` for the last turn: its constants, free texts, and one of the labels.

    Of several forms, which a split's prompts ask for, each is allowed. None where any text is an answer.
    """
    if isinstance(form, ContractFormat):
        return any_of([contract.guide(names, most_chars) for contract in form.contracts])
    turn = form.turns[-1]
    if turn.variables == (LABEL,):
        return {"choice": [turn.render({LABEL: name}).strip() for name in names]}
    free = f"[^\\n]{{1,{most_chars or FREE_CHARS}}}"  # one line, as the templates' own form asks for
    pieces = [literal(turn.constants[0].lstrip())]
    for at, name in enumerate(turn.variables):
        last = at == len(turn.variables) - 1
        after = turn.constants[at + 1]
        pieces.append(f"({'|'.join(literal(label) for label in names)})" if name == LABEL else free)
        pieces.append(literal(after.rstrip() if last else after))
    return {"regex": "".join(pieces)}
