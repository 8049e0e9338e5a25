"""The result store of a team: a PostgreSQL database that several machines share.

Results are written in batches, each a transaction of its own, at the latest a second after they came; until
then they are in memory and lost with the process, like work in flight. A lease ends in the transaction that
stores its answer. Rows and checksums are those of the file: bytes of the one are bytes of the other.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import orjson

from datakit.core.errors import UserError
from datakit.core.files import Stamp
from datakit.core.outcome import Done, Rejected
from datakit.run.checksums import StoredRow
from datakit.run.postgres_connection import PatientPostgres
from datakit.run.postgres_leases import PostgresLeases
from datakit.run.result_store import ResultStore, row_of
from datakit.run.store import Store
from datakit.run.store_entry import Entry, Key, costs_of

if TYPE_CHECKING:
    import psycopg

FORMAT = 1
_SCHEMA = """
CREATE SCHEMA IF NOT EXISTS datakit;
CREATE TABLE datakit.store (format integer NOT NULL);
CREATE TABLE datakit.results (
    key bytea PRIMARY KEY, step text NOT NULL, rejected smallint NOT NULL, value bytea NOT NULL,
    meta bytea NOT NULL, created bigint NOT NULL, used bigint NOT NULL);
ALTER TABLE datakit.results ALTER value SET STORAGE EXTERNAL;
CREATE INDEX results_by_step ON datakit.results (step, created);
CREATE TABLE datakit.questions (question bytea, key bytea, PRIMARY KEY (question, key));
CREATE INDEX questions_by_key ON datakit.questions (key);
CREATE TABLE datakit.forgotten (step text PRIMARY KEY, at double precision NOT NULL);
CREATE TABLE datakit.leases (question bytea PRIMARY KEY, owner text NOT NULL, ends timestamptz NOT NULL);
CREATE INDEX leases_by_owner ON datakit.leases (owner);
"""
"""Values are external: they are packed already, so that PostgreSQL need not try."""
_ONE_AT_A_TIME = 0x6461746B  # the first users of a database make its tables in turn
BATCH_S = 1.0
"""A result is written at the latest so long after it came."""
_BATCH_ROWS, _BATCH_BYTES = 2000, 16_000_000
_TICK_S = 0.2
_LAST_S = 10.0
"""How long a lost database is waited for when the store is closed."""
_CHUNK = 2000
_COLUMNS = ", ".join(StoredRow._fields)
_SIZE = "length(value) + length(meta)"
_PUT = """
INSERT INTO datakit.results AS old
SELECT * FROM unnest(%b::bytea[], %b::text[], %b::smallint[], %b::bytea[], %b::bytea[], %b::bigint[],
    %b::bigint[])
