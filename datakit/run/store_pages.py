"""The records in the pages of a SQLite file, whatever state it is in: what can be read of a damaged store.

SQLite refuses a file whose header, schema or tree is damaged although nearly all of its pages are whole. Here
each page is looked at by itself, as the file format (sqlite.org/fileformat2.html, sections 1.6 and 2.1) lays
it out: leaves of tables and of indexes, with the pages that their longer records go on in. Pages of the
write-ahead log count as far as it was committed.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from datakit.core.regular_files import read_regular

_TABLE_LEAF, _INDEX_LEAF, _INDEX_INNER = 0x0D, 0x0A, 0x02
_SIZES = (4096, 1024, 512, 2048, 8192, 16384, 32768, 65536)
_FIXED = {0: 0, 1: 1, 2: 2, 3: 3, 4: 4, 5: 6, 6: 8, 7: 8, 8: 0, 9: 0}
_MOST_COLUMNS = 16
Value = int | float | bytes | None


class _Broken(Exception):
    """A cell that is no record."""


@dataclass(frozen=True)
class Pages:
    """The pages of a file by number, from 1; the last state of each."""

    data: bytes
    size: int
    logged: dict[int, bytes]
    """Pages that stand in the write-ahead log."""

    @classmethod
    def of(cls, path: Path) -> Pages:
        """The pages of a store and of the log beside it. The page size comes of the header where that is
        whole, else of the log's, else it is SQLite's own."""
        data = read_regular(path) if path.is_file() else b""
        log_path = path.with_name(path.name + "-wal")
        log = read_regular(log_path) if log_path.is_file() else b""
        size = struct.unpack(">H", data[16:18])[0] if data.startswith(b"SQLite format 3\0") else 0
        size = 65536 if size == 1 else size
        if size not in _SIZES and len(log) >= 32:
            size = struct.unpack(">I", log[8:12])[0]
        size = size if size in _SIZES else _SIZES[0]
        return cls(data, size, _committed(log, size))

    def page(self, number: int) -> bytes:
        """A page; a shorter one at the end of a file that was cut off."""
        if number in self.logged:
            return self.logged[number]
        return self.data[(number - 1) * self.size : number * self.size] if number > 0 else b""

    def records(self) -> Iterator[tuple[Value, ...]]:
        """The records of all leaves; texts are bytes. Whether a record is sound is for others to tell."""
        count = -(-len(self.data) // self.size)
        for number in range(1, max([count, *self.logged]) + 1):
            yield from self._leaf(self.page(number), 100 if number == 1 else 0)

    def _leaf(self, page: bytes, at: int) -> Iterator[tuple[Value, ...]]:
        kind = page[at] if len(page) > at + 8 else 0
        if kind not in (_TABLE_LEAF, _INDEX_LEAF, _INDEX_INNER):
            return
        (count,) = struct.unpack(">H", page[at + 3 : at + 5])
        first = at + (12 if kind == _INDEX_INNER else 8)
        for place in range(first, min(first + 2 * count, len(page) - 1), 2):
            (start,) = struct.unpack(">H", page[place : place + 2])
            try:
                yield self._record(page, start, kind)
            except (_Broken, struct.error, IndexError):
                continue

    def _record(self, page: bytes, at: int, kind: int) -> tuple[Value, ...]:
        at += 4 if kind == _INDEX_INNER else 0
        length, at = _varint(page, at)
        if kind == _TABLE_LEAF:
            _, at = _varint(page, at)
        most = self.size - 35 if kind == _TABLE_LEAF else (self.size - 12) * 64 // 255 - 23
        payload = page[at : at + length]
        if length > most:
            least = (self.size - 12) * 32 // 255 - 23
            local = least + (length - least) % (self.size - 4)
            local = local if local <= most else least
            payload = page[at : at + local] + self._overflow(
                page[at + local : at + local + 4], length - local
            )
        if len(payload) != length:
            raise _Broken
        return _values(payload)

    def _overflow(self, link: bytes, left: int) -> bytes:
        if left > len(self.data) + self.size * len(self.logged):
            raise _Broken
        parts: list[bytes] = []
        while left > 0:
            page = self.page(struct.unpack(">I", link)[0])
            part = page[4 : 4 + left]
            if not part:
                raise _Broken
            parts.append(part)
            link, left = page[:4], left - len(part)
        return b"".join(parts)


def _committed(log: bytes, size: int) -> dict[int, bytes]:
    """The pages of a write-ahead log up to its last commit, the newest of each."""
    pages: dict[int, bytes] = {}
    waiting: dict[int, bytes] = {}
    for at in range(32, len(log) - size - 23, size + 24):
        number, commit = struct.unpack(">II", log[at : at + 8])
        if log[at + 8 : at + 16] != log[16:24]:
            break  # frames of an earlier round
        waiting[number] = log[at + 24 : at + 24 + size]
        if commit:
            pages |= waiting
            waiting = {}
    return pages


def _values(payload: bytes) -> tuple[Value, ...]:
    end, at = _varint(payload, 0)
    kinds = []
    while at < end:
        kind, at = _varint(payload, at)
        kinds.append(kind)
    if at != end or len(kinds) > _MOST_COLUMNS:
        raise _Broken
    values: list[Value] = []
    for kind in kinds:
        length = _FIXED[kind] if kind in _FIXED else (kind - 12) // 2
        if length < 0 or at + length > len(payload):
            raise _Broken
        values.append(_value(kind, payload[at : at + length]))
        at += length
    return tuple(values)


def _value(kind: int, data: bytes) -> Value:
    if kind == 0:
        return None
    if kind in (8, 9):
        return kind - 8
    if kind == 7:
        return float(struct.unpack(">d", data)[0])
    return int.from_bytes(data, "big", signed=True) if kind < 7 else data


def _varint(data: bytes, at: int) -> tuple[int, int]:
    """A number of one to nine bytes, and where it ends."""
    number = 0
    for step in range(8):
        byte = data[at + step]
        number = number << 7 | byte & 0x7F
        if byte < 0x80:
            return number, at + step + 1
    return number << 8 | data[at + 8], at + 9
