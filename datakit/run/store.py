"""The result store: what was paid for once is never paid for again.

One SQLite file in WAL mode. Every result is committed the moment it arrives, so kill -9 loses only work in
flight. Keys are 16-byte digests, values the raw results (zlib above 1 KB); no image and no API key enters.
"""

from __future__ import annotations

import fcntl
import os
import sqlite3
import time
import zlib
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import orjson

from datakit.core.errors import UserError
from datakit.core.file_locks import waited_for
from datakit.core.files import Stamp, says_full
from datakit.core.outcome import Done, Rejected
from datakit.core.private_files import close_to_others, private_folder
from datakit.core.settings import RunSettings
from datakit.core.sub_results import QUESTION
from datakit.llm._faults import of_server
from datakit.run.checksums import Damaged, StoredRow, digest_check
from datakit.run.leases import Leases
from datakit.run.patient_connection import PatientConnection
from datakit.run.store_entry import Entry, Key, costs_of

_SCHEMA = """
CREATE TABLE IF NOT EXISTS results (
    key BLOB PRIMARY KEY, step TEXT NOT NULL, rejected INTEGER NOT NULL, value BLOB NOT NULL,
    meta BLOB NOT NULL, created INTEGER NOT NULL, used INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS digests (
    path TEXT PRIMARY KEY, size INTEGER NOT NULL, mtime_ns INTEGER NOT NULL, inode INTEGER NOT NULL,
    ctime_ns INTEGER NOT NULL, sha256 TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS digest_checks (path TEXT PRIMARY KEY, checksum BLOB NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS questions (
    question BLOB NOT NULL, key BLOB NOT NULL, PRIMARY KEY (question, key)) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS questions_by_key ON questions (key);
CREATE TABLE IF NOT EXISTS forgotten (step TEXT PRIMARY KEY, at REAL NOT NULL);
"""
"""Stores of datakit 0.1 have a table `files` of digests by size and time of change alone. It stays for that
datakit; what it says is not taken over, since an edit that restores both would stay hidden for good."""
FORMAT = 1
_BELIEVABLE = 99
"""No datakit will write a format above this: it is a damaged byte."""
FILE = "results.sqlite"
USERS = "users.lock"
"""Every open store has a share of it: nobody sets a damaged file aside that another still writes into."""
_COLUMNS = ", ".join(StoredRow._fields)
_COMPRESS_ABOVE = 1024
_SIZE = "length(value) + length(meta)"
_DAY_S = 86_400
_CHUNK = 500  # SQLite's default limit of variables is at least 999


@dataclass(frozen=True, slots=True)
class Stored:
    """A result as it was stored."""

    outcome: Done | Rejected
    step: str
    created: int
    """Seconds since 1970."""


class StoreDamaged(UserError):
    """SQLite cannot read the file."""

    def __init__(self, path: Path, fault: str) -> None:
        super().__init__(
            f"the result store {path} is damaged: {fault}",
            remedy="Run `datakit build`: it sets the file aside and takes over what can be read of it.",
        )
        self.fault = fault


