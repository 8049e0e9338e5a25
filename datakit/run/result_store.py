"""What every result store promises: results by key with checksums, each question's answers, leases.

A store keeps rows (`StoredRow`); what rows mean is told here, so that a file and a database hold the same
bytes under the same keys.
"""

from __future__ import annotations

import time
import zlib
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import orjson

from datakit.core.files import Stamp
from datakit.core.outcome import Done, Rejected
from datakit.core.sub_results import QUESTION
from datakit.llm._faults import of_server
from datakit.run.checksums import Damaged, StoredRow
from datakit.run.leases import Leases
from datakit.run.store_entry import Entry, Key

_COMPRESS_ABOVE = 1024
DAY_S = 86_400


@dataclass(frozen=True, slots=True)
class Stored:
    """A result as it was stored."""

    outcome: Done | Rejected
    step: str
    created: int
    """Seconds since 1970."""


class ResultStore(ABC):
    """Results by key, and digests of files. Several processes may share it."""

    leases: Leases
    """The questions that this store's owner asks at this moment."""

    def __init__(self) -> None:
        self.damaged: dict[Key, str] = {}
        """Results that were looked up and are not what was stored -> their step. They count as absent."""

    @property
    @abstractmethod
    def place(self) -> str:
        """Where the store lies, for people."""

    @abstractmethod
    def close(self) -> None:
        """Ends leases and connections; what was put is stored."""

    @abstractmethod
    def flush(self) -> None:
        """Returns when whatever was put is stored for good."""

    def get_many(self, keys: Iterable[bytes]) -> dict[bytes, Stored]:
        """The stored results among `keys`, without those that do not count (`_counts`) or are damaged."""
        results: dict[bytes, Stored] = {}
        today = today_s()
        stale: list[bytes] = []
        for row in self._sound_rows(keys):
            outcome = row.outcome()
            if not _counts(outcome):
                continue
            results[row.key] = Stored(outcome, row.step, row.created)
            if row.used < today:
                stale.append(row.key)
        self._mark_used(stale, today)
        return results

    def known(self, keys: Iterable[bytes]) -> set[bytes]:
        """Which of `keys` have a result that counts and is sound."""
        # Unpacked is only what may not count: rejects, and results of parts, which name their parts.
        return {
            row.key
            for row in self._sound_rows(keys)
            if not (row.rejected or b'"parts"' in row.meta) or _counts(row.outcome())
        }

    def _sound_rows(self, keys: Iterable[bytes]) -> Iterator[StoredRow]:
        """The rows of keys without their checksums. A damaged one is noted and left out, and what has no
        checksum gets one, as it was read soundly."""
        for rows in self.rows(list(keys)):
            unsealed: list[StoredRow] = []
            for row in rows:
                try:
                    bare, is_sealed = row.opened()
                except Damaged:
                    self.damaged[row.key] = str(row.step)
                    continue
                if not is_sealed:
                    unsealed.append(row)
                yield bare
            if unsealed:
                self._seal(unsealed)

    @abstractmethod
    def rows(self, keys: Sequence[bytes]) -> Iterator[list[StoredRow]]:
        """The rows of keys as they lie there, some at a time."""

    @abstractmethod
    def _mark_used(self, keys: Sequence[bytes], today: int) -> None:
        """Notes the day of last use."""

    @abstractmethod
    def _seal(self, rows: Sequence[StoredRow]) -> None:
        """Gives rows without a checksum one."""

    @abstractmethod
    def put(self, key: bytes, step: str, outcome: Done | Rejected) -> None:
        """Stores a result. `meta["question"]` is kept beside it; its lease ends when the result is stored."""

    def put_many(self, results: Sequence[tuple[Key, str, Done | Rejected]]) -> None:
        """Stores results (key, step, outcome), all of them or none where that takes less time. For those that
        cost nobody anything: what was bought is put alone, the moment it comes."""
        for key, step, outcome in results:
            self.put(key, step, outcome)

    def answers_to(self, question: bytes) -> list[Done | Rejected]:
        """The stored results of one and the same question, under whatever keys they came."""
        return [stored.outcome for stored in self.get_many(self._answering(question)).values()]

    @abstractmethod
    def _answering(self, question: bytes) -> list[Key]:
        """The keys of the results that answer a question."""

    @abstractmethod
    def known_digests(self, stamps: Mapping[str, Stamp]) -> dict[str, str]:
        """Path -> digest of the files of this machine that have not changed since it was kept."""

    @abstractmethod
    def keep_digests(self, digests: Sequence[tuple[str, Stamp, str]]) -> None:
        """Remembers the digests of files of this machine, by path and stamp."""

    @abstractmethod
    def bytes_on_disk(self) -> int:
        """What the store takes up, as far as its owner tells."""

    @abstractmethod
    def usage(self) -> list[dict[str, Any]]:
        """Per step: results, rejected ones, bytes, first written and last used (seconds since 1970)."""

    @abstractmethod
    def means(self, step: str, model: str | None = None) -> dict[str, float | None] | None:
        """Mean tokens_in, tokens_out, cost_usd and seconds of a step's newest 200 results, and their number;
        `cost_usd_error` is the standard error of the mean cost.

        The cost of what came by batch is taken as that of a call. A figure that no result noted is None. With
        `model` only results of that model count, or of a dated version of it (`gpt-4o-2024-08-06`). None when
        there is no result.
        """

    @abstractmethod
    def entries(self) -> Iterator[Entry]:
        """Every result without its value, by step and key."""

    @abstractmethod
    def remove(self, keys: Iterable[bytes]) -> None:
        """Deletes results for good and gives the space back. Answers to their questions under other keys stay
        those keys' results, and answer nobody else any more: who forgets an answer wants it made again."""

    def rejects(self, steps: Sequence[str], reason: str) -> set[bytes]:
        """The keys of the results of these steps that reject their record for a reason."""
        outcomes = {row.key: row.outcome() for row in self._sound_rows(self._rejected(steps))}
        return {
            key
            for key, outcome in outcomes.items()
            if isinstance(outcome, Rejected) and outcome.reason == reason
        }

    @abstractmethod
    def _rejected(self, steps: Sequence[str]) -> list[Key]:
        """The keys of the rejects of steps."""

    @abstractmethod
    def pages(self, after: Key = b"", rows: int = 1000) -> Iterator[list[StoredRow]]:
        """All rows with a key behind `after`, as they lie there, in the order of their keys."""

    @abstractmethod
    def ages(self, keys: Sequence[bytes]) -> dict[Key, int]:
        """When each of the results that are there was made, in seconds since 1970."""

    @abstractmethod
    def questions_of(self, keys: Sequence[bytes]) -> list[tuple[bytes, Key]]:
        """Pairs of question and key, of results that answer questions."""

    @abstractmethod
    def take(self, rows: Sequence[StoredRow]) -> None:
        """Takes rows over from another store, as they are but with checksums; of one key the newest stays."""

    @abstractmethod
    def take_questions(self, pairs: Iterable[tuple[bytes, bytes]]) -> None:
        """Takes over which question each result answers: pairs of question and key."""

    @abstractmethod
    def note_forgotten(self, step: str, at: float | None = None) -> None:
        """Remembers that somebody wants results of a step made again: builds of before lack them."""

    @abstractmethod
    def forgotten(self) -> dict[str, float]:
        """Step -> when somebody last had results of it forgotten, in seconds since 1970."""

    def sound(self) -> str:
        """The word ok, or how many results are not what was stored, by their checksums."""
        count = damaged = 0
        for rows in self.pages():
            count += len(rows)
            damaged += sum(not is_sound(row) for row in rows)
        return f"{damaged:,} of {count:,} results are not what was stored" if damaged else "ok"

    def damage(self) -> str:
        """What was damaged among the results that were looked up, for people; "" where nothing was."""
        counts = sorted(Counter(self.damaged.values()).items())
        if not counts:
            return ""
        steps = ", ".join(f"{step} {count:,}" for step, count in counts)
        return (
            f"{len(self.damaged):,} results in {self.place} were damaged; only these are made anew: {steps}."
        )


