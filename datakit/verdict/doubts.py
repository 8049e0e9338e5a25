"""Whether anybody doubts the labels: a proxy, a model out of fold, the writer of the reasons, duplicates."""

from __future__ import annotations

from collections import Counter

import polars as pl

from datakit.artifacts.build_folder import BuildFolder
from datakit.artifacts.originals import originals
from datakit.core.record import BETTER, DECLINED
from datakit.verdict.seen import SHOWN, Seen, height, records

_DECLINED = "reason_declined"
_SUSPECTS = {
    "id": pl.String(),
    "rank": pl.Int64(),
    "label": pl.String(),
    "proposed": pl.String(),
    "why": pl.String(),
}


def label_doubted(build: BuildFolder) -> Seen | None:
    """The suspects of curate.suspects, those that later steps reject too."""
    suspects = build.suspects
    if suspects is None:
        return None
    notes = build.notes("curate.suspects")
    total, several = int(notes.get("labelled", 0)), sum(len(one.voices) > 1 for one in suspects)
    spoken = Counter(voice.voice for one in suspects for voice in one.voices)
    words = f"nobody doubts one of {records(total)}" if notes.get("heard") else "nobody was asked"
    if suspects:
        voices = ", ".join(f"{name} {count:,}" for name, count in spoken.most_common())
        words = f"{len(suspects):,} of {total:,} are ({voices}), {several:,} by several voices"
    if changed := notes.get("predictions", {}).get("changed_since"):
        words += (
            f"; {changed:,} predictions out of fold are of what their records no longer are, and not heard"
        )
    rows = [
        (one.id, one.rank, one.label, one.proposed, "; ".join(voice.says for voice in one.voices))
        for one in suspects
    ]
    frame = pl.DataFrame(rows, schema=_SUSPECTS, orient="row").lazy()
    return Seen("No label is doubted", len(suspects), words, frame)


def reason_declined(build: BuildFolder) -> Seen | None:
    """Records for whose label the model would give no reason, kept or rejected."""
    reason = build.parameters("annotate.reason").get("into", "reason")
    column = f"{reason}{DECLINED}"
    rejected = sum(step.rejected.get(_DECLINED, 0) for step in build.report.steps)
    if column not in build.columns and not rejected:
        return None
    shown = [
        *SHOWN,
        *(name for name in (column, f"{reason}{BETTER}") if name in build.columns),
    ]
    kept = originals(build).select(shown)
    kept = kept.filter(pl.col(column).is_not_null()) if column in build.columns else kept.clear()
    lines = build.rejects.filter(pl.col("reason") == _DECLINED).select("id", pl.col("detail"))
    count = height(kept) + rejected
    words = f"it declines {records(count)}"
    if rejected:
        words += f", {rejected:,} of them rejected"
    if not count:
        words = "it declines none"
    together = pl.concat([kept, lines], how="diagonal")
    return Seen("The model gives a reason for every label", count, words, together)
