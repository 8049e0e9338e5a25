"""A connection to a PostgreSQL database that comes back: what was lost on the way is done again."""

from __future__ import annotations

import os
import re
import sys
import threading
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import quote

from datakit.core.errors import UserError, missing_extra
from datakit.core.store_address import REMEDY, shown_url

if TYPE_CHECKING:
    import psycopg

OLDEST = 13
"""The oldest PostgreSQL that its makers mended when this was written; the suite runs on newer ones."""
_TOLD_AFTER_S = 2.0
_PAUSE_S = 0.2
_AGAIN = ("40001", "40P01")
"""Two transactions were in each other's way: one of them is done again."""
_GONE = re.compile(r"08\w\w\w|57P0[123]|53300")
"""Of a connection or a server that ends, begins or has no room: later it may be well."""
_VARIABLE = re.compile(r"\$\{(\w+)\}")
_OPTIONS: dict[str, Any] = {
    "connect_timeout": 10,
    "keepalives_idle": 10,
    "keepalives_interval": 5,
    "keepalives_count": 3,
    "tcp_user_timeout": 30_000,
    "application_name": "datakit",
}
"""A server that is gone without a word is missed after half a minute. The address may say otherwise."""
_Made = TypeVar("_Made")


class PatientPostgres:
    """Works with a database, one job at a time, from any thread. A statement is a transaction of its own.

    Each job must come to the same when it is done twice: a connection may be lost after the server committed.
    """

    most_s = 600.0
    """How long a lost server is waited for."""

    def __init__(self, url: str) -> None:
        self.place = shown_url(url)
        self._url = _filled(url, self.place)
        self._lock = threading.RLock()
        self._db: psycopg.Connection[Any] | None = None
        self._has_met = False

    def work(self, job: Callable[[psycopg.Connection[Any]], _Made], *, most_s: float | None = None) -> _Made:
        """What a job gives. Raises UserError."""
        psycopg = _psycopg()
        began, is_told = time.monotonic(), False
        most_s = self.most_s if most_s is None else most_s
        while True:
            try:
                with self._lock:
                    return job(self._opened())
            except psycopg.Error as error:
                waits = self._has_met and self._may_pass(error)
                waited_s = time.monotonic() - began
                if not waits or waited_s >= most_s:
                    raise self._told(error, waited_s if waits else 0.0) from None
                if waited_s >= _TOLD_AFTER_S and not is_told:
                    is_told = True
                    print(f"waiting for the result store {self.place}: {_words(error)}", file=sys.stderr)
            time.sleep(_PAUSE_S)

    def close(self) -> None:
        with self._lock:
            if self._db is not None:
                self._db.close()

    def _opened(self) -> psycopg.Connection[Any]:
        if self._db is not None and not self._db.closed:
            return self._db
        psycopg = _psycopg()
        own = psycopg.conninfo.conninfo_to_dict(self._url)
        options = {name: value for name, value in _OPTIONS.items() if name not in own}
        # Not prepared: a pooler between may give each transaction another session.
        self._db = psycopg.connect(
            self._url, autocommit=True, prepare_threshold=None, client_encoding="utf8", **options
        )
        version = self._db.info.server_version
        if version < OLDEST * 10_000:
            self._db.close()
            raise UserError(
                f"the result store {self.place} is in PostgreSQL {version // 10_000}, which is too old",
                remedy=f"Use PostgreSQL {OLDEST} or newer.",
            )
        self._has_met = True
        return self._db

    def _may_pass(self, error: psycopg.Error) -> bool:
        """Whether the same may succeed in a while: the connection is lost, or others were in the way."""
        if error.sqlstate in _AGAIN:
            return True
        if error.sqlstate is None:  # of a connection
            return _fault_of_connection(str(error)) is None
        return bool(_GONE.fullmatch(error.sqlstate))

    def _told(self, error: psycopg.Error, waited_s: float) -> UserError:
        """The error for people, with what to do. The server's words hold no password."""
        words, state = _words(error), error.sqlstate
        if waited_s:
            what, remedy = f"could not be reached for {waited_s:,.0f} s: {words}", _LATER
        elif state is None:
            known = _fault_of_connection(str(error))
            what, remedy = f"cannot be reached: {words}", known or _ADDRESS
        else:
            what, remedy = f"does not work: {words}", _REMEDIES.get(state) or _of_class(state)
        return UserError(f"the result store {self.place} {what}", remedy=remedy)


_LATER = "Run the same command again when the database is back: what was stored stays stored."
_ADDRESS = (
    "Look at the host and the port, whether the server runs (pg_isready) and whether it takes connections "
    "from here; or name another store with `run.store` or DATAKIT_STORE."
)
_GRANT = (
    "Have its owner say: GRANT USAGE ON SCHEMA datakit TO you; GRANT SELECT, INSERT, UPDATE, DELETE ON ALL "
    "TABLES IN SCHEMA datakit TO you. The first user needs: GRANT CREATE ON DATABASE name TO you."
)
_REMEDIES = {
    "42501": _GRANT,
    "25006": "This server only reads, as a copy of another does: name the one that is written to.",
    "53100": "The disk of the database is full: free some and run the same command. What was stored stays.",
    "53200": "The database has no memory left: run the same command again later.",
    "53300": "The database takes no more connections: end some, or raise max_connections.",
    "42P01": "Tables of datakit are gone: have the schema `datakit` restored, or drop it whole.",
    "28P01": f"The password is wrong. {REMEDY}.",
}


def _of_class(state: str) -> str:
    return (
        _LATER if _GONE.fullmatch(state) else f"PostgreSQL calls this error {state}; ask who runs the server."
    )


def _fault_of_connection(words: str) -> str | None:
    """What to do about a server that refuses this user; None where it was not reached, or may be later."""
    if "password authentication failed" in words:
        return "User or password are wrong. Set PGPASSWORD, or PGPASSFILE to a file of passwords."
    if "no password supplied" in words:
        return "It wants a password: set PGPASSWORD, or PGPASSFILE to a file of passwords."
    if re.search(r'database "[^"]*" does not exist', words):
        return "Make the database (createdb NAME), or mend its name in the address."
    if re.search(r'role "[^"]*" does not exist', words):
        return "Mend the user in the address, or have the server's owner make it (createuser NAME)."
    if "no pg_hba.conf entry" in words or "authentication failed" in words or "permission denied" in words:
        return "Have the server's owner let this user in from here (pg_hba.conf)."
    if "SSL" in words and "closed" not in words:
        return "Say how the server is to be trusted: ?sslmode=... and ?sslrootcert=... in the address."
    if "invalid" in words:
        return "Mend the address: postgresql://user@host:5432/database."
    return None


def _words(error: psycopg.Error) -> str:
    """What the server or the library says, in one line."""
    said = error.diag.message_primary or str(error) or type(error).__name__
    lines = [line.strip() for line in said.splitlines() if line.strip()]
    fatal = [line.partition("FATAL:")[2].strip() for line in lines if "FATAL:" in line]
    return (fatal or lines)[0]


def _filled(url: str, place: str) -> str:
    """The address with the values of the variables that it names."""

    def value(match: re.Match[str]) -> str:
        name = match[1]
        if name not in os.environ:
            raise UserError(
                f"the result store {place} needs the environment variable {name}, which is not set",
                remedy=f"export {name}=...",
            )
        return quote(os.environ[name], safe="")

    return _VARIABLE.sub(value, url)


def _psycopg() -> Any:
    try:
        import psycopg
    except ImportError:
        raise missing_extra("psycopg", "postgres", "a result store in PostgreSQL") from None
    return psycopg