def row_of(key: bytes, step: str, outcome: Done | Rejected) -> tuple[StoredRow, bytes | None]:
    """A result as a store holds it, with its checksum, and the question that it answers."""
    meta = dict(outcome.meta)
    question = meta.pop(QUESTION, None)
    body = [outcome.reason, outcome.detail] if isinstance(outcome, Rejected) else outcome.raw
    value = orjson.dumps(body)
    if len(value) > _COMPRESS_ABOVE:
        value = b"z" + zlib.compress(value, 1)
    rejected, now = int(isinstance(outcome, Rejected)), int(time.time())
    row = StoredRow(key, step, rejected, value, orjson.dumps(meta), now, today_s())
    return row.sealed(), None if question is None else bytes.fromhex(question)


def is_sound(row: StoredRow) -> bool:
    """Whether a row is what was stored, as far as its checksum or its form can tell."""
    try:
        row.opened()
    except Damaged:
        return False
    return True


def today_s() -> int:
    """The beginning of the day, in seconds since 1970."""
    return int(time.time()) // DAY_S * DAY_S


def _counts(outcome: Done | Rejected) -> bool:
    """Whether a stored result stands. One that rests on a fact about a server (its context was too small, it
    took no pictures) does not: versions before 0.2 stored those as rejects of their records."""
    if isinstance(outcome, Rejected):
        return not of_server(outcome.reason, outcome.detail)
    if not isinstance(outcome.raw, dict) or "samples" not in outcome.raw:
        return True
    answers = [one for sample in outcome.raw["samples"] for one in sample]
    answers += [one["verdict"] for one in answers if one.get("verdict")]
    return not any(of_server(*answer["rejected"]) for answer in answers if "rejected" in answer)
