"""LLaMA-Factory's index of data sets, `dataset_info.json`: one entry as the trainer understands it."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import orjson

from datakit.core.dataset_info import FORMATTINGS, TAGS
from datakit.core.errors import UserError, did_you_mean
from datakit.core.regular_files import read_regular
from datakit.core.text_encoding import decoded
from datakit.read._alpaca import AlpacaColumns
from datakit.read._files import missing, unreadable
from datakit.read._known_forms import PRE_TRAINING

_OPENAI = {"role_tag": "role", "content_tag": "content", "user_tag": "user", "assistant_tag": "assistant"}
_PREFERENCE = ("kto_tag", "chosen", "rejected")
_UNREADABLE = (*_PREFERENCE, "videos", "audios")
"""Columns of an entry whose meaning a record cannot hold."""


@dataclass(frozen=True)
class Entry:
    """One data set of the index."""

    name: str
    file: Path
    formatting: Literal["alpaca", "sharegpt"]
    alpaca: AlpacaColumns
    messages: str | None = None
    system: str | None = None
    images: str | None = None
    tools: str | None = None
    role_key: str = "from"
    content_key: str = "value"
    roles: dict[str, str] = field(default_factory=dict)
    """What a turn's role is called in the file -> its role in `messages`."""

    def dialogue_columns(self) -> set[str]:
        """The columns that make the dialogue."""
        if self.formatting == "alpaca":
            return self.alpaca.names()
        return {name for name in (self.messages, self.system) if name}


def load_entry(index: Path, name: str, drop: tuple[str, ...] = ()) -> Entry:
    """The entry of that name, without the columns `drop`.

    Raises UserError for a faulty index and for what cannot be read.
    """
    document = document_of(index)
    if name not in document:
        names = ", ".join(document) or "none"
        raise UserError(
            f"{index} has no data set `{name}`",
            remedy=f"{did_you_mean(name, document)} It has {names}.".strip(),
        )
    raw = document[name]
    if not isinstance(raw, dict):
        raise UserError(f"{index}: `{name}` is not an object")
    if drop and isinstance(raw.get("columns"), dict):
        raw = {**raw, "columns": {key: column for key, column in raw["columns"].items() if key not in drop}}
    return _entry(index, name, raw)


def document_of(index: Path) -> dict[str, Any]:
    """The index: name of a data set -> its entry. Raises UserError for a file that is none."""
    if not index.is_file():
        raise missing(index)
    try:
        document = orjson.loads(decoded(read_regular(index), index))
    except OSError as error:
        raise unreadable(index, error) from None
    except orjson.JSONDecodeError as error:
        raise UserError(f"not JSON: {error.msg}", where=f"{index}:{error.lineno}:{error.colno}") from None
    if not isinstance(document, dict):
        raise UserError(f"{index} is not an object of data sets")
    return document


def _entry(index: Path, name: str, raw: dict[str, Any]) -> Entry:
    formatting = raw.get("formatting", "alpaca")
    if formatting not in FORMATTINGS:
        raise UserError(
            f"{index}: `{name}` has the formatting {formatting!r}",
            remedy=f"Known: {', '.join(FORMATTINGS)}.",
        )
    columns, own_tags = (_names(index, name, raw, key) for key in ("columns", "tags"))
    mapping = {key: value for key, value in (columns or {}).items() if value}
    file = _file(index, name, raw, mapping)
    # the trainer sets every column that `columns` does not name to none, so its defaults hold only without it
    alpaca = AlpacaColumns(history=None, system=None)
    if columns is not None:
        names = (mapping.get(key) for key in ("prompt", "query", "response", "system", "history"))
        alpaca = AlpacaColumns(*names)
    tags = {**TAGS, **(_OPENAI if formatting == "openai" else {}), **(own_tags or {})}
    return Entry(
        name=name,
        file=file,
        formatting="alpaca" if formatting == "alpaca" else "sharegpt",
        alpaca=alpaca,
        messages=mapping.get("messages") if columns is not None else "conversations",
        system=mapping.get("system"),
        images=mapping.get("images"),
        tools=mapping.get("tools"),
        role_key=tags["role_tag"],
        content_key=tags["content_tag"],
        roles={
            spelling: "function_call" if role == "function" else role
            for role in ("user", "assistant", "observation", "function", "system")
            if (spelling := tags[f"{role}_tag"])  # null: no turn has that role
        },
    )


def _names(index: Path, name: str, raw: dict[str, Any], key: str) -> dict[str, Any] | None:
    """A mapping of the entry to names in the file; None where it has none. Raises UserError for another."""
    value = raw.get(key)
    if value is None:
        return None
    remedy = f'Write them as texts: "{key}": {{"…": "…"}}.'
    if not isinstance(value, dict):
        raise UserError(f"{index}: `{key}` of `{name}` is {value!r}, not an object", remedy=remedy)
    odd = next((inner for inner in value if value[inner] and not isinstance(value[inner], str)), None)
    if odd is not None:
        raise UserError(f"{index}: `{odd}` of `{name}` is {value[odd]!r}, not a name", remedy=remedy)
    return {inner: text or None for inner, text in value.items()}


def _file(index: Path, name: str, raw: dict[str, Any], mapping: dict[str, str]) -> Path:
    """The data file. Raises UserError for an entry that records cannot hold, or without a file."""
    odd = [key for key in _UNREADABLE if key in mapping]
    if raw.get("ranking") or any(key in _PREFERENCE for key in odd):
        raise UserError(
            f"{index}: `{name}` is preference data ({', '.join(map(_ticked, odd)) or '`ranking: true`'})",
            remedy="datakit makes data for supervised training: name a data set of dialogues.",
        )
    if odd:
        raise UserError(
            f"{index}: `{name}` has {', '.join(map(_ticked, odd))}, which records do not hold",
            remedy=f"Read it without them (`drop: [{', '.join(odd)}]`), or name a data set of dialogues.",
        )
    if (
        raw.get("formatting", "alpaca") == "alpaca"
        and mapping.keys() & {"prompt", "query"}
        and "response" not in mapping
    ):
        raise UserError(
            f"{index}: `{name}` names no column of answers (`response`): this is {PRE_TRAINING}",
            remedy="datakit makes data for supervised training: name a data set of dialogues.",
        )
    if "file_name" not in raw:
        raise UserError(
            f"{index}: `{name}` names no file (`file_name`)",
            remedy="Data of a hub is read with read.hub or read.alpaca.",
        )
    file = index.parent / str(raw["file_name"])
    if os.path.isdir(file):
        raise UserError(f"{file} is a folder, not a file", remedy="Name a data set that is one file.")
    if not os.path.isfile(file):
        raise missing(file)
    return file


def _ticked(name: str) -> str:
    return f"`{name}`"
