"""Content hashes of files, remembered by path and stamp; safe paths out of data; full disks."""

from __future__ import annotations

import errno
import hashlib
import os
from pathlib import Path
from typing import Protocol

from datakit.core.copied_files import at_hand
from datakit.core.errors import UserError
from datakit.core.regular_files import regular

Stamp = tuple[int, int, int, int]
"""Size in bytes, time of change in ns, inode, and the time in ns at which any of that changed. No program
sets the last, so an edit shows that restores size and time; so do hard links made and removed, and then the
content decides."""


def stamp_of(status: os.stat_result) -> Stamp:
    """What of a file's status differs after any edit."""
    return status.st_size, status.st_mtime_ns, status.st_ino, status.st_ctime_ns


_READINGS = 20
"""How often a file is read that others write meanwhile. Hard links made of it cost a reading as well."""


class DigestMemory(Protocol):
    """Where digests survive the process (the result store)."""

    def known_digest(self, path: str, stamp: Stamp) -> str | None: ...

    def keep_digest(self, path: str, stamp: Stamp, digest: str) -> None: ...


class FileDigests:
    """sha256 of files. A file is read again only when its stamp differs."""

    def __init__(self, memory: DigestMemory | None = None, *, again: bool = False) -> None:
        """`again`: every file is read once more, whatever the memory holds."""
        self._memory = memory
        self._again = again
        self._seen: dict[tuple[int, Stamp], str] = {}
        """By device and stamp, so that a hard link is not read again."""

    def sha256(self, path: str | Path) -> str:
        """Hex digest of the bytes; "missing:<path>" for a file that cannot be read."""
        path = str(path)
        try:
            status = os.stat(at_hand(path))
            stamp = stamp_of(status)
            digest = self._seen.get((status.st_dev, stamp))
            if digest is not None:
                return digest
            if self._memory and not self._again:
                digest = self._memory.known_digest(path, stamp)
            if digest is None:
                stamp, digest = _read_digest(path)
                if self._memory:
                    self._memory.keep_digest(path, stamp, digest)
        except (OSError, ValueError):  # ValueError: a zero byte in the name
            return f"missing:{path}"
        self._seen[status.st_dev, stamp] = digest
        return digest

    def __getstate__(self) -> dict[str, object]:
        return {"_memory": None, "_again": False, "_seen": {}}  # worker processes never touch the store


def _read_digest(path: str) -> tuple[Stamp, str]:
    """A file's digest, and the stamp of the very bytes that it is of: one that is being written is read again
    until it keeps still, so that no digest is remembered under another content's stamp."""
    for _ in range(_READINGS):
        with open(path, "rb", opener=regular) as file:
            before = stamp_of(os.fstat(file.fileno()))
            digest = hashlib.file_digest(file, "sha256").hexdigest()
            if stamp_of(os.fstat(file.fileno())) == before:
                return before, digest
    raise UserError(
        f"{path} is being written and does not keep still",
        remedy="Run the same command again when it is finished.",
    )


def says_full(error: Exception) -> bool:
    """Whether a disk is full, which polars and SQLite tell only in words."""
    full = getattr(error, "errno", None) == errno.ENOSPC
    return full or any(words in str(error) for words in ("No space left", "disk is full"))


def inside(root: Path, path: str) -> Path:
    """`path` (relative to `root`, or absolute) as an absolute path, which must lie under `root`.

    Raises UserError for a path that leaves the root, by `..`, by an absolute path or by a link.
    """
    full = Path(os.path.normpath(root / path))
    if not full.is_relative_to(os.path.normpath(root)):
        raise UserError(
            f"path {path!r} leaves its root {root}",
            remedy="Paths in data must stay under the source's folder; set `root:` to a folder above them.",
        )
    if full.is_symlink() or full.parent.resolve() != full.parent:
        target = full.resolve()
        if not target.is_relative_to(root.resolve()):
            raise UserError(
                f"path {path!r} is a link that leaves its root {root}",
                remedy="Set `root:` to a folder that holds the link's target too.",
            )
    return full
