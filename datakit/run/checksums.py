"""Checksums of stored results: a byte that a disk, a copy or a program changed is found before it is used.

The checksum is the last entry of a result's meta, so that older versions of datakit go on reading and writing
the table; what they wrote has none.
"""

from __future__ import annotations

import hashlib
import struct
import zlib
from typing import NamedTuple

import orjson

from datakit.core.outcome import Done, Rejected

_HEAD, _TAIL = b'"checksum":"', b'"}'
_SEAL_BYTES = len(_HEAD) + 16 + len(_TAIL)
_length = struct.Struct(">Q").pack


class Damaged(ValueError):
    """A stored result is not what was stored."""


class StoredRow(NamedTuple):
    """A row of the table `results`, as it lies there."""

    key: bytes
    step: str
    rejected: int
    value: bytes
    meta: bytes
    created: int
    used: int

    def sealed(self) -> StoredRow:
        """The row with its checksum; `meta` has none yet."""
        if isinstance(self.meta, str):
            return self._replace(meta=self.meta.encode()).sealed()
        comma = b"" if self.meta == b"{}" else b","
        seal = comma + _HEAD + self._checksum(self.meta) + _TAIL
        return self._replace(meta=self.meta[:-1] + seal)

    def opened(self) -> tuple[StoredRow, bool]:
        """The row without its checksum, and whether it had one.

        Raises Damaged for a row that is not as it was written, as far as its checksum or its form can tell.
        """
        if isinstance(self.meta, str):  # as other programs write JSON
            return self._replace(meta=self.meta.encode()).opened()
        if tuple(map(type, self)) != _KINDS:
            raise Damaged("a value of another type")
        meta = self.meta
        if meta[-_SEAL_BYTES : -_SEAL_BYTES + len(_HEAD)] != _HEAD or not meta.endswith(_TAIL):
            self.outcome()
            return self, False
        has_comma = meta[-_SEAL_BYTES - 1 : -_SEAL_BYTES] == b","
        bare = meta[: -_SEAL_BYTES - has_comma] + b"}"
        if self._checksum(bare) != meta[-_SEAL_BYTES + len(_HEAD) : -len(_TAIL)]:
            raise Damaged("another checksum")
        key, step, rejected, value, _, created, used = self
        return StoredRow(key, step, rejected, value, bare, created, used), True

    def outcome(self) -> Done | Rejected:
        """The result of a row without checksum. Raises Damaged for what is no result."""
        try:
            text = zlib.decompress(self.value[1:]) if self.value[:1] == b"z" else self.value
            body, meta = orjson.loads(text), orjson.loads(self.meta)
            if not isinstance(meta, dict):
                raise Damaged("meta is no object")
            if not self.rejected:
                return Done(body, meta)
            reason, detail = body
            return Rejected(reason, detail, meta)
        except (zlib.error, ValueError, TypeError) as error:
            raise Damaged(str(error)) from None

    def _checksum(self, meta: bytes) -> bytes:
        """Of the row with this meta. Written for speed: a build takes it of every record, more than once."""
        key, step, rejected, value, *_ = self
        name, flag = step.encode(errors="replace"), b"%d" % rejected
        parts = (
            _length(len(key)), key, _length(len(name)), name, _length(len(flag)), flag,
            _length(len(value)), value, _length(len(meta)), meta,
        )  # fmt: skip
        return hashlib.blake2b(b"".join(parts), digest_size=8).hexdigest().encode()


_KINDS = (bytes, str, int, bytes, bytes, int, int)


def digest_check(path: str, sha256: str) -> bytes:
    """The checksum of a file's remembered digest."""
    return hashlib.blake2b(f"{path}\0{sha256}".encode(errors="replace"), digest_size=8).digest()
