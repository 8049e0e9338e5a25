"""`--set key=value`: a recipe with some values replaced, without editing the file."""

from __future__ import annotations

import copy
from collections.abc import Iterable
from typing import Any

import yaml

from datakit.core.errors import UserError


def apply_overrides(data: dict[str, Any], overrides: Iterable[str]) -> dict[str, Any]:
    """A copy of a recipe's data with each `key=value` set; values are YAML.

    A key is a path in the recipe (`run.concurrency`, `seed`) or a step's name and parameter
    (`annotate.ocr.engine`; `read.jsonl#2.path` for the second step of that name).
    """
    changed = copy.deepcopy(data)
    for text in overrides:
        key, found, value = text.partition("=")
        if not found or not key:
            raise UserError(f"--set {text!r} is not key=value", remedy="Example: --set run.concurrency=8")
        try:
            parsed = yaml.safe_load(value)
        except yaml.YAMLError:
            raise UserError(f"--set {text!r}: the value is not YAML") from None
        _set(changed, key.strip(), parsed, text)
    return changed


def _set(data: dict[str, Any], key: str, value: Any, text: str) -> None:
    target, parts = _step_parameters(data, key) or (data, key.split("."))
    for part in parts[:-1]:
        inner = target.setdefault(part, {})
        if inner is None:
            inner = target[part] = {}
        if not isinstance(inner, dict):
            raise UserError(f"--set {text!r}: `{part}` is not a mapping")
        target = inner
    target[parts[-1]] = value


def _step_parameters(data: dict[str, Any], key: str) -> tuple[dict[str, Any], list[str]] | None:
    """The parameter mapping of the step that a key begins with, and the rest of the key."""
    parts = key.split(".")
    if len(parts) < 3 or parts[0] in data:
        return None
    wanted, _, nth = ".".join(parts[:2]).partition("#")
    steps = [
        (row, name)
        for section, prefix in (("steps", ""), ("emit", "emit."))
        for row in data.get(section) or []
        for name in ([row] if isinstance(row, str) else list(row) if isinstance(row, dict) else [])
        if wanted in (name, prefix + str(name))
    ]
    if not steps:
        raise UserError(f"--set {key}: no step `{wanted}` in the recipe")
    if nth and not (nth.isdigit() and 1 <= int(nth) <= len(steps)):
        raise UserError(f"--set {key}: there are {len(steps)} steps `{wanted}`")
    if len(steps) > 1 and not nth:
        raise UserError(
            f"--set {key}: {len(steps)} steps are called `{wanted}`", remedy=f"Say which: {wanted}#1.…"
        )
    row, name = steps[int(nth) - 1 if nth else 0]
    if isinstance(row, str):
        raise UserError(f"--set {key}: write the step as `{name}: {{}}` first")
    if row[name] is None:
        row[name] = {}
    return row[name], parts[2:]
