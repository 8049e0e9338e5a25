"""What annotate.image_quality found: records whose pictures are too poor to learn from."""

from __future__ import annotations

import polars as pl

from datakit.artifacts.build_folder import BuildFolder
from datakit.artifacts.originals import originals
from datakit.core.picture_faults import FAULTS, PICTURE_FAULTS, has_picture_faults, is_poor
from datakit.pages.figures import collect
from datakit.verdict.seen import SHOWN, Seen, records


def poor(build: BuildFolder) -> Seen | None:
    """Records with a picture that is dark, blurry, blank, of an odd size or framed."""
    if not has_picture_faults(build.columns):
        return None
    found = originals(build).filter(is_poor())
    faults = collect(found.select(FAULTS))[FAULTS]
    counts = dict(faults.explode(empty_as_null=True).value_counts().iter_rows())
    kinds = ", ".join(f"{fault} {counts[fault]:,}" for fault in PICTURE_FAULTS if fault in counts)
    shown = [name for name in (*SHOWN, FAULTS) if name in build.columns or name == "part"]
    said = found.with_columns(pl.col(FAULTS).list.join(", ")).select(
        name for name in shown if name in found.collect_schema()
    )
    words = f"{records(len(faults))}: {kinds}" if len(faults) else "none is"
    return Seen("No picture is poor (annotate.image_quality)", len(faults), words, said)
