"""What a server says about the models that it has, and by what of it another model is told."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from typing import Any

from datakit.llm import chat_answer

_FRESH_S = 60
"""vLLM, SGLang and llama.cpp put the time of the question into `created`: that tells nothing."""


@dataclass(frozen=True, slots=True)
class Served:
    """What a server says about a model."""

    name: str
    root: str
    """Where its weights come from."""
    max_model_len: int | None
    created: int | None = None
    """When the model came about, in seconds since the epoch; None where the server does not know it."""
    names: tuple[str, ...] = ()
    """All names that the server has."""

    @property
    def mark(self) -> str:
        """What beside name and root tells it from another at the same address; "" for nothing."""
        others = [name for name in self.names if name != self.name]
        parts = [f"names={','.join(others)}"] if others else []
        return " ".join([*parts, *([f"created={self.created}"] if self.is_dated else [])])

    @property
    def is_dated(self) -> bool:
        """Whether other weights under the same name would show."""
        return self.created is not None

    def differs(self, other: Served) -> str:
        """In what another look at the same name shows another model, in words; "" where it shows none."""
        if self.root != other.root:
            return f"serves {other.root} as `{other.name}`; before it was {self.root}"
        if self.is_dated and other.is_dated and self.created != other.created:
            return f"serves another `{other.name}` than before, by the time of its making"
        return ""


def listed(data: Any, headers: Mapping[str, str]) -> list[Served] | None:
    """The models of a server's list, by its headers in small letters; None for what is no list of models."""
    try:
        entries = list(data["data"])
        names = tuple(sorted(str(entry["id"]) for entry in entries))
        return [
            Served(
                str(entry["id"]),
                str(entry.get("root") or entry["id"]),
                chat_answer.count(entry.get("max_model_len")),
                _created(entry.get("created"), headers.get("date")),
                names,
            )
            for entry in entries
        ]
    except (AttributeError, KeyError, TypeError):
        return None


def _created(value: Any, date: str | None) -> int | None:
    """The time that a server states, if it is clearly older than its answer; by the server's own clock."""
    if type(value) is not int or value <= 0 or date is None:
        return None
    try:
        now = parsedate_to_datetime(date).timestamp()
    except (ValueError, OverflowError):
        return None
    return value if value < now - _FRESH_S else None
