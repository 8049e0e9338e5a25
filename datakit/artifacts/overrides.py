"""overrides.jsonl: what reviewers decided about records, a line each, between review and the next build."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any, Literal

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    TypeAdapter,
    ValidationError,
    field_validator,
    model_validator,
)

from datakit.core.errors import UserError
from datakit.core.parameters import describe_fault
from datakit.core.text_encoding import BOM
from datakit.core.visible import has_controls, has_halves, visible

Action = Literal["accept", "relabel", "drop"]
_SHOWN = 10
"""Broken lines that an error names."""
_TIME: TypeAdapter[datetime] = TypeAdapter(datetime)


class Override(BaseModel):
    """One decision."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    id: str = Field(min_length=1)
    """The record's id."""
    judged: str = Field(pattern=r"^[0-9a-f]{32}(-[0-9a-f]{16})*$", max_length=10_000)
    """core.judged.Seen.said of what the reviewer saw: a decision about anything else is not applied."""
    action: Action
    """`accept` the label as it is, `relabel` the record to `new`, or `drop` the record."""
    old: str | None = None
    """The label that the reviewer saw."""
    new: str | None = None
    """The label that `relabel` gives."""
    who: str = Field(default="", max_length=200)
    """The reviewer's name, without blanks around it. Decisions without one count as one person's."""
    when: datetime | None = None
    """When it was decided (ISO 8601); UTC where no zone is said. The later decision of one reviewer holds."""
    why: str = Field(default="", max_length=2000)
    """The reviewer's reason."""
    build: str = ""
    """Name of the build that was reviewed, for people."""

    @field_validator("when")
    @classmethod
    def _in_utc(cls, when: datetime | None) -> datetime | None:
        if when is None or when.tzinfo is None:
            return when and when.replace(tzinfo=UTC)
        try:
            return when.astimezone(UTC)
        except OverflowError:
            raise ValueError("the time is none of the calendar in UTC") from None

    @field_validator("who")
    @classmethod
    def _without_blanks(cls, who: str) -> str:
        return who.strip()

    @model_validator(mode="after")
    def _names_label(self) -> Override:
        if self.action == "relabel" and not (self.new or "").strip():
            raise ValueError("`relabel` needs the label in `new`")
        if has_controls("".join((self.id, self.new or "", self.who))):
            raise ValueError("the id, a label or a name holds control characters")
        if has_halves("".join((self.old or "", self.new or "", self.build))):  # pydantic sees the others
            raise ValueError("a label or the build holds half of a surrogate pair, which is no character")
        return self

    @property
    def what(self) -> str:
        """What was decided, in words."""
        return f"relabel to {self.new}" if self.action == "relabel" else self.action

    def to_line(self) -> bytes:
        """The decision as a line of the file."""
        row = {name: value for name, value in self.model_dump(mode="json").items() if value not in ("", None)}
        line = json.dumps(row, ensure_ascii=False)
        # Some programs end a line at these signs, which JSON takes as they are.
        return line.replace("\u2028", "\\u2028").replace("\u2029", "\\u2029").encode() + b"\n"


class OverrideLine(BaseModel):
    """A decision with its place in the file."""

    model_config = ConfigDict(frozen=True)

    number: int
    """From 1."""
    override: Override
    is_without_zone: bool = False
    """Whether its time says no zone, so that it is read as UTC."""

    @property
    def order(self) -> tuple[float, int]:
        """Decisions in the order in which they were made; those without a time come first."""
        when = self.override.when
        return (when.timestamp() if when else 0.0, self.number)


def read_overrides(text: str, place: str) -> list[OverrideLine]:
    """The decisions of a file, in its order; blank lines and a byte order mark are passed over.

    Raises UserError that names the first broken lines with what is wrong in each.
    """
    lines, faults = [], []
    for number, line in _lines(text.removeprefix(BOM)):
        try:
            row = _object(line)
            override = Override.model_validate(row)
            naive = has_no_zone(row.get("when"))
            lines.append(OverrideLine(number=number, override=override, is_without_zone=naive))
        except ValidationError as error:
            what, remedy = describe_fault(error.errors(include_url=False)[0], Override)
            faults.append(f"line {number}: {what} {remedy}".rstrip())
        except ValueError as error:
            faults.append(f"line {number}: {error}")
    if faults:
        more = f"\n  and {len(faults) - _SHOWN:,} more" if len(faults) > _SHOWN else ""
        raise UserError(
            visible("\n  ".join(faults[:_SHOWN])) + more,
            where=place,
            remedy='Each line is an object with `id`, `judged` and `action`, as "datakit review" writes it.',
        )
    return lines


def has_no_zone(when: Any) -> bool:
    """Whether a time of a file, as text, leaves its zone out."""
    return isinstance(when, str) and _TIME.validate_python(when).tzinfo is None


def _lines(text: str) -> Iterator[tuple[int, str]]:
    """Line by line at line feeds alone: texts may hold other separators of lines."""
    for number, line in enumerate(text.split("\n"), 1):
        if line.strip():
            yield number, line


def _object(line: str) -> dict[str, Any]:
    try:
        row = json.loads(line)
    except (ValueError, RecursionError):
        raise ValueError("this is no JSON") from None
    if not isinstance(row, dict):
        raise ValueError("this is no JSON object")
    return row