class Store:
    """Results by key, and digests of files. Several processes may share the file."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / FILE
        self.damaged: dict[Key, str] = {}
        """Results that were looked up and are not what was stored -> their step. They count as absent."""
        self.leases = Leases(folder)
        self._users: BinaryIO | None = None
        try:
            private_folder(folder)
            self._users = waited_for(folder / USERS, shared=True)
            self._db = sqlite3.connect(self.path, isolation_level=None, timeout=1, factory=PatientConnection)
            close_to_others(self.path)  # the files beside it get its mode
            self._db.text_factory = lambda data: data.decode(errors="replace")  # a damaged step is no end
            self._db.execute("PRAGMA journal_mode=WAL")
            self._db.execute("PRAGMA synchronous=NORMAL")
            self._open()
        except (OSError, sqlite3.OperationalError) as error:
            self._leave()
            if _says_damaged(str(error), self.path):
                raise StoreDamaged(self.path, str(error)) from None
            mend = "Free some space there" if says_full(error) else "Make the folder writable"
            remedy = f"{mend}, or name another with `run.store` or DATAKIT_STORE."
            raise UserError(f"cannot use the result store {self.path}: {error}", remedy=remedy) from None
        except sqlite3.DatabaseError as error:
            self._leave()
            raise StoreDamaged(self.path, str(error)) from None

    def _open(self) -> None:
        (user_version,) = self._db.execute("PRAGMA user_version").fetchone()
        if user_version > _BELIEVABLE:
            raise StoreDamaged(self.path, f"format {user_version}")
        if user_version > FORMAT:
            raise UserError(
                f"the result store {self.path} was written by a newer datakit (format {user_version})",
                remedy="Upgrade datakit, or name another folder with `run.store`.",
            )
        self._db.executescript(_SCHEMA)
        self._db.execute(f"PRAGMA user_version={FORMAT}")

    @property
    def is_shared(self) -> bool:
        """Whether other processes have the store open too."""
        assert self._users is not None  # it is open
        try:
            fcntl.flock(self._users, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        finally:
            fcntl.flock(self._users, fcntl.LOCK_SH)
        return False

    def close(self) -> None:
        self.leases.close()
        self._db.close()
        self._leave()

    def _leave(self) -> None:
        if self._users is not None:
            self._users.close()

    def get_many(self, keys: Iterable[bytes]) -> dict[bytes, Stored]:
        """The stored results among `keys`, without those that do not count (`_counts`) or are damaged."""
        results: dict[bytes, Stored] = {}
        today = int(time.time()) // _DAY_S * _DAY_S
        stale: list[bytes] = []
        for row in self._sound_rows(keys):
            outcome = row.outcome()
            if not _counts(outcome):
                continue
            results[row.key] = Stored(outcome, row.step, row.created)
            if row.used < today:
                stale.append(row.key)
        for chunk in _chunks(stale):
            self._db.execute(
                f"UPDATE results SET used={today} WHERE key IN ({','.join('?' * len(chunk))})", chunk
            )
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
        for chunk in _chunks(list(keys)):
            marks = ",".join("?" * len(chunk))
            rows = self._db.execute(
                f"SELECT {_COLUMNS} FROM results WHERE key IN ({marks})", chunk
            ).fetchall()
            unsealed: list[StoredRow] = []
            for row in map(StoredRow._make, rows):
                try:
                    bare, is_sealed = row.opened()
                except Damaged:
                    self.damaged[row.key] = str(row.step)
                    continue
                if not is_sealed:
                    unsealed.append(row)
                yield bare
            self._seal(unsealed)

    def _seal(self, rows: Sequence[StoredRow]) -> None:
        if rows:
            with self._db:
                self._db.execute("BEGIN IMMEDIATE")
                changes = [(row.sealed().meta, row.key, row.value, row.meta) for row in rows]
                self._db.executemany("UPDATE results SET meta=? WHERE key=? AND value=? AND meta=?", changes)

    def put(self, key: bytes, step: str, outcome: Done | Rejected) -> None:
        """Stores a result; it is on disk when this returns. `meta["question"]` is kept beside it."""
        meta = dict(outcome.meta)
        question = meta.pop(QUESTION, None)
        rejected = isinstance(outcome, Rejected)
        body = [outcome.reason, outcome.detail] if isinstance(outcome, Rejected) else outcome.raw
        value = orjson.dumps(body)
        if len(value) > _COMPRESS_ABOVE:
            value = b"z" + zlib.compress(value, 1)
        now = int(time.time())
        row = StoredRow(key, step, rejected, value, orjson.dumps(meta), now, now // _DAY_S * _DAY_S)
        self._db.execute("INSERT OR REPLACE INTO results VALUES (?,?,?,?,?,?,?)", row.sealed())
        if question is not None:
            self._db.execute("INSERT OR IGNORE INTO questions VALUES (?,?)", (bytes.fromhex(question), key))
            self.leases.release(bytes.fromhex(question))

    def answers_to(self, question: bytes) -> list[Done | Rejected]:
        """The stored results of one and the same question, under whatever keys they came."""
        rows = self._db.execute("SELECT key FROM questions WHERE question=?", (question,))
        return [stored.outcome for stored in self.get_many(key for (key,) in rows).values()]

    def known_digest(self, path: str, stamp: Stamp) -> str | None:
        row = self._db.execute(
            """SELECT sha256, checksum FROM digests LEFT JOIN digest_checks USING (path)
               WHERE path=? AND size=? AND mtime_ns=? AND inode=? AND ctime_ns=?""",
            (path, *map(_signed, stamp)),
        ).fetchone()
        if row is None or (row[1] is not None and row[1] != digest_check(path, str(row[0]))):
            return None
        return str(row[0])

    def keep_digest(self, path: str, stamp: Stamp, digest: str) -> None:
        row = (path, *map(_signed, stamp), digest)
        self._db.execute("INSERT OR REPLACE INTO digests VALUES (?,?,?,?,?,?)", row)
        check = path, digest_check(path, digest)
        self._db.execute("INSERT OR REPLACE INTO digest_checks VALUES (?,?)", check)

    def usage(self) -> list[dict[str, Any]]:
        """Per step: results, rejected ones, bytes, first written and last used (seconds since 1970)."""
        query = f"""SELECT step, count(*), sum(rejected), sum({_SIZE}), min(created), max(used)
                    FROM results GROUP BY step ORDER BY step"""
        names = ("step", "results", "rejected", "bytes", "created", "used")
        return [dict(zip(names, row, strict=True)) for row in self._db.execute(query)]

    def means(self, step: str, model: str | None = None) -> dict[str, float | None] | None:
        """Mean tokens_in, tokens_out, cost_usd and seconds of a step's newest 200 results, and their number;
        `cost_usd_error` is the standard error of the mean cost.

        The cost of what came by batch is taken as that of a call. A figure that no result noted is None. With
        `model` only results of that model count, or of a dated version of it (`gpt-4o-2024-08-06`). None when
        there is no result.
        """
        fields = ("tokens_in", "tokens_out", "cost_usd", "seconds", "squares")
        values = {name: f"json_extract(meta, '$.{name}')" for name in fields[:-1]}
        values["cost_usd"] += " / coalesce(nullif(json_extract(meta, '$.price_factor'), 0), 1)"
        values["squares"] = f"{values['cost_usd']} * {values['cost_usd']}"
        means = ", ".join(f"avg({value})" for value in values.values())
        row = self._db.execute(
            f"""SELECT count(*), {means} FROM (
                  SELECT CAST(meta AS TEXT) AS meta, json_extract(CAST(meta AS TEXT), '$.model') AS model
                  FROM results WHERE step=:step AND json_valid(CAST(meta AS TEXT))
                  AND (:model IS NULL OR model=:model OR model LIKE :model || '-____-__-__')
                  ORDER BY created DESC LIMIT 200)""",
            {"step": step, "model": model},
        ).fetchone()
        figures = dict(zip(("results", *fields), row, strict=True))
        squares, mean = figures.pop("squares"), figures["cost_usd"]
        variance = max(squares - mean**2, 0.0) if mean is not None else 0.0
        figures["cost_usd_error"] = (variance / row[0]) ** 0.5 if row[0] else 0.0
        return figures if row[0] else None

    def entries(self) -> Iterator[Entry]:
        """Every result without its value."""
        query = f"""SELECT key, step, rejected, {_SIZE}, CAST(meta AS TEXT), created, used
                    FROM results ORDER BY step, key"""
        for key, step, rejected, size, meta, created, used in self._db.execute(query):
            yield Entry(key, step, bool(rejected), size, *costs_of(meta), created, used)

    def remove(self, keys: Iterable[bytes]) -> None:
        """Deletes results for good and gives the space back. Answers to their questions under other keys stay
        those keys' results, and answer nobody else any more: who forgets an answer wants it made again."""
        gone = [(key,) for key in keys]
        self._db.execute("BEGIN IMMEDIATE")
        same = "SELECT question FROM questions WHERE key=?"
        self._db.executemany(f"DELETE FROM questions WHERE question IN ({same})", gone)
        self._db.executemany("DELETE FROM results WHERE key=?", gone)
        self._db.execute("COMMIT")
        self._db.execute("VACUUM")

    def rejects(self, steps: Sequence[str], reason: str) -> set[bytes]:
        """The keys of the results of these steps that reject their record for a reason."""
        marks = ",".join("?" * len(steps))
        query = f"SELECT key FROM results WHERE rejected AND step IN ({marks})"
        keys = [key for (key,) in self._db.execute(query, tuple(steps))]
        outcomes = {row.key: row.outcome() for row in self._sound_rows(keys)}
        return {
            key
            for key, outcome in outcomes.items()
            if isinstance(outcome, Rejected) and outcome.reason == reason
        }

    def take(self, rows: Sequence[StoredRow]) -> None:
        """Takes rows over from another store, as they are but with checksums; of one key the newest stays."""
        sealed = [row if row.opened()[1] else row.sealed() for row in rows]
        with self._db:
            self._db.execute("BEGIN IMMEDIATE")
            self._db.executemany(
                """INSERT INTO results VALUES (?,?,?,?,?,?,?) ON CONFLICT (key) DO UPDATE
                   SET step=excluded.step, rejected=excluded.rejected, value=excluded.value,
                   meta=excluded.meta, created=excluded.created WHERE excluded.created > created""",
                sealed,
            )

    def take_questions(self, pairs: Iterable[tuple[bytes, bytes]]) -> None:
        """Takes over which question each result answers: pairs of question and key."""
        with self._db:
            self._db.execute("BEGIN IMMEDIATE")
            self._db.executemany("INSERT OR IGNORE INTO questions VALUES (?,?)", pairs)

    def note_forgotten(self, step: str, at: float | None = None) -> None:
        """Remembers that somebody wants results of a step made again: builds of before lack them."""
        row = step, time.time() if at is None else at
        self._db.execute("INSERT OR REPLACE INTO forgotten VALUES (?,?)", row)

    def forgotten(self) -> dict[str, float]:
        """Step -> when somebody last had results of it forgotten, in seconds since 1970."""
        return dict(self._db.execute("SELECT step, at FROM forgotten"))

    def sound(self) -> str:
        """The word ok, or what is wrong: with the file by SQLite's check, with results by their checksums."""
        if (verdict := self.quick_check()) != "ok":
            return verdict
        count = damaged = 0
        for row in self._db.execute(f"SELECT {_COLUMNS} FROM results"):
            count += 1
            try:
                StoredRow._make(row).opened()
            except Damaged:
                damaged += 1
        return f"{damaged:,} of {count:,} results are not what was stored" if damaged else "ok"

    def quick_check(self) -> str:
        """The word ok, or what SQLite finds wrong with its own structures in the file."""
        try:
            (verdict,) = self._db.execute("PRAGMA quick_check(1)").fetchone()
        except sqlite3.DatabaseError as error:
            return str(error)
        return str(verdict)

    def damage(self) -> str:
        """What was damaged among the results that were looked up, for people; "" where nothing was."""
        counts = sorted(Counter(self.damaged.values()).items())
        if not counts:
            return ""
        steps = ", ".join(f"{step} {count:,}" for step, count in counts)
        return (
            f"{len(self.damaged):,} results in {self.path} were damaged; only these are made anew: {steps}."
        )


def store_folder(project: Path, setting: str | None) -> Path:
    """Where the store lies: DATAKIT_STORE, else the recipe's `run.store`, else `.datakit` in the project."""
    return RunSettings(store=setting).store_folder(project)


def _says_damaged(fault: str, path: Path) -> bool:
    """Whether SQLite takes a damaged header for a file that it may not write, or of another version."""
    may_write = os.access(path, os.W_OK) and os.access(path.parent, os.W_OK)
    return "unsupported file format" in fault or ("readonly" in fault and may_write)


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


def _chunks(keys: Sequence[bytes]) -> Iterable[Sequence[bytes]]:
    return (keys[at : at + _CHUNK] for at in range(0, len(keys), _CHUNK))


def _signed(number: int) -> int:
    """A number of 64 bits as SQLite holds it: inodes of some file systems use the highest bit."""
    return number - (1 << 64) if number >= 1 << 63 else number
