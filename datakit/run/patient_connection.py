"""A connection to a SQLite file that several processes share: who holds it is waited for, which is said."""

from __future__ import annotations

import sqlite3
import sys
import time
from collections.abc import Callable
from typing import Any, ClassVar, TypeVar

from datakit.core.errors import UserError

LOCKED = (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED)
_TOLD_AFTER_S = 2.0
_LOOK_S = 0.2
_Made = TypeVar("_Made")


class PatientConnection(sqlite3.Connection):
    """Waits for a locked file, says so once a wait, and gives up after `most_s`.

    Raises UserError then: nothing is half written, as each statement is a transaction of its own.
    """

    most_s: ClassVar[float] = 600.0

    def execute(self, sql: str, parameters: Any = (), /) -> sqlite3.Cursor:
        return self._waited(lambda: super(PatientConnection, self).execute(sql, parameters))

    def executemany(self, sql: str, parameters: Any, /) -> sqlite3.Cursor:
        rows = list(parameters)  # the same again at the next try
        return self._waited(lambda: super(PatientConnection, self).executemany(sql, rows))

    def executescript(self, sql_script: str, /) -> sqlite3.Cursor:
        return self._waited(lambda: super(PatientConnection, self).executescript(sql_script))

    def _waited(self, work: Callable[[], _Made]) -> _Made:
        began, is_told = time.monotonic(), False
        while True:
            try:
                return work()
            except sqlite3.OperationalError as error:
                if getattr(error, "sqlite_errorcode", 0) & 0xFF not in LOCKED:
                    raise
                waited_s = time.monotonic() - began
                if waited_s >= self.most_s:
                    raise UserError(
                        f"the result store was locked by another process for {waited_s:,.0f} s",
                        remedy="End the build, the program or the copy that holds results.sqlite, and run "
                        "the same command again: what was answered is stored.",
                    ) from None
                if waited_s >= _TOLD_AFTER_S and not is_told:
                    is_told = True
                    print("waiting for the result store: another process has locked it", file=sys.stderr)
            time.sleep(_LOOK_S)
