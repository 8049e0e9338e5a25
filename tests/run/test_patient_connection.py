"""A store that another process has locked is waited for, which is said; it ends in words."""

from __future__ import annotations

import sqlite3
import threading
import time
from pathlib import Path

import pytest

from datakit.core.errors import UserError
from datakit.core.outcome import Done
from datakit.run.patient_connection import PatientConnection
from datakit.run.store import Store

KEY = b"k" * 16


def locked(path: Path, seconds: float) -> threading.Thread:
    """Another connection that holds the file for so long; it holds it when this returns."""
    is_held = threading.Event()

    def hold() -> None:
        other = sqlite3.connect(path, isolation_level=None)
        other.execute("BEGIN EXCLUSIVE")
        is_held.set()
        time.sleep(seconds)
        other.execute("COMMIT")
        other.close()

    thread = threading.Thread(target=hold)
    thread.start()
    is_held.wait()
    return thread


def test_locked_store_is_waited_for_and_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    store = Store(tmp_path)
    holder = locked(store.path, 3.5)
    store.put(KEY, "annotate.ask", Done({"raw": "{}"}))
    holder.join()
    assert KEY in store.get_many([KEY])
    assert capsys.readouterr().err.count("waiting for the result store") == 1
    store.put(KEY, "annotate.ask", Done({"raw": "{}"}))
    assert capsys.readouterr().err == ""
    store.close()


@pytest.mark.fault(
    "another program holds the store locked for ever",
    "the build waits, says so, and ends in words",
    kind="store",
)
def test_store_that_stays_locked_is_an_error_in_words(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = Store(tmp_path)
    monkeypatch.setattr(PatientConnection, "most_s", 1.0)
    holder = locked(store.path, 4.0)
    with pytest.raises(UserError, match="locked by another process"):
        store.put(KEY, "annotate.ask", Done({"raw": "{}"}))
    holder.join()
    store.close()


def test_other_errors_of_the_file_are_not_waited_for(tmp_path: Path) -> None:
    store = Store(tmp_path)
    began = time.monotonic()
    with pytest.raises(sqlite3.OperationalError, match="no such table"):
        store._db.execute("SELECT * FROM nowhere")
    assert time.monotonic() - began < 1
    store.close()
