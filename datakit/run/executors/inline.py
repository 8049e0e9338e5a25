"""Work in the caller's own thread, one record after the other: for steps that cost next to nothing."""

from __future__ import annotations

import time
from collections.abc import Generator, Iterator

from datakit.core.errors import DatakitError
from datakit.core.outcome import is_bought
from datakit.core.step_context import StepContext
from datakit.core.transform import Annotator, Row
from datakit.core.workers import row_worker
from datakit.run.executors.base import LINGER_S, Answered, Job, answer, notes_of


class InlineExecutor:
    """One worker, here."""

    def __init__(self, annotator: Annotator, context: StepContext) -> None:
        self._annotator, self._context = annotator, context
        self.notes: Row = {}

    def run(self, jobs: Iterator[Job]) -> Generator[Answered, None, None]:
        """Each outcome the moment it is there; such that nobody may have been paid for, some at once."""
        worker = row_worker(self._annotator.start(self._context))
        answered: Answered = []
        due = time.monotonic() + LINGER_S
        try:
            for job in jobs:
                outcome = answer(worker, job.row)
                answered.append((job.key, outcome))
                if is_bought(outcome) or time.monotonic() >= due:
                    yield answered
                    answered, due = [], time.monotonic() + LINGER_S
        except DatakitError:
            yield answered
            raise
        else:
            yield answered
        finally:
            self.notes = notes_of([worker])
            worker.close()
