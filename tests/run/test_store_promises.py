"""What every result store promises, of a file and of a database that the test run starts."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from datakit.core.files import FileDigests
from datakit.core.outcome import Done, Rejected
from datakit.core.sub_results import QUESTION
from datakit.run.cache import choose
from datakit.run.checksums import StoredRow
from datakit.run.result_store import ResultStore, row_of
from datakit.run.store import Store

Open = Callable[[], ResultStore]
K, Q = b"k" * 16, bytes(range(16))
DAY_S = 86_400


def keys(count: int) -> list[bytes]:
    return [number.to_bytes(16, "big") for number in range(count)]


def changed(store: ResultStore, key: bytes, **fields: object) -> None:
    """Puts a row into the store as it never wrote one: older, or damaged."""
    ((row,),) = [rows for rows in store.rows([key]) if rows]
    row = row._replace(**fields)  # type: ignore[arg-type]
    if isinstance(store, Store):
        store._db.execute("INSERT OR REPLACE INTO results VALUES (?,?,?,?,?,?,?)", row)
    else:
        store.flush()
        names = ", ".join(f"{name} = %s" for name in StoredRow._fields)
        store._do(f"UPDATE datakit.results SET {names} WHERE key = %s", (*row, key))  # type: ignore[attr-defined]


def test_results_come_back_as_they_went_in(open_store: Open) -> None:
    store, raws = open_store(), [None, True, 2**53, "ä\0😀" * 3, {"a": [1.5, {}]}, "x" * 3_000_000]
    for key, raw in zip(keys(9), raws, strict=False):
        store.put(key, "step", Done(raw, {"model": "m"}))
    store.put(K, "step", Rejected("too_small", "8 px", {"seconds": 1}))
    for reader in (store, open_store()):
        store.flush()
        found = reader.get_many([*keys(20), K])
        assert [found[key].outcome.raw for key in keys(6)] == raws  # type: ignore[union-attr]
        assert found[K].outcome == Rejected("too_small", "8 px", {"seconds": 1})
        assert len(found) == 7


def test_results_put_together_are_those_that_are_put_alone(open_store: Open) -> None:
    store, outcomes = open_store(), [Done(1), Rejected("too_small", "8 px"), Done(2, {QUESTION: Q.hex()})]
    together = [(key, "step", outcome) for key, outcome in zip(keys(3), outcomes, strict=True)]
    store.put_many(together[:2])
    store.put_many(together)
    for reader in (store, open_store()):
        store.flush()
        found = reader.get_many(keys(3))
        assert [found[key].outcome for key in keys(3)] == [*outcomes[:2], Done(2)]
        assert reader.answers_to(Q) == [Done(2)]


def test_what_was_put_is_found_at_once_by_whoever_put_it(open_store: Open) -> None:
    store = open_store()
    store.put(K, "step", Done(1, {QUESTION: Q.hex()}))
    assert store.known([K]) == {K}
    assert store.answers_to(Q) == [Done(1, {})]
    store.put(K, "step", Done(2))
    assert store.get_many([K])[K].outcome == Done(2)
    assert [step["results"] for step in store.usage()] == [1]


def test_many_keys_at_once_are_found(open_store: Open) -> None:
    store = open_store()
    for key in keys(5000)[::2]:
        store.put(key, "step", Done(1))
    assert store.known(keys(5000)) == set(keys(5000)[::2])
    assert [row.key for page in store.pages(rows=700) for row in page] == keys(5000)[::2]


def test_reading_a_result_marks_it_as_used(open_store: Open) -> None:
    store = open_store()
    for key in keys(4):
        store.put(key, "step", Done(1))
    for key in keys(4):
        changed(store, key, used=0)
    assert len(choose(store, unused_days=1)) == 4
    store.get_many(keys(2))
    assert {entry.key for entry in choose(store, unused_days=1)} == set(keys(4)[2:])


@pytest.mark.fault("a stored byte is changed", "the result counts as absent, and is named", kind="store")
def test_damaged_results_count_as_absent(open_store: Open) -> None:
    store = open_store()
    for key in keys(3):
        store.put(key, "toy.work", Done("abc"))
    assert store.sound() == "ok"
    changed(store, keys(3)[1], value=b'"abd"')
    assert store.known(keys(3)) == {keys(3)[0], keys(3)[2]}
    assert "1 results in" in store.damage()
    assert "toy.work 1" in store.damage()
    assert store.sound() == "1 of 3 results are not what was stored"
    store.put(keys(3)[1], "toy.work", Done("abc"))
    assert store.known(keys(3)) == set(keys(3))


def test_lease_is_one_owners_until_the_answer_is_stored(open_store: Open) -> None:
    store, other = open_store(), open_store()
    assert store.leases.take(Q)
    assert store.leases.take(Q)
    assert not other.leases.take(Q)
    store.leases.answered(Q)
    store.put(K, "toy.work", Done({"raw": "x"}, {QUESTION: Q.hex()}))
    store.flush()
    assert other.leases.take(Q)
    assert other.answers_to(Q) == [Done({"raw": "x"}, {})]
    assert not store.leases.take(Q)
    other.close()
    assert store.leases.take(Q)


def test_lease_that_ends_with_all_others_shows_what_came_of_it(open_store: Open) -> None:
    store, other = open_store(), open_store()
    assert store.leases.take(Q)
    store.put(K, "toy.work", Done({"raw": "x"}, {QUESTION: Q.hex()}))
    store.leases.close()
    assert other.leases.take(Q)
    assert other.answers_to(Q) == [Done({"raw": "x"}, {})]


def test_entries_can_be_removed_and_their_questions_are_open_again(open_store: Open) -> None:
    store = open_store()
    for number, key in enumerate(keys(6)):
        step = "annotate.ocr" if number % 2 else "annotate.ask"
        store.put(key, step, Done("x", {"cost_usd": 0.5, "model": "m", QUESTION: (Q if number else K).hex()}))
    store.put(K, "annotate.ocr", Rejected("image_broken", "no"))
    entries = list(store.entries())
    assert [entry.step for entry in entries] == ["annotate.ask"] * 3 + ["annotate.ocr"] * 4
    assert sum(entry.cost_usd or 0 for entry in entries) == 3
    assert store.rejects(["annotate.ocr"], "image_broken") == {K}
    store.remove([keys(6)[1]])
    assert keys(6)[1] not in store.known(keys(6))
    assert store.answers_to(Q) == []
    assert len(store.answers_to(K)) == 1
    assert store.sound() == "ok"


def test_means_are_of_one_model_and_its_dated_versions(open_store: Open) -> None:
    store = open_store()
    models = ["gpt-4o-2024-08-06", "gpt-4o", "gpt-4o-mini", "gpt-4o-mini-2024-07-18", "通义'%_\\"]
    for number, model in enumerate(models):
        meta = {"model": model, "tokens_in": 100 * (number + 1), "tokens_out": 10, "cost_usd": number / 10}
        store.put(keys(9)[number], "annotate.describe", Done("text", meta))
    store.put(b"o" * 16, "annotate.ocr", Done([], {"seconds": 0.5}))
    store.put(b"r" * 16, "annotate.ocr", Rejected("image_broken", "no", {"seconds": 1.5}))
    large, odd = (store.means("annotate.describe", model) for model in ("gpt-4o", models[-1]))
    small = store.means("annotate.describe", "gpt-4o-mini")
    assert large is not None
    assert odd is not None
    assert small is not None
    assert (large["results"], large["tokens_in"], large["cost_usd"]) == (2, 150.0, 0.05)
    assert (odd["results"], odd["tokens_in"]) == (1, 500.0)
    assert small["cost_usd_error"] == pytest.approx(0.05 / 2**0.5)
    figures = {"tokens_in": None, "tokens_out": None, "cost_usd": None, "seconds": 1.0}
    assert store.means("annotate.ocr") == {"results": 2, **figures, "cost_usd_error": 0.0}
    assert store.means("annotate.describe", "gpt-5") is None
    assert store.means("annotate.nothing") is None


def test_of_results_that_are_taken_over_the_newest_stays(open_store: Open) -> None:
    store = open_store()
    store.put(K, "step", Done("own"))
    store.flush()
    bare = row_of(K, "step", Done("other"))[0]
    store.take([bare._replace(created=5)])
    assert store.get_many([K])[K].outcome == Done("own")
    store.take([bare._replace(created=bare.created + 100)])
    assert store.get_many([K])[K].outcome == Done("other")
    assert store.ages([K, Q]) == {K: bare.created + 100}


def test_what_was_forgotten_is_remembered(open_store: Open) -> None:
    store = open_store()
    store.note_forgotten("a", 5.5)
    store.note_forgotten("a")
    store.note_forgotten("b", 7.0)
    told = open_store().forgotten()
    assert told["b"] == 7.0
    assert told["a"] > 1_700_000_000


def test_digests_of_files_are_kept_on_the_machine_that_has_them(open_store: Open, tmp_path: Path) -> None:
    file = tmp_path / "a.bin"
    file.write_bytes(b"one")
    first = FileDigests(open_store()).sha256(file)
    assert FileDigests(open_store()).sha256(file) == first
    file.write_bytes(b"two!")
    assert FileDigests(open_store()).sha256(file) != first


@pytest.mark.fault("kill -9 after results were written", "all of them are there", kind="store")
def test_results_survive_kill_9(open_store: Open, tmp_path: Path) -> None:
    code = f"""
import os, signal
from pathlib import Path
from datakit.core.outcome import Done
from datakit.core.settings import RunSettings
from datakit.run.store_place import StorePlace
store = StorePlace.of(RunSettings(), Path({str(tmp_path)!r})).open()
for n in range(3000):
    store.put(n.to_bytes(16, "big"), "step", Done({{"n": n}}))
store.flush()
os.kill(os.getpid(), signal.SIGKILL)
"""
    done = subprocess.run([sys.executable, "-c", code], check=False, env=os.environ)
    assert done.returncode == -signal.SIGKILL
    assert len(open_store().get_many(keys(3000))) == 3000
