"""How many answers a form did not take as their records brought them, for the report: by kind of change."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from datakit.core.contract import AnswerContract, AnswerField
from datakit.core.contract_changes import WORDS
from datakit.core.labels import LabelSet


@dataclass
class _Counted:
    """The records that one kind of change befell in one field."""

    of: AnswerField
    example: str
    records: int = 0
    details: dict[str, None] = field(default_factory=dict)


class ChangedAnswers:
    """Counts what a contract changes in the values of the records that it writes."""

    def __init__(self) -> None:
        self._counted: dict[tuple[str, str], _Counted] = {}

    def count(self, record: Mapping[str, Any], contract: AnswerContract, labels: LabelSet | None) -> None:
        """Takes a record whose answer is written; it has its id."""
        for changed_field, change in contract.changes(record, labels):
            key = (changed_field.name, change.kind)
            counted = self._counted.setdefault(key, _Counted(changed_field, record["id"]))
            counted.records += 1
            counted.details.update(dict.fromkeys(change.details))

    def add(self, other: ChangedAnswers) -> None:
        """Takes over what another form counted."""
        for key, theirs in other._counted.items():
            own = self._counted.setdefault(key, _Counted(theirs.of, theirs.example))
            own.records += theirs.records
            own.details |= theirs.details

    @property
    def notes(self) -> dict[str, Any]:
        """The counts and one warning for each; nothing where every answer is as it came."""
        if not self._counted:
            return {}
        counts = {f"{name} {kind}": counted.records for (name, kind), counted in self._counted.items()}
        warnings = [_sentence(kind, counted) for (_, kind), counted in self._counted.items()]
        return {"changed_answers": counts, "warnings": warnings}


def _sentence(kind: str, counted: _Counted) -> str:
    details = f": {', '.join(counted.details)}" if counted.details else ""
    records = "1 record" if counted.records == 1 else f"{counted.records:,} records"
    return (
        f"`{counted.of.source}` does not fit its place in the answer of {records}, such as "
        f"{counted.example}: {WORDS[kind]}{details}. {_remedy(kind, counted.of)}"
    )


def _remedy(kind: str, changed: AnswerField) -> str:
    if changed.kind in ("label", "labels"):
        return "Name the labels in a label file (`labels:`), or mend them in the source"
    if kind == "next_heading":
        return "Give the next field another `heading` to keep the lines"
    if kind == "blank":
        return "Mend the values, or make the field not `optional`"
    column = f", column: {changed.source}" if changed.column else ""
    text = f"{{name: {changed.name}, kind: text{column}}}"
    as_json = " (of a column of JSON texts)" if changed.kind == "boxes" else ""
    return f"To keep them as they come, write the field{as_json} as `{text}` in `answer: {{fields: [...]}}`"
