"""Work in the caller's own thread, one record after the other: for steps that cost next to nothing."""

from __future__ import annotations

from collections.abc import Generator, Iterator

from datakit.core.step_context import StepContext
from datakit.core.transform import Annotator, Row
from datakit.core.workers import row_worker
from datakit.run.executors.base import Answered, Job, answer, notes_of


class InlineExecutor:
    """One worker, here."""

    def __init__(self, annotator: Annotator, context: StepContext) -> None:
        self._annotator, self._context = annotator, context
        self.notes: Row = {}

    def run(self, jobs: Iterator[Job]) -> Generator[Answered, None, None]:
        """Each outcome the moment it is there."""
        worker = row_worker(self._annotator.start(self._context))
        try:
            for job in jobs:
                yield [(job.key, answer(worker, job.row))]
        finally:
            self.notes = notes_of([worker])
            worker.close()
