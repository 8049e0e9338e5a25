"""Checksums of stored results: a byte that a disk, a copy or a program changed is found before it is used.

The checksum is the last entry of a result's meta, so that older versions of datakit go on reading and writing
the table; what they wrote has none.
"""

from __future__ import annotations

import hashlib
import re
import zlib
from typing import NamedTuple

import orjson

from datakit.core.outcome import Done, Rejected

_SEAL = re.compile(rb'(,?)"checksum":"([0-9a-f]{16})"\}\Z')


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
        seal = comma + b'"checksum":"' + self._checksum().encode() + b'"}'
        return self._replace(meta=self.meta[:-1] + seal)

    def opened(self) -> tuple[StoredRow, bool]:
        """The row without its checksum, and whether it had one.

        Raises Damaged for a row that is not as it was written, as far as its checksum or its form can tell.
        """
        if isinstance(self.meta, str):  # as other programs write JSON
            return self._replace(meta=self.meta.encode()).opened()
        kinds = (bytes, str, int, bytes, bytes, int, int)
        if not all(isinstance(value, kind) for value, kind in zip(self, kinds, strict=True)):
            raise Damaged("a value of another type")
        match = _SEAL.search(self.meta[-40:])
        if match is None:
            self.outcome()
            return self, False
        bare = self._replace(meta=self.meta[: -len(match.group())] + b"}")
        if bare._checksum() != match.group(2).decode():
            raise Damaged("another checksum")
        return bare, True

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

    def _checksum(self) -> str:
        parts = (self.key, self.step.encode(errors="replace"), b"%d" % self.rejected, self.value, self.meta)
        state = hashlib.blake2b(digest_size=8)
        for part in parts:
            state.update(len(part).to_bytes(8, "big") + part)
        return state.hexdigest()


def digest_check(path: str, sha256: str) -> bytes:
    """The checksum of a file's remembered digest."""
    return hashlib.blake2b(f"{path}\0{sha256}".encode(errors="replace"), digest_size=8).digest()
