"""The rule of the trainer's tables: a column that begins with nulls takes no values later."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from datakit.checking.data_set import DataSet
from datakit.checking.training import Training

_WRITTEN = 1000
"""Rows that the converter's table takes its types from."""


class NullRule:
    """Watches the columns that are null in some rows and not in others.

    The trainer writes each data set to a table, and all of them, one behind the other, to a second one. Each
    worker process writes a part of its own; the first rows of a part settle its types.
    """

    def __init__(self, training: Training) -> None:
        self._workers = max(1, int(training.number("preprocessing_num_workers", 1)))
        self._batch = max(1, int(training.number("preprocessing_batch_size", _WRITTEN)))
        mixed = str(training.keys.get("mix_strategy", "concat")) != "concat"
        self._idle = training.on("streaming")
        self._alone = mixed or training.number("val_size", 0) > 0  # rows change their order before the second
        self._sets: list[_Set] = []

    def start(self, data_set: DataSet) -> None:
        """The rows that follow are those of this data set."""
        self._sets.append(_Set(data_set))

    def add(self, row: dict[str, Any], *, kept: bool, where: str) -> None:
        """Takes a row in."""
        self._sets[-1].add(row, kept=kept, where=where)

    def broken(self) -> Iterator[tuple[str, str]]:
        """What breaks, and where the first value stands that does not fit."""
        if self._idle:
            return
        images_named = False
        for data_set in self._sets:
            for name, flags in data_set.filled.items():
                at = self._first_misfit(flags, _WRITTEN)
                if at is not None and not data_set.shuffled:
                    images_named = images_named or name == "images"
                    yield _words(name, at), data_set.place(at)
        if images_named or self._alone or any(data_set.shuffled for data_set in self._sets):
            return
        flags = bytearray()
        owners: list[tuple[_Set, int]] = []
        for data_set in self._sets:
            owners.append((data_set, len(flags)))
            flags += data_set.merged()
        at = self._first_misfit(flags, self._batch)
        if at is not None:
            owner, begin = next(pair for pair in reversed(owners) if pair[1] <= at)
            yield _words("images", at), owner.place(at - begin)

    def _first_misfit(self, flags: bytearray, batch: int) -> int | None:
        """The first row with a value in a part whose first batch of rows has none. 2 marks a dropped row."""
        workers = min(self._workers, len(flags)) or 1
        size, more = divmod(len(flags), workers)
        begin = 0
        for number in range(workers):
            end = begin + size + (number < more)
            at = begin
            while at < end and set(flags[at : at + batch]) <= {2}:
                at += batch  # a batch of dropped rows settles nothing
            settled = min(at + batch, end)
            if at < end and 1 not in flags[at:settled] and (misfit := flags.find(1, settled, end)) >= 0:
                return misfit
            begin = end
        return None


class _Set:
    def __init__(self, data_set: DataSet) -> None:
        columns = data_set.columns
        self.shuffled = data_set.num_samples is not None
        self._columns = {key: name for key in ("images", "system", "tools") if (name := columns.get(key))}
        self.filled = {key: bytearray() for key in self._columns}
        self._dropped: list[int] = []
        self._rows = 0
        self._places: dict[int, str] = {}

    def add(self, row: dict[str, Any], *, kept: bool, where: str) -> None:
        for key, name in self._columns.items():
            value = row.get(name)
            full = value is not None and not (key == "images" and value == [])
            flags = self.filled[key]
            if full and (not flags or not flags[-1]):
                self._places[self._rows] = where  # only the first value behind nulls is ever named
            flags.append(full)
        if not kept:
            self._dropped.append(self._rows)
        self._rows += 1

    def merged(self) -> bytearray:
        """Whether each row has pictures, for the second table; dropped rows do not reach it."""
        flags = bytearray(self.filled.get("images") or bytes(self._rows))
        for number in self._dropped:
            flags[number] = 2
        return flags

    def place(self, number: int) -> str:
        """Where a row stands, as far as it was noted."""
        return self._places.get(number, "")


def _words(name: str, at: int) -> str:
    return f"`{name}` is null before row {at + 1:,} and has a value there"
