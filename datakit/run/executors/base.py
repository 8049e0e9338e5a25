"""What an executor is: jobs in; key and outcome out, in batches as they come."""

from __future__ import annotations

import os
import sys
import time
import traceback
from collections import Counter
from collections.abc import Generator, Iterable, Iterator
from typing import NamedTuple, Protocol

from datakit.core.credentials import masked
from datakit.core.errors import DatakitError
from datakit.core.outcome import Done, Outcome, Retry
from datakit.core.transform import Row
from datakit.core.workers import AsyncRowWorker, RowWorker


class Job(NamedTuple):
    """A record to be answered."""

    key: bytes
    """Under which the outcome is handed back; no two jobs of a run have the same."""
    row: Row
    model: str = ""
    """The model that the record is bound to; executors of work on this machine do not look at it."""


LINGER_S = 0.02
"""Answers that cost nobody anything are handed out so seldom: a transaction of the store and a look at the
workers take as long for one as for twenty. Who kills the build loses no more work than that."""

Answered = list[tuple[bytes, Outcome]]
"""Outcomes by key."""


class Executor(Protocol):
    """Has an annotator's worker answer jobs, one run for each; made by `executor_for(annotator, context)`.

    An executor starts workers and says what they answered. It neither looks results up nor stores them, and
    counts neither records nor money: whoever calls it does that between two batches.

    - Every job comes back exactly once, in any order. `Retry` stands for an exception in a worker and for a
      worker that died; a DatakitError of a worker (a wrong key, missing weights) ends the run.
    - `jobs` is read only as fast as work can begin: what it yields may be bought. It may raise, which says
      that nothing more is to begin (BudgetSpent). Executors of calls then still hand out what is under way,
      because it is paid for; the error ends the run after that.
    - Batches are handed out as soon as they are there, those that nobody was paid for within LINGER_S, and
      are stored before the next one is asked for. One may be empty: nothing came, but the progress line has
      something to tell.
    - Closing the generator before its end, as Ctrl-C does, leaves no process, thread or task behind.
    - Workers share nothing with the caller but what is pickled to them (annotator, context, rows), unless
      they live in the caller's process.
    """

    notes: Row
    """What the workers had to say for the report, once the run has ended; `attempts` counts requests."""

    def run(self, jobs: Iterator[Job]) -> Generator[Answered, None, None]:
        """Outcomes as they come."""
        ...


def answer(worker: RowWorker, row: Row) -> Outcome:
    """The worker's outcome; an unforeseen exception becomes Retry, so that the record is not lost."""
    try:
        return worker.answer(row)
    except DatakitError:
        raise
    except Exception as error:  # a bug in a transform or an engine: shown in the report as a retry
        return unexpected(error)


def timed_answer(worker: RowWorker, row: Row) -> Outcome:
    """The same, with the seconds that it took: `plan` reckons by them."""
    began = time.perf_counter()
    outcome = answer(worker, row)
    if isinstance(outcome, Done):
        outcome.meta.setdefault("seconds", round(time.perf_counter() - began, 3))
    return outcome


def notes_of(workers: Iterable[RowWorker | AsyncRowWorker]) -> Row:
    """What the workers have to say besides their names; of several models, only the warnings."""
    attempts: Counter[str] = Counter()
    all_notes = [dict(worker.notes) for worker in workers]
    for notes in all_notes:
        attempts.update(notes.pop("attempts", {}))
        notes.pop("writer", None)
    if len(all_notes) > 1:
        warnings = [warning for notes in all_notes for warning in notes.get("warnings", [])]
        all_notes = [{"warnings": warnings}] if warnings else []
    merged: Row = {"attempts": dict(attempts)}
    for notes in all_notes:
        merged.update(notes)
    return merged


def unexpected(error: Exception) -> Retry:
    """What becomes of a record at which a worker failed in a way that nobody foresaw."""
    if os.environ.get("DATAKIT_DEBUG"):
        sys.stderr.write(masked("".join(traceback.format_exception(error))))
    return Retry("unexpected_error", masked(f"{type(error).__name__}: {error}"))
