"""Batch files on disk, with what is known of each: what a build that was killed finds again.

`<store>/batches/<name>/` holds `in.jsonl` until the provider has it, `state.json`, and `out.jsonl` and
`errors.jsonl` once the answers are there. It goes when all of them are in the result store. No key enters.
"""

from __future__ import annotations

import os
import secrets
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, Literal

from pydantic import BaseModel, ValidationError

from datakit.core.file_locks import taken, waited_for
from datakit.core.private_files import private_folder
from datakit.core.regular_files import read_regular

_FORGET_S = 30 * 86_400
"""Providers keep what a batch answered for so long (OpenAI: 30 days)."""

FAILED = "failed_batches"
"""Folder of the store with outputs that hold failures."""
_LOCK = "lock"
Way = Literal["batch", "batch_files"]
Status = Literal["written", "uploaded", "submitted", "collected"]


class State(BaseModel):
    """What is known of a batch file."""

    way: Way
    endpoint: str
    """Digest of the endpoint's address; empty for files that somebody else runs."""
    status: Status
    ids: list[str]
    """`custom_id` of every line."""
    worst_usd: float = 0.0
    """What the lines may cost at most."""
    created: float
    """Seconds since 1970."""
    file_id: str | None = None
    """Of the uploaded file. From here on a batch may exist, whether or not its id could be written down."""
    batch_id: str | None = None
    missing: str = "line_missing"
    """Why lines of a collected batch have no answer, those that have none."""
    remote: list[str] = []
    """Files of a collected batch at the provider."""


class Entry:
    """One batch file. Held by one process at a time, which the system sees to: a killed one holds nothing."""

    def __init__(self, folder: Path, lock: BinaryIO) -> None:
        self.folder, self._lock = folder, lock
        self.input, self.output, self.errors = (folder / f"{name}.jsonl" for name in ("in", "out", "errors"))
        self.state: State | None = None
        self.has_failed = False
        """Whether lines of the output are no answers, so that their questions are asked again."""

    @property
    def name(self) -> str:
        return self.folder.name

    @property
    def known(self) -> State:
        """The state of an entry that was kept or claimed."""
        assert self.state is not None
        return self.state

    def keep(self, state: State) -> None:
        """Writes the state; it is on disk when this returns."""
        target = self.folder / "state.json"
        with open(f"{target}.new", "wb") as file:
            file.write(state.model_dump_json().encode())
            file.flush()
            os.fsync(file.fileno())
        os.replace(f"{target}.new", target)
        self.state = state

    def change(self, **changes: str | list[str]) -> None:
        """Writes the state with other values."""
        self.keep(self.known.model_copy(update=changes))

    def keep_output(self) -> Path:
        """Puts the output beside the batches, where no later run looks for answers; its new place."""
        target = private_folder(self.folder.parent.parent / FAILED) / f"{self.name}.jsonl"
        shutil.copyfile(self.output, target)
        return target

    def remove(self) -> None:
        shutil.rmtree(self.folder, ignore_errors=True)
        self.release()

    def release(self) -> None:
        self._lock.close()


class HeldElsewhere(Exception):
    """Another process waits for a batch file; the `custom_id` of its lines."""

    def __init__(self, ids: list[str]) -> None:
        self.ids = ids


class BatchFolder:
    """All batch files of a result store, those of other builds and recipes included."""

    def __init__(self, store: Path, way: Way, endpoint: str) -> None:
        self.folder, self._way, self.endpoint = store / "batches", way, endpoint
        self._places: dict[str, Path] = {}
        """`custom_id` -> folder, of what other runs have left behind or wait for."""
        self._known: set[str] = set()
        """Names of the folders that were looked into."""

    def create(self) -> Entry:
        """A new place for a batch file, held by this process."""
        with self._guard():
            folder = self.folder / secrets.token_hex(6)
            folder.mkdir()
            lock = taken(folder / _LOCK)
        self._known.add(folder.name)
        assert lock is not None  # nobody else knows the name
        return Entry(folder, lock)

    def claim(self, id_: str) -> Entry | None:
        """The file of another run that asks this already; it is this process's then.

        Raises HeldElsewhere while another build waits for it.
        """
        folder = self._places.get(id_)
        if folder is None:
            return None
        lock = taken(folder / _LOCK) if folder.is_dir() else None
        state = _state(folder)  # read under the lock
        if lock is None and state is not None:
            raise HeldElsewhere(state.ids)
        self._places = {other: place for other, place in self._places.items() if place != folder}
        if lock is None or state is None:
            return None
        if id_ not in state.ids:  # the other build has taken this answer, and left others
            self._places |= dict.fromkeys(state.ids, folder)
            lock.close()
            return None
        entry = Entry(folder, lock)
        entry.state = state
        return entry

    def leave(self, entry: Entry, ids: list[str]) -> None:
        """Leaves answers that nobody has asked for yet to be claimed later, by this run or another."""
        entry.keep(entry.known.model_copy(update={"ids": ids, "worst_usd": 0.0}))
        entry.release()
        self._places |= dict.fromkeys(ids, entry.folder)

    def look(self) -> None:
        """Learns of the files that came since the last look. What never left this machine is removed."""
        if not self.folder.is_dir():
            return
        with self._guard():
            for folder in sorted(path for path in self.folder.iterdir() if path.is_dir()):
                if folder.name in self._known:
                    continue
                state = _state(folder)
                if state is None:
                    _remove_unsent(folder)
                    continue
                self._known.add(folder.name)
                if (state.way, state.endpoint) == (self._way, self.endpoint) and not _is_forgotten(state):
                    self._places |= dict.fromkeys(state.ids, folder)

    @contextmanager
    def _guard(self) -> Iterator[None]:
        """Keeps others from taking a place that is just being made for one that was left behind."""
        private_folder(self.folder)
        with waited_for(self.folder / ".lock"):
            yield


def under_way(store: Path) -> int:
    """Requests of earlier runs that a provider works on, or has answered, whose answers nobody took."""
    states = [_state(path.parent) for path in (store / "batches").glob("*/state.json")]
    return sum(len(state.ids) for state in states if state and state.status != "written")


def _is_forgotten(state: State) -> bool:
    """Whether the provider knows nothing of a batch any more; answers that were fetched are no less good."""
    fetched = state.status == "collected"
    return state.way == "batch" and not fetched and state.created < time.time() - _FORGET_S


def _remove_unsent(folder: Path) -> None:
    """Removes a file that was being written when its run was killed.

    A folder with a state that cannot be read, or with answers, stays for a person to see: it is paid for.
    """
    names = {path.name for path in folder.iterdir()}
    if names <= {"lock", "in.jsonl", "state.json.new"} and (lock := taken(folder / _LOCK)):
        shutil.rmtree(folder, ignore_errors=True)
        lock.close()


def _state(folder: Path) -> State | None:
    try:
        return State.model_validate_json(read_regular(folder / "state.json"))
    except (OSError, ValidationError):
        return None  # killed before it was written: nothing of it was sent
