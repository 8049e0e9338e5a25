"""Rows of the alpaca format -> turns."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from datakit.core.labels import says_no_text
from datakit.read._dialogue import DialogueFault, check_order


@dataclass(frozen=True)
class AlpacaColumns:
    """The names of the format's columns; None for one that the data does not have."""

    instruction: str | None = "instruction"
    input: str | None = "input"
    output: str | None = "output"
    system: str | None = "system"
    history: str | None = "history"

    def names(self) -> set[str]:
        """The columns that make the dialogue."""
        return {name for name in vars(self).values() if name}

    def turns(self, row: dict[str, Any]) -> list[dict[str, str]]:
        """The dialogue of one row: system, history, question (instruction, then input), answer.

        Raises DialogueFault: instruction_missing, output_missing, messages_format.
        """
        question = [text for field in ("instruction", "input") if (text := self._text(row, field))]
        answer = self._text(row, "output")
        if not question:
            raise DialogueFault("instruction_missing", f"`{self.instruction}` and `{self.input}` are empty")
        if not answer:
            raise DialogueFault("output_missing", f"`{self.output}` is empty")
        system = self._text(row, "system")
        turns = [{"role": "system", "content": system}] if system else []
        for asked, answered in self._history(row):
            turns += [{"role": "user", "content": asked}, {"role": "assistant", "content": answered}]
        turns += [{"role": "user", "content": "\n".join(question)}, {"role": "assistant", "content": answer}]
        check_order(turns)
        return turns

    def _text(self, row: dict[str, Any], field: str) -> str:
        name = getattr(self, field)
        value = row.get(name) if name else None
        if value is None or isinstance(value, str):
            return "" if value is None or says_no_text(value) else value
        if isinstance(value, int | float) and not isinstance(value, bool):
            return str(value)
        words = f"`{name}` is a {type(value).__name__}, not a text"
        if field == "output" and isinstance(value, list):
            words += ": this is preference data, which nothing in datakit reads"
        raise DialogueFault("messages_format", words)

    def _history(self, row: dict[str, Any]) -> list[tuple[str, str]]:
        pairs = row.get(self.history) if self.history else None
        if not pairs:
            return []
        good = isinstance(pairs, list) and all(
            isinstance(pair, list) and len(pair) == 2 and all(isinstance(text, str) for text in pair)
            for pair in pairs
        )
        if not good:
            raise DialogueFault("messages_format", f"`{self.history}` is not a list of [question, answer]")
        return [(asked, answered) for asked, answered in pairs]
