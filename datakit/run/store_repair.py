"""A result store to work with: one that is damaged is set aside, and what can be read of it is taken over."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable
from itertools import count
from pathlib import Path

from datakit.core.errors import UserError
from datakit.core.file_locks import held, taken
from datakit.run.checksums import Damaged, StoredRow
from datakit.run.store import FILE, USERS, Store, StoreDamaged
from datakit.run.store_pages import Pages, Value

_BESIDE = ("", "-wal", "-shm")
_KEY_BYTES = 16
_AT_ONCE = 1000


def to_stderr(words: str) -> None:
    print(words, file=sys.stderr, flush=True)


def sound_store(folder: Path, say: Callable[[str], object] = to_stderr) -> Store:
    """The store of a folder, open, with its structures checked.

    One that SQLite cannot read is renamed, and its sound results go into a new one; `say` is told how many.
    Raises UserError where another process does that just now or works with the damaged store, and as `Store`
    does.
    """
    path = folder / FILE
    is_empty = path.is_file() and not path.stat().st_size and not path.with_name(f"{FILE}-wal").is_file()
    store, fault = _checked(folder)
    if store is None:
        with held(folder / "mending.lock", _mended_elsewhere(folder)):
            store, fault = _checked(folder)  # another process may have mended it before
            if store is None:
                return _mended(folder, fault, say)
    if is_empty and not store.is_shared:  # one that another build is just making has no bytes either
        say(f"The result store {path} has no bytes: whatever it held is made anew.")
    return store


def _checked(folder: Path) -> tuple[Store | None, str]:
    """The store of a folder where it is sound, else what is wrong with it."""
    try:
        store = Store(folder)
    except StoreDamaged as error:
        return None, error.fault
    if (verdict := store.quick_check()) == "ok":
        return store, ""
    store.close()
    return None, verdict


def _mended_elsewhere(folder: Path) -> UserError:
    return UserError(
        f"another build is mending the result store in {folder}",
        remedy="Run the same command again when it is done.",
    )


def _mended(folder: Path, fault: str, say: Callable[[str], object]) -> Store:
    """A new store with the sound results of the damaged one, which is set aside."""
    path, aside = folder / FILE, _free(folder)
    users = taken(folder / USERS)
    if users is None:  # it would go on writing into the file that is set aside
        raise UserError(
            f"the result store {path} is damaged ({fault}), and another process works with it",
            remedy="Let it end, then run the same command again: it takes over what can be read.",
        )
    with users:
        for end in _BESIDE:
            if (beside := path.with_name(path.name + end)).exists():
                os.replace(beside, aside.with_name(aside.name + end))
    store = Store(folder)
    results, lost = take_over(Pages.of(aside), store)
    say(
        f"The result store was damaged ({fault}). {results:,} results were taken over from it"
        + (f", {lost:,} could not be read and are made anew" if lost else "")
        + f". The damaged file lies in {aside}"
    )
    return store


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
