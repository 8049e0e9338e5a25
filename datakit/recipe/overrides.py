"""`--set key=value`: a recipe with some values replaced, without editing the file."""

from __future__ import annotations

import copy
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from datakit.core.errors import UserError, did_you_mean
from datakit.core.plain_yaml import YamlFault, parse
from datakit.core.task_blocks import block_of

EXAMPLE = "Example: --set run.concurrency=8"


def apply_overrides(data: dict[str, Any], overrides: Iterable[str]) -> dict[str, Any]:
    """A copy of a recipe's data with each `key=value` set; values are YAML.

    A key is a path in the recipe (`run.concurrency`, `seed`) or a step's name and parameter
    (`annotate.ocr.engine`, `emit.llamafactory.images`; `read.jsonl#2.path` for the second step of that name).
    """
    changed = copy.deepcopy(data)
    for text in overrides:
        key, equals_sign, value = text.partition("=")
        if not equals_sign or not key:
            raise UserError(f"--set {text!r} is not key=value", remedy=EXAMPLE)
        try:
            parsed = parse(value)
        except YamlFault:
            raise UserError(f"--set {text!r}: the value is not YAML") from None
        _set(changed, key.strip(), parsed, text)
    return changed


def drop_step(data: dict[str, Any], name: str) -> int:
    """Takes the step of a name out of a recipe's data; its place among `steps:`, from 0.

    `read.jsonl#2` is the second step of that name. Raises UserError for a step that is not there, or that a
    name does not tell from others.
    """
    steps = [(own, rows, index) for own, rows, index in _rows(data.get("steps"), "")]
    matches = [(rows, index) for own, rows, index in steps if own == name.partition("#")[0]]
    rows, index = _chosen(matches, name, [own for own, *_ in steps], f"--drop {name}")
    if rows is not data["steps"]:
        raise UserError(f"--drop {name}: the step stands in a task", remedy="Drop one outside of the tasks.")
    del rows[index]
    return index


def _set(data: dict[str, Any], key: str, value: Any, text: str) -> None:
    target, parts = _step_parameters(data, key) or (data, key.split("."))
    if not all(parts):
        raise UserError(
            f"--set {text!r}: the key has an empty part", remedy="Example: --set run.concurrency=8"
        )
    while len(parts) > 1:
        dotted = ".".join(parts[:2])  # a step inside a step, such as read.alpaca in mix.general
        part, parts = (dotted, parts[2:]) if len(parts) > 2 and dotted in target else (parts[0], parts[1:])
        inner = target.setdefault(part, {})
        if inner is None:
            inner = target[part] = {}
        if not isinstance(inner, dict):
            raise UserError(
                f"--set {text!r}: `{part}` is not a mapping",
                remedy=f"Make it one in the recipe, or replace it as a whole: --set {part}=…",
            )
        target = inner
    target[parts[0]] = value


def _step_parameters(data: dict[str, Any], key: str) -> tuple[dict[str, Any], list[str]] | None:
    """The parameter mapping of the step that a key begins with, and the rest of the key."""
    parts = key.split(".")
    if len(parts) < 3 or (parts[0] in data and parts[0] != "emit"):
        return None
    step_name = ".".join(parts[:2])
    steps = _steps(data)
    matches = [(rows, index) for name, rows, index in steps if name == step_name.partition("#")[0]]
    rows, index = _chosen(matches, step_name, [name for name, *_ in steps], f"--set {key}", ".…")
    row = rows[index]
    if isinstance(row, str):
        row = rows[index] = {row: {}}
    name = next(iter(row))
    if row[name] is None:
        row[name] = {}
    if not isinstance(row[name], dict):
        raise UserError(
            f"--set {key}: the parameters of `{name}` are not a mapping",
            remedy=f"Write them as `{name}: {{…}}` in the recipe.",
        )
    return row[name], parts[2:]


def _chosen(
    matches: Sequence[tuple[list[Any], int]], name: str, known: Sequence[str], call: str, more: str = ""
) -> tuple[list[Any], int]:
    """The one of the steps that `name` or `name#2` means. Raises UserError where it means none or several."""
    step_name, _, nth = name.partition("#")
    if not matches:
        names = list(dict.fromkeys(known))
        hint = did_you_mean(step_name, names) or f"It has {', '.join(names) or 'none'}."
        raise UserError(f"{call}: no step `{step_name}` in the recipe", remedy=hint)
    if nth and not (nth.isdecimal() and 1 <= int(nth) <= len(matches)):
        what = f"there are {len(matches)} steps `{step_name}`"
    elif len(matches) > 1 and not nth:
        what = f"{len(matches)} steps are called `{step_name}`"
    else:
        return matches[int(nth) - 1 if nth else 0]
    raise UserError(f"{call}: {what}", remedy=f"Say which: {step_name}#1{more}")


def _steps(data: dict[str, Any]) -> list[tuple[str, list[Any], int]]:
    """Name, list and place of every step; emitters by their full name."""
    steps: list[tuple[str, list[Any], int]] = []
    for section, prefix in (("steps", ""), ("emit", "emit.")):
        steps += _rows(data.get(section), prefix)
    return steps


def _rows(rows: Any, prefix: str) -> Iterator[tuple[str, list[Any], int]]:
    """The same of one list, with the steps of its task blocks in their place."""
    for index, row in enumerate(rows if isinstance(rows, list) else ()):
        block = block_of(row)
        if block is not None:
            yield from _rows(block.get("steps"), prefix)
            continue
        name = row if isinstance(row, str) else next(iter(row), None) if isinstance(row, dict) else None
        if isinstance(name, str):
            yield prefix + name.removeprefix(prefix), rows, index
