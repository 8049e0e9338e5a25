"""What is left of records at the end of a recipe, as far as its later steps can tell ahead."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence

import polars as pl

from datakit.core.step_context import Declaring, StepContext
from datakit.core.transform import Guard, Reviser, TableTransform


def left_of(frame: pl.LazyFrame, steps: Iterable[Declaring], context: StepContext) -> pl.LazyFrame:
    """The records that guards and table steps leave, with their `repeat`.

    Passed over are steps whose input is not there yet, and guards that have answers written anew.
    """
    for step in steps:
        if not isinstance(step, TableTransform | Guard):
            continue
        own = context.for_step(step)
        if not set(step.inputs(own)) <= set(frame.collect_schema().names()):
            continue
        if isinstance(step, TableTransform):
            frame = step.apply(frame, own).frame
        else:
            kept, _ = passing(frame, step, own)
            frame = frame if kept is None else frame.join(kept.lazy(), on="id", how="semi")
    return frame


def passing(
    frame: pl.LazyFrame, guard: Guard, context: StepContext
) -> tuple[pl.DataFrame | None, Counter[str]]:
    """The ids that a guard lets pass, and how many it rejects for which reason; None of one that pays."""
    worker = guard.start(context, frame)
    if isinstance(worker, Reviser):
        return None, Counter()
    reasons: Counter[str] = Counter()
    ids = [pl.DataFrame(schema={"id": pl.String()})]
    for records in frame.collect_batches(chunk_size=context.run.batch_rows, maintain_order=True):
        batch = worker(records)
        ids.append(batch.frame.select("id"))
        reasons.update(reject.reason for reject in batch.rejects)
    return pl.concat(ids), reasons


Mix = tuple[float, int | None]
"""Share of all rows, and the records that there are for it; None for enough of them."""


def rows_at_the_end(rows: int, mixes: Sequence[Mix]) -> float:
    """Training rows once each of some mixes has added its share of them all.

    One that has too few adds what it has, and the others have their shares of what then comes out.
    """
    fixed, shares = float(rows), sum(share for share, _ in mixes)
    total = fixed / (1 - shares)
    limited = [(usable / share, share, usable) for share, usable in mixes if usable is not None]
    for _, share, usable in sorted(limited):  # the scarcest first: the total falls, never below what it holds
        if usable < round(share * total):
            fixed, shares = fixed + usable, shares - share
            total = fixed / (1 - shares)
    return total
