"""The result store: what is in it survives, and nothing else gets in."""

from __future__ import annotations

import hashlib
import os
import signal
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from datakit.core.errors import UserError
from datakit.core.files import FileDigests, stamp_of
from datakit.core.outcome import Done, Rejected
from datakit.run.cache import choose
from datakit.run.patient_connection import PatientConnection
from datakit.run.store import Store, store_folder

JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(max_size=2000),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=4),
    max_leaves=8,
)


@given(raw=JSON, key=st.binary(min_size=16, max_size=16))
@settings(max_examples=50, deadline=None)
def test_results_come_back_as_they_went_in(
    tmp_path_factory: pytest.TempPathFactory, raw: object, key: bytes
) -> None:
    store = Store(tmp_path_factory.mktemp("store"))
    store.put(key, "step", Done(raw, {"model": "m"}))
    found = store.get_many([key, b"0" * 16])[key]
    assert found.outcome == Done(raw, {"model": "m"})
    store.close()


def test_rejected_results_keep_reason_and_detail(tmp_path: Path) -> None:
    store = Store(tmp_path)
    store.put(b"k" * 16, "step", Rejected("too_small", "8 px", {"seconds": 1}))
    assert store.get_many([b"k" * 16])[b"k" * 16].outcome == Rejected("too_small", "8 px", {"seconds": 1})


@pytest.mark.fault("kill -9 right after a result was stored", "the result is there", kind="store")
def test_results_survive_kill_9_right_after_put(tmp_path: Path) -> None:
    code = f"""
import os, signal
from pathlib import Path
from datakit.core.outcome import Done
from datakit.run.store import Store
store = Store(Path({str(tmp_path)!r}))
for n in range(100):
    store.put(n.to_bytes(16, "big"), "step", Done({{"n": n}}))
os.kill(os.getpid(), signal.SIGKILL)
"""
    done = subprocess.run([sys.executable, "-c", code], check=False)
    assert done.returncode == -signal.SIGKILL
    keys = [n.to_bytes(16, "big") for n in range(100)]
    assert len(Store(tmp_path).get_many(keys)) == 100


def test_more_keys_than_sql_variables_are_found(tmp_path: Path) -> None:
    store = Store(tmp_path)
    keys = [n.to_bytes(16, "big") for n in range(3000)]
    for key in keys[::2]:
        store.put(key, "step", Done(1))
    assert store.known(keys) == set(keys[::2])


def test_least_recently_used_results_are_chosen_first(tmp_path: Path) -> None:
    store = Store(tmp_path)
    for n in range(10):
        store.put(n.to_bytes(16, "big"), "step", Done("x" * 100))
    db = sqlite3.connect(store.path)
    db.execute("UPDATE results SET used = used - 86400 * 10 WHERE key < ?", ((5).to_bytes(16, "big"),))
    db.commit()
    chosen = choose(store, max_bytes=5 * 133)
    assert [entry.key[-1] for entry in chosen] == [0, 1, 2, 3, 4]
    assert sum(entry.bytes for entry in chosen) == 5 * 133
    assert len(choose(store, unused_days=5)) == 5


def test_reading_a_result_marks_it_as_used(tmp_path: Path) -> None:
    store = Store(tmp_path)
    store.put(b"k" * 16, "step", Done(1))
    db = sqlite3.connect(store.path, isolation_level=None)
    db.execute("UPDATE results SET used = 0")
    store.get_many([b"k" * 16])
    assert choose(store, unused_days=1) == []


@pytest.mark.fault(
    "the store was written by a newer datakit",
    "it is refused with the remedy, and left as it is",
    kind="store",
)
def test_store_of_a_newer_format_is_refused(tmp_path: Path) -> None:
    Store(tmp_path).close()
    db = sqlite3.connect(tmp_path / "results.sqlite")
    db.execute("PRAGMA user_version=99")
    db.commit()
    with pytest.raises(UserError, match="newer datakit"):
        Store(tmp_path)


def test_file_that_is_no_database_is_named(tmp_path: Path) -> None:
    (tmp_path / "results.sqlite").write_text("hello " * 1000)
    with pytest.raises(UserError, match=r"results\.sqlite"):
        Store(tmp_path)


def test_environment_overrides_the_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert store_folder(tmp_path, None) == tmp_path / ".datakit"
    assert store_folder(tmp_path, "elsewhere") == tmp_path / "elsewhere"
    monkeypatch.setenv("DATAKIT_STORE", "/somewhere")
    assert store_folder(tmp_path, "elsewhere") == Path("/somewhere")


def test_digests_are_read_again_only_when_the_file_changes(tmp_path: Path) -> None:
    store = Store(tmp_path / "store")
    file = tmp_path / "a.bin"
    file.write_bytes(b"one")
    first = FileDigests(store).sha256(file)
    assert store.known_digests({str(file): stamp_of(os.stat(file))}) == {str(file): first}
    file.write_bytes(b"two!")
    assert FileDigests(store).sha256(file) != first
    assert FileDigests(store).sha256(tmp_path / "none") == f"missing:{tmp_path / 'none'}"


@pytest.mark.fault(
    "a picture is replaced by one of the same size and time",
    "it has another digest: no result of the old one is used",
    kind="inputs changed",
)
def test_edit_that_restores_size_and_time_has_another_digest(tmp_path: Path) -> None:
    store = Store(tmp_path / "store")
    file = tmp_path / "a.bin"
    file.write_bytes(b"one")
    digests = FileDigests(store)
    first, before = digests.sha256(file), os.stat(file)
    file.write_bytes(b"two")
    os.utime(file, ns=(before.st_atime_ns, before.st_mtime_ns))
    two = hashlib.sha256(b"two").hexdigest()
    assert digests.sha256(file) == FileDigests(store).sha256(file) == two != first


def test_digests_of_0_1_which_know_size_and_time_alone_are_not_believed(tmp_path: Path) -> None:
    file, folder = tmp_path / "a.bin", tmp_path / "store"
    file.write_bytes(b"one")
    status = os.stat(file)
    folder.mkdir()
    with sqlite3.connect(folder / "results.sqlite") as db:
        db.execute(
            "CREATE TABLE files (path TEXT PRIMARY KEY, size INTEGER NOT NULL, mtime_ns INTEGER NOT NULL,"
            " sha256 TEXT NOT NULL)"
        )
        db.execute("INSERT INTO files VALUES (?,?,?,?)", (str(file), 3, status.st_mtime_ns, "0" * 64))
    assert FileDigests(Store(folder)).sha256(file) == hashlib.sha256(b"one").hexdigest()


def test_inode_of_64_bits_is_held(tmp_path: Path) -> None:
    store = Store(tmp_path / "store")
    stamp = (3, 5, (1 << 64) - 2, 7)
    store.keep_digests([("a", stamp, "f" * 64)])
    assert store.known_digests({"a": stamp}) == {"a": "f" * 64}
    assert store.known_digests({"a": (3, 5, 2, 7)}) == {}


def test_a_full_disk_is_told_as_one_where_the_store_is_opened(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Full(PatientConnection):
        def executescript(self, sql_script: str, /) -> sqlite3.Cursor:
            self.execute("PRAGMA max_page_count=1")  # SQLite's own way to have no room
            return super().executescript(sql_script)

    monkeypatch.setattr("datakit.run.store.PatientConnection", Full)
    with pytest.raises(UserError, match=r"disk is full\n  Free some space there"):
        Store(tmp_path)
