"""The result store: what was paid for once is never paid for again.

One SQLite file in WAL mode. A result that was bought is committed the moment it arrives, so kill -9 loses
only work in flight; of those that cost nobody anything, some are committed at once. Keys are 16-byte digests,
values the raw results (zlib above 1 KB); no image and no API key enters.
"""

from __future__ import annotations

import fcntl
import os
import sqlite3
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, BinaryIO, TypeVar

from datakit.core.errors import UserError
from datakit.core.file_locks import waited_for
from datakit.core.files import Stamp, says_full
from datakit.core.outcome import Done, Rejected
from datakit.core.private_files import close_to_others, private_folder
from datakit.core.settings import RunSettings
from datakit.core.sub_results import QUESTION
from datakit.run.checksums import StoredRow, digest_check
from datakit.run.leases import FileLeases
from datakit.run.patient_connection import PatientConnection
from datakit.run.result_store import ResultStore, row_of
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
_PUT = "INSERT OR REPLACE INTO results VALUES (?,?,?,?,?,?,?)"
_SIZE = "length(value) + length(meta)"
_Key = TypeVar("_Key", bytes, str)
_CHUNK = 500  # SQLite's default limit of variables is at least 999


class StoreDamaged(UserError):
    """SQLite cannot read the file."""

    def __init__(self, path: Path, fault: str) -> None:
        super().__init__(
            f"the result store {path} is damaged: {fault}",
            remedy="Run `datakit build`: it sets the file aside and takes over what can be read of it.",
        )
        self.fault = fault


