"""A result store to work with: one that is damaged is set aside, and what can be read of it is taken over."""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path

from datakit.core.errors import UserError
from datakit.run.checksums import Damaged, StoredRow
from datakit.run.store import FILE, Store, StoreDamaged
from datakit.run.store_pages import Pages, Value

_BESIDE = ("", "-wal", "-shm")
_KEY_BYTES = 16
_AT_ONCE = 1000


def sound_store(folder: Path, say: Callable[[str], object]) -> Store:
    """The store of a folder, open, with its structures checked.

    One that SQLite cannot read is renamed, and its sound results go into a new one; `say` is told how many.
    Raises UserError where another build does that just now, and as `Store` does.
    """
    path = folder / FILE
    if path.is_file() and not path.stat().st_size and not path.with_name(f"{FILE}-wal").is_file():
        say(f"The result store {path} has no bytes: whatever it held is made anew.")
    try:
        store = Store(folder)
        verdict = store.quick_check()
        if verdict == "ok":
            return store
        store.close()
    except StoreDamaged as error:
        verdict = error.fault
    aside, store, taken, lost = _anew(folder)
    say(
        f"The result store was damaged ({verdict}). {taken:,} results were taken over from it"
        + (f", {lost:,} could not be read and are made anew" if lost else "")
        + f". The damaged file lies in {aside}"
    )
    return store


def _anew(folder: Path) -> tuple[Path, Store, int, int]:
    """Where the damaged store lies, a new one with its results, their number and that of unsound ones."""
    path = folder / FILE
    with _alone(folder):
        aside = _free(folder)
        for end in _BESIDE:
            if (beside := path.with_name(path.name + end)).exists():
                os.replace(beside, aside.with_name(aside.name + end))
        pages = Pages.of(aside)
        store = Store(folder)
        return aside, store, *take_over(pages, store)


def take_over(pages: Pages, store: Store) -> tuple[int, int]:
    """Puts the sound results of damaged pages into a store; their number, and that of the others as far as
    pages or the index of keys tell of them."""
    unsound, keys, indexed = 0, set[bytes](), set[bytes]()
    rows: list[StoredRow] = []
    pairs: list[tuple[bytes, bytes]] = []
    for record in pages.records():
        row = _row(record)
        if row is not None:
            try:
                row.opened()
            except Damaged:
                unsound += 1
                continue
            keys.add(row.key)
            rows.append(row)
            if len(rows) == _AT_ONCE:
                store.take(rows)
                rows = []
            continue
        match record:
            case (bytes(first), bytes(second)) if len(first) == len(second) == _KEY_BYTES:
                pairs.append((first, second))
            case (bytes(first), int()) if len(first) == _KEY_BYTES:
                indexed.add(first)
            case (bytes(first), float(at)):
                store.note_forgotten(first.decode(errors="replace"), at)
    store.take(rows)
    # An index has the pairs the other way round: the key is the one that a result has.
    store.take_questions({(a, b) if b in keys else (b, a) for a, b in pairs if a in keys or b in keys})
    return len(keys), max(unsound, len(indexed - keys))


def _row(record: tuple[Value, ...]) -> StoredRow | None:
    """A record of the table `results`."""
    if len(record) != len(StoredRow._fields):
        return None
    key, step, rejected, value, meta, created, used = record
    if not (isinstance(key, bytes) and isinstance(step, bytes)):
        return None
    text = step.decode(errors="replace")
    return StoredRow(key, text, rejected, value, meta, created, used)  # type: ignore[arg-type]


def _free(folder: Path) -> Path:
    day = time.strftime("%Y-%m-%d")
    names = (f"damaged-{day}-{number}.sqlite" for number in count(1))
    return next(folder / name for name in names if not (folder / name).exists())


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Keeps two builds from mending one store at once."""
    with open(folder / "mending.lock", "a+b") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise UserError(
                f"another build is mending the result store in {folder}",
                remedy="Run the same command again when it is done.",
            ) from None
        yield
