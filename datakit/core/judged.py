"""What a person looked at, as a digest: by it a decision is told that was made about something else."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence

from datakit.core.labels import LabelSet
from datakit.core.record import digest

_MISSING = "missing"


def judged(label: str | None, image_digests: Sequence[str], texts: Sequence[str | None]) -> str:
    """32 hex digits of a record's label, pictures (hex sha256 each, in order) and own texts.

    A null text is equal to an empty one, and pictures that cannot be read are equal wherever they lie.
    """
    pictures = [_MISSING if name.startswith(_MISSING) else name for name in image_digests]
    return digest([label, pictures, [text or "" for text in texts]]).hex()


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