class Store(ResultStore):
    """The store in a file of this machine. Several processes may share it. A result is on disk when `put`
    returns."""

    def __init__(self, folder: Path) -> None:
        super().__init__()
        self.path = folder / FILE
        self.leases = FileLeases(folder)
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
    def place(self) -> str:
        return str(self.path)

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

    def flush(self) -> None:
        """Nothing is left to do: `put` has stored it."""

    def _leave(self) -> None:
        if self._users is not None:
            self._users.close()

    def rows(self, keys: Sequence[bytes]) -> Iterator[list[StoredRow]]:
        for chunk in _chunks(keys):
            query = f"SELECT {_COLUMNS} FROM results WHERE key IN ({_marks(chunk)})"
            yield list(map(StoredRow._make, self._db.execute(query, chunk).fetchall()))

    def _mark_used(self, keys: Sequence[bytes], today: int) -> None:
        for chunk in _chunks(keys):
            self._db.execute(f"UPDATE results SET used={today} WHERE key IN ({_marks(chunk)})", chunk)

    def _seal(self, rows: Sequence[StoredRow]) -> None:
        with self._db:
            self._db.execute("BEGIN IMMEDIATE")
            changes = [(row.sealed().meta, row.key, row.value, row.meta) for row in rows]
            self._db.executemany("UPDATE results SET meta=? WHERE key=? AND value=? AND meta=?", changes)

    def put(self, key: bytes, step: str, outcome: Done | Rejected) -> None:
        row, question = row_of(key, step, outcome)
        self._db.execute(_PUT, row)
        if question is not None:
            self._db.execute("INSERT OR IGNORE INTO questions VALUES (?,?)", (question, key))
            self.leases.release(question)

    def put_many(self, results: Sequence[tuple[Key, str, Done | Rejected]]) -> None:
        if len(results) < 2 or any(QUESTION in outcome.meta for _, _, outcome in results):
            super().put_many(results)
            return
        rows = [row_of(key, step, outcome)[0] for key, step, outcome in results]
        with self._db:
            self._db.execute("BEGIN IMMEDIATE")
            self._db.executemany(_PUT, rows)

    def _answering(self, question: bytes) -> list[Key]:
        rows = self._db.execute("SELECT key FROM questions WHERE question=?", (question,))
        return [key for (key,) in rows]

    def known_digests(self, stamps: Mapping[str, Stamp]) -> dict[str, str]:
        digests = {}
        for chunk in _chunks(list(stamps)):
            rows = self._db.execute(
                f"""SELECT path, size, mtime_ns, inode, ctime_ns, sha256, checksum
                    FROM digests LEFT JOIN digest_checks USING (path) WHERE path IN ({_marks(chunk)})""",
                chunk,
            )
            for path, *stamp, sha256, checksum in rows:
                if tuple(stamp) != tuple(map(_signed, stamps.get(path, ()))):
                    continue
                if checksum is None or checksum == digest_check(path, str(sha256)):
                    digests[path] = str(sha256)
        return digests

    def keep_digests(self, digests: Sequence[tuple[str, Stamp, str]]) -> None:
        rows = [(path, *map(_signed, stamp), digest) for path, stamp, digest in digests]
        checks = [(path, digest_check(path, digest)) for path, _, digest in digests]
        with self._db:
            self._db.execute("BEGIN IMMEDIATE")
            self._db.executemany("INSERT OR REPLACE INTO digests VALUES (?,?,?,?,?,?)", rows)
            self._db.executemany("INSERT OR REPLACE INTO digest_checks VALUES (?,?)", checks)

    def bytes_on_disk(self) -> int:
        files = (self.path, self.path.with_name(f"{FILE}-wal"))
        return sum(file.stat().st_size for file in files if file.exists())

    def usage(self) -> list[dict[str, Any]]:
        query = f"""SELECT step, count(*), sum(rejected), sum({_SIZE}), min(created), max(used)
                    FROM results GROUP BY step ORDER BY step"""
        names = ("step", "results", "rejected", "bytes", "created", "used")
        return [dict(zip(names, row, strict=True)) for row in self._db.execute(query)]

    def means(self, step: str, model: str | None = None) -> dict[str, float | None] | None:
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
        query = f"""SELECT key, step, rejected, {_SIZE}, CAST(meta AS TEXT), created, used
                    FROM results ORDER BY step, key"""
        for key, step, rejected, size, meta, created, used in self._db.execute(query):
            yield Entry(key, step, bool(rejected), size, *costs_of(meta), created, used)

    def remove(self, keys: Iterable[bytes]) -> None:
        gone = [(key,) for key in keys]
        self._db.execute("BEGIN IMMEDIATE")
        same = "SELECT question FROM questions WHERE key=?"
        self._db.executemany(f"DELETE FROM questions WHERE question IN ({same})", gone)
        self._db.executemany("DELETE FROM results WHERE key=?", gone)
        self._db.execute("COMMIT")
        self._db.execute("VACUUM")

    def _rejected(self, steps: Sequence[str]) -> list[Key]:
        query = f"SELECT key FROM results WHERE rejected AND step IN ({_marks(steps)})"
        return [key for (key,) in self._db.execute(query, tuple(steps))]

    def pages(self, after: Key = b"", rows: int = 1000) -> Iterator[list[StoredRow]]:
        query = f"SELECT {_COLUMNS} FROM results WHERE key > ? ORDER BY key LIMIT {rows}"
        while page := [StoredRow._make(row) for row in self._db.execute(query, (after,))]:
            yield page
            after = page[-1].key

    def ages(self, keys: Sequence[bytes]) -> dict[Key, int]:
        ages: dict[Key, int] = {}
        for chunk in _chunks(keys):
            query = f"SELECT key, created FROM results WHERE key IN ({_marks(chunk)})"
            ages |= dict(self._db.execute(query, chunk))
        return ages

    def questions_of(self, keys: Sequence[bytes]) -> list[tuple[bytes, Key]]:
        pairs: list[tuple[bytes, Key]] = []
        for chunk in _chunks(keys):
            query = f"SELECT question, key FROM questions WHERE key IN ({_marks(chunk)})"
            pairs += self._db.execute(query, chunk)
        return pairs

    def take(self, rows: Sequence[StoredRow]) -> None:
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
        with self._db:
            self._db.execute("BEGIN IMMEDIATE")
            self._db.executemany("INSERT OR IGNORE INTO questions VALUES (?,?)", pairs)

    def note_forgotten(self, step: str, at: float | None = None) -> None:
        row = step, time.time() if at is None else at
        self._db.execute("INSERT OR REPLACE INTO forgotten VALUES (?,?)", row)

    def forgotten(self) -> dict[str, float]:
        return dict(self._db.execute("SELECT step, at FROM forgotten"))

    def sound(self) -> str:
        """The word ok, or what is wrong: with the file by SQLite's check, with results by their checksums."""
        if (verdict := self.quick_check()) != "ok":
            return verdict
        return super().sound()

    def quick_check(self) -> str:
        """The word ok, or what SQLite finds wrong with its own structures in the file."""
        try:
            (verdict,) = self._db.execute("PRAGMA quick_check(1)").fetchone()
        except sqlite3.DatabaseError as error:
            return str(error)
        return str(verdict)


def store_folder(project: Path, setting: str | None) -> Path:
    """Where the store lies: DATAKIT_STORE, else the recipe's `run.store`, else `.datakit` in the project."""
    return RunSettings(store=setting).store_folder(project)


def _says_damaged(fault: str, path: Path) -> bool:
    """Whether SQLite takes a damaged header for a file that it may not write, or of another version."""
    may_write = os.access(path, os.W_OK) and os.access(path.parent, os.W_OK)
    return "unsupported file format" in fault or ("readonly" in fault and may_write)


def _marks(values: Sequence[object]) -> str:
    return ",".join("?" * len(values))


def _chunks(keys: Sequence[_Key]) -> Iterable[Sequence[_Key]]:
    return (keys[at : at + _CHUNK] for at in range(0, len(keys), _CHUNK))


def _signed(number: int) -> int:
    """A number of 64 bits as SQLite holds it: inodes of some file systems use the highest bit."""
    return number - (1 << 64) if number >= 1 << 63 else number