ON CONFLICT (key) DO UPDATE SET step = excluded.step, rejected = excluded.rejected, value = excluded.value,
    meta = excluded.meta, created = excluded.created"""
_ANSWERS = (
    "INSERT INTO datakit.questions SELECT * FROM unnest(%b::bytea[], %b::bytea[]) ON CONFLICT DO NOTHING"
)
_MEANT = 200


class PostgresStore(ResultStore):
    """The store in a database. `local`, if there is one, keeps what is true of this machine
    alone: digests of its files."""

    leases: PostgresLeases

    def __init__(self, url: str, local: Store | None) -> None:
        super().__init__()
        self._db, self._local = PatientPostgres(url), local
        self._pending: dict[Key, tuple[StoredRow, bytes | None]] = {}
        self._size, self._oldest = 0, 0.0
        self._mutex, self._writing, self._ended = threading.Lock(), threading.RLock(), threading.Event()
        self.leases = PostgresLeases(self._db, self.flush)
        # Daemon: a process that ends without closing its store is not kept from it.
        self._keeper = threading.Thread(target=self._write_in_time, name="datakit-store", daemon=True)
        try:
            self._db.work(self._open)
            self._keeper.start()
        except BaseException:
            self._db.close()
            if local is not None:
                local.close()
            raise

    def _open(self, db: psycopg.Connection[Any]) -> None:
        if not _has_tables(db):
            with db.transaction():  # all tables or none
                db.execute("SELECT pg_advisory_xact_lock(%s)", (_ONE_AT_A_TIME,))
                if not _has_tables(db):
                    db.execute(_SCHEMA)
                    db.execute("INSERT INTO datakit.store VALUES (%s)", (FORMAT,))
        row = db.execute("SELECT max(format) FROM datakit.store").fetchone()
        if row is None or row[0] is None or row[0] > FORMAT:
            raise UserError(
                f"the result store {self.place} was written by a newer datakit (format {row and row[0]})",
                remedy="Upgrade datakit, or name another database with `run.store`.",
            )
        db.execute("DELETE FROM datakit.leases WHERE ends < clock_timestamp() - interval '1 day'")

    @property
    def place(self) -> str:
        return self._db.place

    def close(self) -> None:
        self._ended.set()
        try:
            self._flush(_LAST_S)
            self.leases.close()
        finally:
            self._keeper.join()
            self._db.close()
            if self._local is not None:
                self._local.close()

    # Writing

    def put(self, key: bytes, step: str, outcome: Done | Rejected) -> None:
        row, question = row_of(key, step, outcome)
        with self._mutex:
            if not self._pending:
                self._size, self._oldest = 0, time.monotonic()
            self._pending[key] = row, question
            self._size += len(row.value) + len(row.meta)
            is_due = (
                len(self._pending) >= _BATCH_ROWS
                or self._size >= _BATCH_BYTES
                or time.monotonic() - self._oldest >= BATCH_S
            )
        if is_due:
            self.flush()

    def flush(self) -> None:
        self._flush(None)

    def _flush(self, most_s: float | None) -> None:
        with self._writing:
            with self._mutex:
                batch = dict(self._pending)
            if not batch:
                return
            questions = [question for _, question in batch.values() if question is not None]
            self._db.work(lambda db: self._write(db, batch), most_s=most_s)
            self.leases.stored(questions)
            with self._mutex:
                for key, written in batch.items():
                    if self._pending.get(key) is written:
                        del self._pending[key]
                self._size, self._oldest = 0, time.monotonic()

    def _write(self, db: psycopg.Connection[Any], batch: dict[Key, tuple[StoredRow, bytes | None]]) -> None:
        """One transaction, in the order of the keys, so that no two machines wait for each other."""
        pairs = sorted((question, key) for key, (_, question) in batch.items() if question is not None)
        with db.transaction():
            db.execute(_PUT, _arrays([batch[key][0] for key in sorted(batch)]))
            if pairs:
                questions, keys = map(list, zip(*pairs, strict=True))
                db.execute(_ANSWERS, (questions, keys))
                query = "DELETE FROM datakit.leases WHERE question = ANY(%b::bytea[]) AND owner = %s"
                db.execute(query, (questions, self.leases.owner))

    def _write_in_time(self) -> None:
        """Writes what waits while nothing more comes, and renews leases."""
        while not self._ended.wait(_TICK_S):
            # A fault shows again when the next result is put, where it can be told.
            with suppress(UserError):
                if self._pending and time.monotonic() - self._oldest >= BATCH_S / 2:
                    self._flush(0)
                self.leases.renew()

    # Reading

    def rows(self, keys: Sequence[bytes]) -> Iterator[list[StoredRow]]:
        with self._mutex:
            waiting = {key: self._pending[key][0] for key in keys if key in self._pending}
        if waiting:
            yield list(waiting.values())
        query = f"SELECT {_COLUMNS} FROM datakit.results WHERE key = ANY(%b::bytea[])"
        for chunk in _chunks([key for key in keys if key not in waiting]):
            yield list(map(StoredRow._make, self._all(query, (chunk,))))

    def _answering(self, question: bytes) -> list[Key]:
        with self._mutex:
            waiting = [key for key, (_, asked) in self._pending.items() if asked == question]
        query = "SELECT key FROM datakit.questions WHERE question = %s"
        return waiting + [key for (key,) in self._all(query, (question,)) if key not in waiting]

    def known_digests(self, stamps: Mapping[str, Stamp]) -> dict[str, str]:
        return {} if self._local is None else self._local.known_digests(stamps)

    def keep_digests(self, digests: Sequence[tuple[str, Stamp, str]]) -> None:
        if self._local is not None:
            self._local.keep_digests(digests)

    def bytes_on_disk(self) -> int:
        tables = ("results", "questions", "forgotten", "leases")
        sizes = " + ".join(f"pg_total_relation_size('datakit.{name}')" for name in tables)
        return int(self._stored(f"SELECT {sizes}")[0][0])

    def usage(self) -> list[dict[str, Any]]:
        query = f"""SELECT step, count(*), sum(rejected)::bigint, sum({_SIZE})::bigint, min(created),
                    max(used) FROM datakit.results GROUP BY step ORDER BY step COLLATE "C" """
        names = ("step", "results", "rejected", "bytes", "created", "used")
        return [dict(zip(names, row, strict=True)) for row in self._stored(query)]

    def means(self, step: str, model: str | None = None) -> dict[str, float | None] | None:
        query, values = "SELECT meta FROM datakit.results WHERE step = %s", [step]
        if model is not None:  # `encode` reads damaged bytes, too
            query += " AND encode(meta, 'escape') LIKE '%%' || encode(%s::bytea, 'escape') || '%%' ESCAPE ''"
            values.append(orjson.dumps({"model": model})[1:-2].decode())
        query += f" ORDER BY created DESC LIMIT {_MEANT * (1 if model is None else 5)}"
        metas = [meta for (text,) in self._stored(query, values) if (meta := _meta(text)) is not None]
        if model is not None:
            metas = [meta for meta in metas if _is_of(meta.get("model"), model)][:_MEANT]
        return _means(metas) if metas else None

    def entries(self) -> Iterator[Entry]:
        query = f"""SELECT key, step, rejected, {_SIZE}, meta, created, used FROM datakit.results
                    WHERE key > %s ORDER BY key LIMIT {_CHUNK}"""
        entries = [
            Entry(key, step, bool(rejected), size, *costs_of(meta), created, used)
            for page in self._pages(query, b"")
            for key, step, rejected, size, meta, created, used in page
        ]
        yield from sorted(entries, key=lambda entry: (entry.step, entry.key))

    def pages(self, after: Key = b"", rows: int = 1000) -> Iterator[list[StoredRow]]:
        query = f"SELECT {_COLUMNS} FROM datakit.results WHERE key > %s ORDER BY key LIMIT {rows}"
        for page in self._pages(query, after):
            yield list(map(StoredRow._make, page))

    def ages(self, keys: Sequence[bytes]) -> dict[Key, int]:
        query = "SELECT key, created FROM datakit.results WHERE key = ANY(%b::bytea[])"
        return {key: at for chunk in _chunks(keys) for key, at in self._stored(query, (chunk,))}

    def questions_of(self, keys: Sequence[bytes]) -> list[tuple[bytes, Key]]:
        query = "SELECT question, key FROM datakit.questions WHERE key = ANY(%b::bytea[])"
        return [(question, key) for chunk in _chunks(keys) for question, key in self._stored(query, (chunk,))]

    def forgotten(self) -> dict[str, float]:
        return dict(self._stored("SELECT step, at FROM datakit.forgotten"))

    def _rejected(self, steps: Sequence[str]) -> list[Key]:
        query = "SELECT key FROM datakit.results WHERE rejected = 1 AND step = ANY(%s)"
        return [key for (key,) in self._stored(query, (list(steps),))]

    # Changing what is there

    def _mark_used(self, keys: Sequence[bytes], today: int) -> None:
        # What another machine marks at this moment is left to it.
        query = """UPDATE datakit.results SET used = %s WHERE key IN (
                     SELECT key FROM datakit.results WHERE key = ANY(%b::bytea[]) FOR UPDATE SKIP LOCKED)"""
        for chunk in _chunks(keys):
            self._do(query, (today, chunk))

    def _seal(self, rows: Sequence[StoredRow]) -> None:
        query = "UPDATE datakit.results SET meta = %b WHERE key = %b AND value = %b AND meta = %b"
        changes = [(row.sealed().meta, row.key, row.value, row.meta) for row in rows]
        self._db.work(lambda db: db.cursor().executemany(query, changes))

    def remove(self, keys: Iterable[bytes]) -> None:
        self.flush()
        gone = sorted(keys)

        def delete(db: psycopg.Connection[Any]) -> None:
            same = "SELECT question FROM datakit.questions WHERE key = ANY(%b::bytea[])"
            with db.transaction():
                for chunk in _chunks(gone):
                    db.execute(f"DELETE FROM datakit.questions WHERE question IN ({same})", (chunk,))
                    db.execute("DELETE FROM datakit.results WHERE key = ANY(%b::bytea[])", (chunk,))

        self._db.work(delete)

    def take(self, rows: Sequence[StoredRow]) -> None:
        sealed = {row.key: row if row.opened()[1] else row.sealed() for row in rows}
        if sealed:
            newer = " WHERE excluded.created > old.created"
            self._do(_PUT + newer, _arrays([sealed[key] for key in sorted(sealed)]))

    def take_questions(self, pairs: Iterable[tuple[bytes, bytes]]) -> None:
        if ordered := sorted(set(pairs)):
            self._do(_ANSWERS, tuple(map(list, zip(*ordered, strict=True))))

    def note_forgotten(self, step: str, at: float | None = None) -> None:
        query = """INSERT INTO datakit.forgotten
                   VALUES (%s, coalesce(%s::float8, extract(epoch FROM clock_timestamp())::float8))
                   ON CONFLICT (step) DO UPDATE SET at = excluded.at"""
        self._do(query, (step, at))

    # Queries

    def _do(self, query: str, values: Sequence[Any]) -> None:
        self._db.work(lambda db: db.execute(query, values))

    def _all(self, query: str, values: Sequence[Any] = ()) -> list[Any]:
        """Bytes come as bytes: as text, each would take two characters."""
        return self._db.work(lambda db: db.execute(query, values, binary=True).fetchall())

    def _stored(self, query: str, values: Sequence[Any] = ()) -> list[Any]:
        """What a query finds in what is written, which all that was put then is."""
        self.flush()
        return self._all(query, values)

    def _pages(self, query: str, after: Key) -> Iterator[list[Any]]:
        while page := self._stored(query, (after,)):
            yield page
            after = page[-1][0]


def _has_tables(db: psycopg.Connection[Any]) -> bool:
    # From the catalog itself: what a name means is remembered from before others made it.
    query = "SELECT 1 FROM pg_catalog.pg_tables WHERE schemaname = 'datakit' AND tablename = 'store'"
    return db.execute(query).fetchone() is not None


def _arrays(rows: Sequence[StoredRow]) -> tuple[list[Any], ...]:
    return tuple(map(list, zip(*rows, strict=True)))


def _chunks(keys: Sequence[bytes]) -> Iterator[list[bytes]]:
    return (list(keys[at : at + _CHUNK]) for at in range(0, len(keys), _CHUNK))


def _meta(text: bytes) -> dict[str, Any] | None:
    try:
        meta = orjson.loads(text)
    except ValueError:
        return None
    return meta if isinstance(meta, dict) else None


def _is_of(name: Any, model: str) -> bool:
    """Whether a result is of a model or of a dated version of it."""
    rest = str(name).removeprefix(model) if str(name).startswith(model) else None
    return rest == "" or (rest is not None and [len(part) for part in rest.split("-")] == [0, 4, 2, 2])


def _means(metas: Sequence[dict[str, Any]]) -> dict[str, float | None]:
    def mean(values: Iterable[float | None]) -> float | None:
        known = [value for value in values if value is not None]
        return sum(known) / len(known) if known else None

    costs = [
        None if (cost := meta.get("cost_usd")) is None else cost / (meta.get("price_factor") or 1)
        for meta in metas
    ]
    figures: dict[str, float | None] = {"results": len(metas)}
    figures |= {name: mean(meta.get(name) for meta in metas) for name in ("tokens_in", "tokens_out")}
    figures["cost_usd"] = cost = mean(costs)
    figures["seconds"] = mean(meta.get("seconds") for meta in metas)
    squares = mean(None if one is None else one * one for one in costs)
    variance = max((squares or 0.0) - cost**2, 0.0) if cost is not None else 0.0
    figures["cost_usd_error"] = (variance / len(metas)) ** 0.5
    return figures
