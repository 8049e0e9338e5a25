"""What an answer must look like: named values of a few plain types, as a JSON schema and as an example."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

Plain = Literal["text", "line", "note", "list", "number", "boolean"]
Kind = Plain | tuple[str, ...]
"""`text`; `line`, a text without line breaks; `note`, a line that may be blank or missing; `list` of texts;
`number`; `boolean`; or the texts to choose from."""

_JSON: dict[str, dict[str, Any]] = {
    "text": {"type": "string"},
    "line": {"type": "string"},
    "note": {"type": "string"},
    "list": {"type": "array", "items": {"type": "string"}},
    "number": {"type": "number"},
    "boolean": {"type": "boolean"},
}
_SHOWN: dict[str, Any] = {
    "text": "……",
    "line": "……",
    "note": "……",
    "list": ["……"],
    "number": 0,
    "boolean": True,
}


@dataclass(frozen=True, slots=True)
class AnswerSchema:
    """An answer is a JSON object with every one of these values."""

    values: tuple[tuple[str, Kind], ...]
    """Name and kind, in the order in which the model is to write them."""

    @classmethod
    def of(cls, values: Mapping[str, Kind]) -> AnswerSchema:
        return cls(tuple(values.items()))

    @classmethod
    def line(cls, name: str) -> AnswerSchema:
        """One text of this name, without line breaks."""
        return cls(((name, "line"),))

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(name for name, _ in self.values)

    @property
    def title(self) -> str:
        """A name of ASCII letters, digits and underscores, as endpoints demand."""
        only = self.names[0] if len(self.values) == 1 else "answer"
        return only[:64] if only.isascii() else "answer"

    def json_schema(self) -> dict[str, Any]:
        """The JSON schema, as strict endpoints take it."""
        return {
            "type": "object",
            "properties": {name: _json_schema(kind) for name, kind in self.values},
            "required": list(self.names),
            "additionalProperties": False,
        }

    def example(self) -> str:
        """The object that is asked for, with dots for texts and every choice in words."""
        shown = {
            name: "|".join(kind) if isinstance(kind, tuple) else _SHOWN.get(kind, "……")
            for name, kind in self.values
        }
        return json.dumps(shown, ensure_ascii=False, separators=(",", ":"))


def _json_schema(kind: Kind) -> dict[str, Any]:
    return {"type": "string", "enum": list(kind)} if isinstance(kind, tuple) else _JSON[kind]
