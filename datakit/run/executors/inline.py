"""Work in the caller's own thread, one record after the other: for steps that cost next to nothing."""

from __future__ import annotations

from collections.abc import Generator, Iterator

from datakit.core.tools import Tools
from datakit.core.transform import Annotator, Row
from datakit.run.executors.base import Answered, Job, answer


class InlineExecutor:
    """One worker, here."""

    def __init__(self, annotator: Annotator, tools: Tools) -> None:
        self._annotator, self._tools = annotator, tools
        self.notes: Row = {}

    def run(self, jobs: Iterator[Job]) -> Generator[Answered, None, None]:
        """Each outcome the moment it is there."""
        worker = self._annotator.start(self._tools)
        for job in jobs:
            yield [(job.key, answer(worker, job.row))]
