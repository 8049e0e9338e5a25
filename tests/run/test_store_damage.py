"""A damaged store: what is wrong is found and counted, and only that is made again."""

from __future__ import annotations

import re
import shutil
import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest

import datakit
from datakit.core.errors import UserError
from datakit.core.file_locks import waited_for
from datakit.core.files import FileDigests
from datakit.core.outcome import Done, Rejected
from datakit.recipe.recipe import Recipe
from datakit.run.build import Options, build
from datakit.run.checksums import Damaged, StoredRow
from datakit.run.store import USERS, Store, StoreDamaged
from datakit.run.store_repair import sound_store
from tests.run.test_build import recipe as recipe
from tests.support.toys import Numbers, Work

Make = Callable[..., Recipe]
COUNT = 600


def key_of(number: int) -> bytes:
    return number.to_bytes(2, "big") * 8


def outcome_of(number: int) -> Done | Rejected:
    """Short and long values, some over many pages, and rejects."""
    if number % 10 == 3:
        return Rejected("refused", f"number {number}", {"model": "m"})
    noise = "".join(
        chr(0x4E00 + (number * 7919 + at * 104729) % 20000) for at in range((number % 40) ** 2 * 4)
    )
    return Done({"text": f"{number}" + noise}, {"cost_usd": number / 7, "model": "m"})


@pytest.fixture
def filled(tmp_path: Path) -> Path:
    """The folder of a store with results, questions and a forgotten step."""
    store = Store(tmp_path)
    for number in range(COUNT):
        outcome = outcome_of(number)
        outcome.meta["question"] = (b"q" * 14 + number.to_bytes(2, "big")).hex()
        store.put(key_of(number), "toy.work", outcome)
    store.note_forgotten("toy.other", 1234.5)
    store.close()
    return tmp_path


def sound_results(store: Store) -> int:
    """How many of the results are as they went in; no wrong one may come out."""
    keys = [key_of(number) for number in range(COUNT)]
    results = store.get_many(keys)
    known = store.known(keys)
    assert known == results.keys()
    for number, key in enumerate(keys):
        if key in results:
            outcome, expected = results[key].outcome, outcome_of(number)
            assert outcome == expected
    return len(results)


@pytest.mark.fault(
    "a byte of a stored result changes: value, account, step, verdict or key",
    "the result is not used, it is counted, and it is made again",
    kind="store",
)
@pytest.mark.parametrize("column", ["value", "meta", "step", "rejected", "key"])
def test_a_flipped_byte_of_any_part_of_a_result_is_found_and_counted(filled: Path, column: str) -> None:
    with sqlite3.connect(filled / "results.sqlite") as db:
        (value,) = db.execute(f"SELECT {column} FROM results WHERE key=?", (key_of(7),)).fetchone()
        if isinstance(value, int):
            other: object = 1 - value
        elif isinstance(value, str):
            other = "toy.wort"
        else:
            other = value[:5] + bytes([value[5] ^ 1]) + value[6:]
        db.execute(f"UPDATE results SET {column}=? WHERE key=?", (other, key_of(7)))
    store = Store(filled)
    assert sound_results(store) == COUNT - 1
    assert store.sound() == f"1 of {COUNT} results are not what was stored"
    if column != "key":
        assert "1 results in" in store.damage()
    store.put(key_of(7), "toy.work", outcome_of(7))
    assert sound_results(store) == COUNT
    store.close()


