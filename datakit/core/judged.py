"""What a person looked at, as a digest: by it a decision is told that was made about something else."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from datakit.core.labels import LabelSet
from datakit.core.record import digest

_MISSING = "missing"


def judged(
    label: str | None,
    image_digests: Sequence[str],
    texts: Sequence[str | None],
    chat: str | None = None,
) -> str:
    """32 hex digits of a record's label, pictures (hex sha256 each, in order), own texts, and the chat that
    it brings (`chat_digest`; null for none).

    A null text is equal to an empty one, and pictures that cannot be read are equal wherever they lie.
    """
    pictures = [_MISSING if name.startswith(_MISSING) else name for name in image_digests]
    parts = [label, pictures, [text or "" for text in texts]]
    return digest(parts if chat is None else [*parts, chat]).hex()


def chat_digest(turns: Iterable[Mapping[str, Any]]) -> str:
    """32 hex digits of who says what in a chat."""
    return digest([[turn.get("role"), turn.get("content")] for turn in turns]).hex()


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
