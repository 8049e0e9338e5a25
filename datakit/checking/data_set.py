"""Entries of dataset_info.json as LLaMA-Factory understands them, with the traps that they hold."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from datakit.artifacts.names import DATASET_INFO
from datakit.checking.finding import Findings
from datakit.checking.rows import KINDS, READ
from datakit.core.dataset_info import COLUMNS, FORMATTINGS, TAGS
from datakit.core.errors import did_you_mean
from datakit.core.regular_files import read_regular, read_regular_text
from datakit.core.shown_path import show_path

_VITAL = tuple(TAGS)[:4]
_KEYS = ("formatting", "ranking", "subset", "split", "folder", "num_samples", "columns", "tags", "file_name")
_REMOTE = {
    "hf_hub_url": "read from the Hugging Face hub",
    "ms_hub_url": "read from ModelScope (needs the package modelscope)",
    "om_hub_url": "read from openMind (needs the package openmind)",
    "script_url": "a script in the data folder",
    "cloud_file_name": "read from a cloud's store",
}
"""Keys that name a data set elsewhere, in the trainer's order -> where."""


@dataclass(frozen=True)
class DataSet:
    """One entry. None means that the trainer looks at no such column, or that no role has that tag."""

    name: str
    files: tuple[Path, ...] = ()
    """Empty for a data set that lies elsewhere, or whose entry is wrong."""
    formatting: str = "alpaca"
    ranking: bool = False
    num_samples: int | None = None
    columns: dict[str, str | None] = field(default_factory=lambda: dict(COLUMNS))
    tags: dict[str, str | None] = field(default_factory=lambda: dict[str, str | None](TAGS))

    def mapped(self) -> dict[str, str]:
        """The columns that this formatting reads -> their names in the rows."""
        alpaca = ("prompt", "query", "response", "history")
        own = alpaca if self.formatting == "alpaca" else ("messages",)
        shared = ("system", "tools", "images", "videos", "audios", "kto_tag")
        ranked = ("chosen", "rejected") if self.ranking else ()  # the trainer looks at them there alone
        return {key: name for key in (*own, *shared, *ranked) if (name := self.columns.get(key))}


def data_sets(
    folder: Path, document: dict[str, Any], names: Iterable[str], findings: Findings
) -> list[DataSet]:
    """The named entries in order, each once; those that cannot be loaded are reported and left out."""
    index = folder / DATASET_INFO
    by_name: dict[str, DataSet] = {}
    for name in names:
        where = f"{show_path(index)}:{_line_of(index, name)}"
        if name in by_name:
            findings.add("data_set_twice", f"`{name}` is named more than once", data_set=name, where=where)
        elif not isinstance(document.get(name), dict):
            defined = ", ".join(document) or "none"
            remedy = f"{did_you_mean(name, document)} It has {defined}.".strip()
            findings.add(
                "data_set_undefined", f"`{name}` is not there", data_set=name, where=str(index), remedy=remedy
            )
        else:
            by_name[name] = _entry(folder, name, document[name], where, findings)
    return list(by_name.values())


def load_index(folder: Path, findings: Findings) -> dict[str, Any] | None:
    """The index of a folder; None when it cannot be read, which is reported."""
    index = folder / DATASET_INFO
    place = show_path(index)
    try:
        data = read_regular(index)
    except OSError as error:
        findings.add("index_missing", f"cannot read {place}: {error.strerror}", where=place)
        return None
    if data.startswith(b"\xef\xbb\xbf"):
        findings.add(
            "index_missing", "starts with a byte-order mark", where=f"{place}:1", remedy="Remove it."
        )
        return None
    try:
        document = json.loads(data.decode("utf-8"))
    except (ValueError, RecursionError) as error:  # no JSON, no UTF-8, 5,000 digits, 100,000 brackets
        line = getattr(error, "lineno", 1)
        findings.add("index_missing", f"not JSON: {error}", where=f"{place}:{line}", remedy="Mend it there.")
        return None
    if not isinstance(document, dict):
        findings.add("index_missing", "is no object of data sets", where=place, remedy="Mend it.")
        return None
    if not data.isascii():
        findings.add("index_encoding", "holds characters beyond ASCII", where=place)
    return document


