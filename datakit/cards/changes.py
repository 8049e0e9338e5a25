"""What differs between the inputs of two builds, in words."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from pathlib import PurePosixPath
from typing import Any

from datakit.artifacts.ledger import Inputs
from datakit.cards.parts import PART_NAMES
from datakit.core.task_blocks import flat_steps

_SILENT = {"name", "version", "run", "labels", "steps", "emit"}
"""Keys of a recipe that are no change by themselves, or are compared in another way."""
_MOST = 5
"""Labels that are named of each kind of change."""
_LONG = 60
_MOST_FILES = 5
"""Sources that are named one by one of each kind of change; more are told by their folders."""
_MOST_FOLDERS = 5


def changes(before: Inputs, after: Inputs) -> list[str]:
    """Every difference, each in a few words; empty when both were made of the same."""
    return [
        *_steps(before.recipe, after.recipe),
        *_settings(before.recipe, after.recipe),
        *_templates(before.templates, after.templates),
        *_labels(before.labels, after.labels),
        *_data(before, after),
        *_moved("datakit", before.datakit, after.datakit),
    ]


def _steps(before: Mapping[str, Any], after: Mapping[str, Any]) -> Iterator[str]:
    for section in ("steps", "emit"):
        old, new = _numbered(_rows(before, section)), _numbered(_rows(after, section))
        prefix = "emit." if section == "emit" else ""
        for name in new:
            if name not in old:
                yield f"{prefix}{name} added"
        for name in old:
            if name not in new:
                yield f"{prefix}{name} removed"
        for name, values in new.items():
            if name in old:
                yield from _values(f"{prefix}{name}", old[name], values)
        if [name for name in old if name in new] != [name for name in new if name in old]:
            yield f"order of {section} changed"


def _rows(recipe: Mapping[str, Any], section: str) -> Any:
    """The steps of a section in order, those of tasks in their place."""
    return [row for _, row in flat_steps(recipe)] if section == "steps" else recipe.get(section)


def _settings(before: Mapping[str, Any], after: Mapping[str, Any]) -> Iterator[str]:
    old = {key: value for key, value in before.items() if key not in _SILENT}
    new = {key: value for key, value in after.items() if key not in _SILENT}
    yield from _values("", old, new)


def _numbered(rows: Any) -> dict[str, Any]:
    """Step -> parameters; a step that comes again is `name (2)`."""
    steps: dict[str, Any] = {}
    for row in rows or ():
        ((name, values),) = row.items() if isinstance(row, dict) else ((str(row), {}),)
        number, key = 1, str(name)
        while key in steps:
            number += 1
            key = f"{name} ({number})"
        steps[key] = values or {}
    return steps


def _values(place: str, before: Any, after: Any) -> Iterator[str]:
    if isinstance(before, dict) and isinstance(after, dict):
        for key in [*before, *(key for key in after if key not in before)]:
            inner = f"{place}.{key}" if place else str(key)
            yield from _values(inner, before.get(key), after.get(key))
    elif before != after:
        yield f"{place} {_word(before)} → {_word(after)}"


def _word(value: Any) -> str:
    if value is None:
        return "default"
    if isinstance(value, dict):
        text = ", ".join(f"{key}: {_word(inner)}" for key, inner in value.items())
    elif isinstance(value, list):
        text = f"[{', '.join(_word(inner) for inner in value)}]"
    elif isinstance(value, bool):
        text = str(value).lower()
    else:
        text = " ".join(str(value).split())
    return text if len(text) <= _LONG else f"{text[:_LONG]}…"


def _templates(before: Mapping[str, str], after: Mapping[str, str]) -> Iterator[str]:
    for name, value in after.items():
        if name in before and before[name] != value:
            yield f"template {name} changed"


def _labels(before: Mapping[str, tuple[str, ...]], after: Mapping[str, tuple[str, ...]]) -> Iterator[str]:
    yield from _listed("label", "added", (name for name in after if name not in before))
    yield from _listed("label", "removed", (name for name in before if name not in after))
    shared = [name for name in after if name in before]
    for at, field in enumerate(("description", "aliases", "confusable_with")):
        changed = (name for name in shared if before[name][at] != after[name][at])
        yield from _listed(f"{field} of", "changed", changed)


def _listed(what: str, how: str, names: Iterable[str]) -> Iterator[str]:
    listed = list(names)
    if listed:
        more = f" and {len(listed) - _MOST} more" if len(listed) > _MOST else ""
        yield f"{what} {'、'.join(listed[:_MOST])}{more} {how}"


def _data(before: Inputs, after: Inputs) -> Iterator[str]:
    old, new = _without_moved(before.sources, after.sources), _without_moved(after.sources, before.sources)
    edited = [path for path in new if path in old and old[path] != new[path]]
    yield from _files(edited, new, "changed", "changed")
    yield from _files([path for path in new if path not in old], new, "added", "are new")
    yield from _files([path for path in old if path not in new], old, "removed", "are gone")
    for split in dict.fromkeys([*before.records, *after.records]):
        count_before, count_after = before.records.get(split, 0), after.records.get(split, 0)
        if count_before != count_after:
            yield f"{PART_NAMES.get(split, split)} rows {count_before:,} → {count_after:,}"


def _without_moved(sources: Mapping[str, str], others: Mapping[str, str]) -> dict[str, str]:
    """Those that do not lie at another place of the other build, under their name and unchanged."""
    elsewhere = {(PurePosixPath(path).name, sha256) for path, sha256 in others.items() if path not in sources}
    return {
        path: sha256
        for path, sha256 in sources.items()
        if path in others or (PurePosixPath(path).name, sha256) not in elsewhere
    }


def _files(paths: list[str], among: Iterable[str], how: str, how_many: str) -> Iterator[str]:
    """A line for each file, or for each folder where they are many; of how many that lie in it."""
    if len(paths) <= _MOST_FILES:
        yield from (f"source {PurePosixPath(path).name} {how}" for path in paths)
        return
    count, total = _by_folder(paths), Counter(str(PurePosixPath(path).parent) for path in among)
    for folder, number in count.items():
        inside = sum(held for other, held in total.items() if _below(other, folder))
        files = "source files" if folder == "." else f"files under {folder}/"
        yield f"{number:,} of {inside:,} {files} {how_many}"


def _by_folder(paths: Iterable[str]) -> dict[str, int]:
    """Folder -> files in it or below: the deepest folders that are few enough to be listed."""
    count = Counter(str(PurePosixPath(path).parent) for path in paths)
    while len(count) > _MOST_FOLDERS:
        deepest = max(len(PurePosixPath(folder).parts) for folder in count)
        higher: Counter[str] = Counter()
        for folder, number in count.items():
            is_deepest = len(PurePosixPath(folder).parts) == deepest
            higher[str(PurePosixPath(folder).parent) if is_deepest else folder] += number
        count = higher
    tops = [
        folder for folder in count if not any(_below(folder, other) for other in count if other != folder)
    ]
    return {top: sum(number for folder, number in count.items() if _below(folder, top)) for top in tops}


def _below(folder: str, top: str) -> bool:
    return folder == top or PurePosixPath(folder).is_relative_to(top) or top == "."


def _moved(what: str, before: str, after: str) -> Iterator[str]:
    if before and after and before != after:
        yield f"{what} {before} → {after}"
