"""The repeats of a record asked in different words: each in the next of several label blocks."""

from __future__ import annotations

from typing import Any

import polars as pl

from datakit.core.outcome import Batch, Reject
from datakit.core.transform import BatchWorker
from datakit.render._batches import Batches
from datakit.render._changes import ChangedAnswers

NUMBER = "repeat_number"
"""Which repeat of its record a record is, from 1, as balance.resample says."""
_PLACE, _TURN = "_place", "_turn"


class Rotation(BatchWorker):
    """Renders the first of a record's repeats with the first worker, the second with the second, and so on
    round and round. Records that are not repeated have the first."""

    def __init__(self, workers: dict[str, Batches]) -> None:
        self.workers, self.counts = workers, dict.fromkeys(workers, 0)

    def __call__(self, frame: pl.DataFrame) -> Batch:
        turn = (pl.col(NUMBER).fill_null(1).cast(pl.Int64) - 1) % len(self.workers)
        numbered = frame.with_columns(turn.alias(_TURN)).with_row_index(_PLACE)
        frames, rejects = [], list[Reject]()
        for number, (name, worker) in enumerate(self.workers.items()):
            batch = worker(numbered.filter(pl.col(_TURN) == number))
            self.counts[name] += batch.frame.height
            frames.append(batch.frame)
            rejects += batch.rejects
        order = {id_: at for at, id_ in enumerate(frame["id"])}
        whole = pl.concat(frames).sort(_PLACE).drop(_PLACE, _TURN)
        return Batch(whole, sorted(rejects, key=lambda reject: order[reject.id]))

    @property
    def notes(self) -> dict[str, Any]:
        """Label block -> records, and what the answers' form changed."""
        changed = ChangedAnswers()
        for worker in self.workers.values():
            changed.add(worker.changed)
        return {"label blocks": dict(self.counts), **changed.notes}