def _line_of(index: Path, name: str) -> int:
    """The line in which an entry begins; 1 when it is not found."""
    text = read_regular_text(index)
    at = text.find(f'"{name}"')
    return text.count("\n", 0, at) + 1 if at >= 0 else 1


def _entry(folder: Path, name: str, raw: dict[str, Any], where: str, findings: Findings) -> DataSet:
    def add(code: str, message: str, remedy: str = "") -> None:
        findings.add(code, f"`{name}`: {message}", data_set=name, where=where, remedy=remedy)

    for key in raw.keys() - {*_KEYS, *_REMOTE}:
        add("entry_unknown_key", f"`{key}`. {did_you_mean(key, (*_KEYS, *_REMOTE))}".strip())
    data_set = DataSet(
        name, formatting=raw.get("formatting", "alpaca"), ranking=bool(raw.get("ranking", False))
    )
    if data_set.formatting not in FORMATTINGS:
        hint = did_you_mean(str(data_set.formatting), FORMATTINGS)
        add(
            "entry_wrong",
            f"unknown formatting `{data_set.formatting}`",
            f"{hint} Known: {', '.join(FORMATTINGS)}.",
        )
        return data_set
    if data_set.formatting == "openai":
        add("formatting_openai", "its system turns change")
    for key, allowed in (("columns", COLUMNS), ("tags", TAGS)):
        if key not in raw:
            continue
        mapping = raw[key] if isinstance(raw[key], dict) else {}
        odd = [word for word in allowed if not isinstance(mapping.get(word), str | None)]
        if odd or mapping is not raw[key]:
            subject = ", ".join(f"`{key}.{word}`" for word in odd) or f"`{key}`"
            add("entry_wrong", f"{subject} must be {'a name' if odd else 'an object of names'}")
            return data_set
        for word in mapping.keys() - set(allowed):
            add("entry_unknown_key", f"`{key}.{word}`. {did_you_mean(word, allowed)}".strip())
        chosen = {word: mapping.get(word) for word in allowed}
        data_set = replace(data_set, columns=chosen) if key == "columns" else replace(data_set, tags=chosen)
        lacking = [word for word in TAGS if not mapping.get(word)] if key == "tags" else []
        if lacking and data_set.formatting != "alpaca":
            vital = [word for word in lacking if word in _VITAL]
            add("entry_wrong" if vital else "tags_partial", f"`tags` lacks {', '.join(vital or lacking)}")
    if raw.get("num_samples") is not None:
        add("num_samples", f"{raw['num_samples']}")
        data_set = replace(data_set, num_samples=raw["num_samples"])
    return replace(data_set, files=_files(folder, raw, add))


def _files(folder: Path, raw: dict[str, Any], add: Any) -> tuple[Path, ...]:
    remote = next((key for key in _REMOTE if key in raw), None)
    if remote is not None:
        code = "data_set_script" if remote == "script_url" else "data_set_remote"
        add(code, f"`{remote}: {raw[remote]}`, {_REMOTE[remote]}")
        return ()
    if "file_name" not in raw:
        add("entry_wrong", "names no file", "Give it a `file_name`.")
        return ()
    path = folder / str(raw["file_name"])
    if os.path.isfile(path):  # of a name that is too long for the system it says that there is none
        files = [path]
    elif os.path.isdir(path):
        files = sorted(path.iterdir())
    else:
        add("file_missing", f"there is no file {show_path(path)[:300]}")
        return ()
    kinds = {KINDS.get(file.suffix[1:]) for file in files}
    if None in kinds or len(kinds) != 1:
        add("entry_wrong", "its files are not all of one kind", f"Known: {', '.join(KINDS)}.")
        return ()
    if not kinds <= set(READ):
        add("data_set_remote", f"{show_path(path)} is neither JSON nor CSV, Parquet or text")
        return ()
    return tuple(files)