@pytest.mark.fault(
    "any byte of the store's file changes",
    "no wrong result; the sound ones are taken over, and the loss is told",
    kind="store",
)
def test_any_flipped_byte_of_the_file_gives_no_wrong_result_and_loses_few(filled: Path) -> None:
    path = filled / "results.sqlite"
    whole = path.read_bytes()
    words: list[str] = []
    header = [*range(0, 100, 9), 16, 18, 19, 21, 47, 56, 60, 61, 62, 63]
    for at in [*header, *range(100, len(whole), len(whole) // 60)]:
        for beside in filled.glob("results.sqlite*"):
            beside.unlink()
        path.write_bytes(whole[:at] + bytes([whole[at] ^ 0xFF]) + whole[at + 1 :])
        store = sound_store(filled, words.append)
        assert sound_results(store) >= COUNT - 12, at  # a page of the shortest results at most
        store.close()
    assert any("were taken over" in line for line in words)


@pytest.mark.fault(
    "the store's file is cut short",
    "what is left is taken over with its number; the file is set aside, not deleted",
    kind="store",
)
def test_a_truncated_file_gives_back_what_is_left_of_it_and_is_kept(filled: Path) -> None:
    path = filled / "results.sqlite"
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) * 2 // 3])
    words: list[str] = []
    store = sound_store(filled, words.append)
    left = sound_results(store)
    assert COUNT // 4 < left < COUNT
    assert f"{left:,} results were taken over" in words[0]
    (aside,) = filled.glob("damaged-*.sqlite")
    assert aside.read_bytes() == whole[: len(whole) * 2 // 3]
    store.close()


@pytest.mark.fault("the store's file loses its header", "every result is taken over", kind="store")
def test_a_file_without_header_gives_back_everything(filled: Path) -> None:
    path = filled / "results.sqlite"
    whole = path.read_bytes()
    path.write_bytes(b"\xff" * 100 + whole[100:])
    with pytest.raises(StoreDamaged, match="datakit build"):
        Store(filled)
    store = sound_store(filled, lambda words: None)
    assert sound_results(store) == COUNT
    assert store.forgotten() == {"toy.other": 1234.5}
    assert store.answers_to(b"q" * 14 + (9).to_bytes(2, "big")) == [outcome_of(9)]
    store.close()


@pytest.mark.fault(
    "the store is damaged while results stand in its log alone",
    "they are taken over too",
    kind="store",
)
def test_results_that_stand_in_the_log_alone_are_taken_over(tmp_path: Path) -> None:
    live = Store(tmp_path / "live")
    for number in range(COUNT):
        live.put(key_of(number), "toy.work", outcome_of(number))
    copy = tmp_path / "copy"
    shutil.copytree(tmp_path / "live", copy)
    live.close()
    data = (copy / "results.sqlite").read_bytes()
    (copy / "results.sqlite").write_bytes(b"\xff" * 100 + data[100:])
    (copy / "results.sqlite-shm").unlink()
    store = sound_store(copy, lambda words: None)
    assert sound_results(store) == COUNT
    store.close()


@pytest.mark.fault(
    "the store's write-ahead log is lost",
    "only results that stood in the log are made again",
    kind="store",
)
def test_a_lost_log_loses_its_results_alone(tmp_path: Path) -> None:
    live = Store(tmp_path / "live")
    for number in range(COUNT):
        live.put(key_of(number), "toy.work", outcome_of(number))
    copy = tmp_path / "copy"
    copy.mkdir()
    shutil.copy(tmp_path / "live" / "results.sqlite", copy)
    live.close()
    store = sound_store(copy, lambda words: None)
    sound_results(store)
    store.close()


def test_an_empty_file_is_told(tmp_path: Path) -> None:
    (tmp_path / "results.sqlite").touch()
    words: list[str] = []
    sound_store(tmp_path, words.append).close()
    assert "has no bytes" in words[0]


def test_results_without_checksum_are_read_and_get_one(filled: Path) -> None:
    with sqlite3.connect(filled / "results.sqlite") as db:  # as datakit 0.2 wrote them
        rows = map(StoredRow._make, db.execute("SELECT * FROM results").fetchall())
        db.executemany(
            "UPDATE results SET meta=? WHERE key=?", [(row.opened()[0].meta, row.key) for row in rows]
        )
    store = Store(filled)
    assert store.known([key_of(number) for number in range(COUNT)]) == {key_of(n) for n in range(COUNT)}
    assert sound_results(store) == COUNT
    store.close()
    with sqlite3.connect(filled / "results.sqlite") as db:
        assert all(StoredRow._make(row).opened()[1] for row in db.execute("SELECT * FROM results"))


def test_a_damaged_result_without_checksum_that_is_no_result_any_more_is_made_again(tmp_path: Path) -> None:
    for value, meta in ((b"z\x00", b"{}"), (b'{"a":', b"{}"), (b"1", b"[]"), (b"1", b"{")):
        with pytest.raises(Damaged):
            StoredRow(b"k" * 16, "s", 0, value, meta, 1, 1).opened()


@pytest.mark.fault(
    "a build meets damaged results",
    "only those are made again, and the build says how many",
    kind="store",
)
def test_only_damaged_results_are_made_again_and_the_build_says_how_many(
    recipe: Make,
    project: Path,
) -> None:
    it = recipe(Numbers(count=9), Work(log=str(project / "log")))
    before = (build(it).folder / "ids.txt").read_bytes()
    with sqlite3.connect(project / ".datakit" / "results.sqlite") as db:
        db.execute("UPDATE results SET value=X'2237223637' WHERE value IN (X'223322', X'223422')")
        db.execute("UPDATE results SET value=X'223922' WHERE value IN (X'223322', X'223522')")
    made = build(it, Options(force=True))
    assert len((project / "log").read_text().split()) == 12
    assert any("3 results" in note and "toy.work 3" in note for note in made.report.notes)
    assert (made.folder / "ids.txt").read_bytes() == before
    assert not any("damaged" in note for note in build(it, Options(force=True)).report.notes)


@pytest.mark.fault("a remembered digest of a picture is damaged", "the picture is read again", kind="store")
def test_a_flipped_byte_of_a_remembered_digest_is_not_believed(tmp_path: Path) -> None:
    store, file = Store(tmp_path), tmp_path / "a"
    file.write_text("a")
    right = FileDigests(store).sha256(file)
    with sqlite3.connect(tmp_path / "results.sqlite") as db:
        db.execute("UPDATE digests SET sha256=replace(sha256, 'c', 'd')")
    assert FileDigests(store).sha256(file) == right
    store.close()


@pytest.mark.fault(
    "a damaged store that another build writes into",
    "it is left in its place and the user is told to wait",
    kind="store",
)
def test_damaged_store_that_another_process_works_with_is_left_to_it(filled: Path) -> None:
    other = Store(filled)
    other._db.execute("PRAGMA wal_checkpoint(TRUNCATE)")  # the log would hide the damage
    path = filled / "results.sqlite"
    path.write_bytes(b"\xff" * 100 + path.read_bytes()[100:])
    with pytest.raises(UserError, match="another process works with it"):
        sound_store(filled, lambda words: None)
    assert not list(filled.glob("damaged-*"))
    other.close()
    words: list[str] = []
    sound_store(filled, words.append).close()
    assert "were taken over" in words[0]


def test_store_that_another_build_just_makes_is_not_called_empty(tmp_path: Path) -> None:
    (tmp_path / "results.sqlite").touch()
    with waited_for(tmp_path / USERS, shared=True):
        words: list[str] = []
        sound_store(tmp_path, words.append).close()
    assert words == []


def test_every_command_but_the_doctor_opens_a_store_by_way_of_its_repair() -> None:
    """The doctor says what is wrong and leaves it."""
    root = Path(datakit.__file__).parent
    openers = {
        path.relative_to(root).as_posix()
        for path in root.rglob("*.py")
        if re.search(r"(?<![\w.])(?<!class )Store\((?!\w*Damaged)", path.read_text("utf-8"))
    }
    assert openers == {"run/store_repair.py", "doctor.py", "testing/_bench.py"}
