"""Who asks what at this moment, among all machines that share a database.

A lease is a row with a time, by the database's clock, at which it ends unless its owner says that he is
there. So a machine that is switched off frees its questions, and no two clocks need to agree.
"""

from __future__ import annotations

import os
import socket
import time
import uuid
from collections.abc import Callable, Iterable

from datakit.run.leases import Leases
from datakit.run.postgres_connection import PatientPostgres

LEASE_S = 60.0
"""So long after its owner was last heard of, a lease is another's. Who was paused longer may pay twice."""
RENEWED_S = 15.0

# A server that was away has heard of nobody meanwhile: owners get the same time to say that they are there.
_TAKE = """
INSERT INTO datakit.leases AS old (question, owner, ends)
VALUES (%(question)s, %(owner)s, clock_timestamp() + %(seconds)s * interval '1 s')
ON CONFLICT (question) DO UPDATE SET owner = excluded.owner, ends = excluded.ends
WHERE old.owner = excluded.owner OR (old.ends < clock_timestamp()
    AND pg_postmaster_start_time() < clock_timestamp() - %(seconds)s * interval '1 s')
RETURNING 1"""


class PostgresLeases(Leases):
    """The leases of one open store."""

    def __init__(self, db: PatientPostgres, flush: Callable[[], None]) -> None:
        super().__init__()
        self._db, self._flush = db, flush
        self.owner = f"{socket.gethostname()}:{os.getpid()}:{uuid.uuid4().hex}"
        self._renewed = time.monotonic()

    def holder(self, question: bytes) -> int | None:
        return None  # a process of another machine, perhaps

    def stored(self, questions: Iterable[bytes]) -> None:
        """Says that the leases ended with the transaction that stored the answers."""
        for question in questions:
            self._held.discard(question)
            self._answered.pop(question, None)

    def renew(self) -> None:
        """Says that the owner is there, when it is time to."""
        if not self._held or time.monotonic() - self._renewed < min(RENEWED_S, LEASE_S / 4):
            return
        query = "UPDATE datakit.leases SET ends = clock_timestamp() + %s * interval '1 s' WHERE owner = %s"
        self._db.work(lambda db: db.execute(query, (LEASE_S, self.owner)), most_s=0)
        self._renewed = time.monotonic()

    def _lock(self, question: bytes) -> bool:
        values = {"question": question, "owner": self.owner, "seconds": LEASE_S}
        return self._db.work(lambda db: db.execute(_TAKE, values).fetchone()) is not None

    def _unlock(self, question: bytes) -> None:
        query = "DELETE FROM datakit.leases WHERE question = %s AND owner = %s"
        self._db.work(lambda db: db.execute(query, (question, self.owner)))

    def _unlock_all(self) -> None:
        self._flush()  # whoever has the lease next must find what came of it
        if self._held:
            query = "DELETE FROM datakit.leases WHERE owner = %s"
            self._db.work(lambda db: db.execute(query, (self.owner,)))
