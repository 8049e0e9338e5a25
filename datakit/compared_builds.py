"""Two builds compared in all that `datakit diff` tells, scores among it."""

from __future__ import annotations

from datakit.artifacts.build_folder import BuildFolder
from datakit.cards.diff import MOST_TEXTS, Diff, diff


def compare(before: BuildFolder, after: BuildFolder, *, texts: int = MOST_TEXTS) -> Diff:
    """The differences of records, settings and texts, and of scores where both builds were evaluated."""
    from datakit.evaluation.score_changes import score_changes

    differences = diff(before, after, texts=texts)
    differences.scores = score_changes(before, after)
    return differences
