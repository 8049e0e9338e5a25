"""What a person looked at, as a digest: by it a decision is told that was made about something else."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import orjson

from datakit.core.labels import LabelSet
from datakit.core.record import digest

_MISSING = "missing"


def judged(
    label: str | None,
    image_digests: Sequence[str],
    texts: Sequence[str | None],
    brought: str | None = None,
) -> str:
    """32 hex digits of a record's label, pictures (hex sha256 each, in order), own texts, and what else it
    brings (`brought_digest`; null for nothing).

    A null text is equal to an empty one, and pictures that cannot be read are equal wherever they lie.
    """
    pictures = [_MISSING if name.startswith(_MISSING) else name for name in image_digests]
    parts = [label, pictures, [text or "" for text in texts]]
    return digest(parts if brought is None else [*parts, brought]).hex()


def chat_digest(turns: Iterable[Mapping[str, Any]]) -> str:
    """32 hex digits of who says what in a chat."""
    return digest([[turn.get("role"), turn.get("content")] for turn in turns]).hex()


def brought_digest(chat: str | None, columns: Mapping[str, Any]) -> str | None:
    """32 hex digits of a record's chat (`chat_digest`; null for none) and of its values in the source's own
    columns; that of the chat where these are empty, null where it has none either.

    A value is what it says: 9, 9.0 and "9" are equal, so that a column whose type changes with one row stays
    the same in all others.
    """
    values = {name: text for name, value in columns.items() if (text := _said(value))}
    return digest([chat, values]).hex() if values else chat


def _said(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if isinstance(value, Mapping | list | tuple):
        return orjson.dumps(value, default=str, option=orjson.OPT_SORT_KEYS).decode() if value else ""
    return str(value)


def canonical(label: str | None, labels: LabelSet | None) -> str | None:
    """A label in the label file's spelling, where the file has it: how a label enters `judged`."""
    known = labels.find(label) if label and labels else None
    return known.name if known else label


def canonical_probabilities(
    probabilities: Mapping[str, float] | None, labels: LabelSet | None
) -> dict[str, float] | None:
    """The probability of each label in the label file's spelling; those of two spellings are added."""
    if probabilities is None:
        return None
    named: defaultdict[str, float] = defaultdict(float)
    for label, value in probabilities.items():
        named[canonical(label, labels) or label] += value
    return dict(named)
