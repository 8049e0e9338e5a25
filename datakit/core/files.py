"""Content hashes of files, remembered by path and stamp; safe paths out of data; full disks."""

from __future__ import annotations

import errno
import hashlib
import os
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
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


_AT_ONCE = 500
"""Files that the memory is asked for at once."""


class DigestMemory(Protocol):
    """Where digests survive the process (the result store)."""

    def known_digests(self, stamps: Mapping[str, Stamp]) -> dict[str, str]:
        """Path -> digest of the files that have not changed since theirs was kept."""
        ...

    def keep_digests(self, digests: Sequence[tuple[str, Stamp, str]]) -> None:
        """Remembers the digests of files, by path and stamp."""
        ...


class FileDigests:
    """sha256 of files. A file is read again only when its stamp differs."""

    def __init__(self, memory: DigestMemory | None = None, *, again: bool = False) -> None:
        """`again`: every file is read once more, whatever the memory holds."""
        self._memory = memory
        self._again = again
        self._seen: dict[tuple[int, Stamp], str] = {}
        """By device and stamp, so that a hard link is not read again."""
        self._linked: dict[tuple[int, int], str] = {}
        """Device and inode -> path of the files that links were made of here."""
        self._told: dict[str, str] = {}
        """What `sha256_of` told of files that were there."""
        self._moved: set[str] = set()
        """Paths whose stamp links have changed since the memory has their digest."""

    def sha256(self, path: str | Path) -> str:
        """Hex digest of the bytes; "missing:<path>" for a file that cannot be read."""
        path = str(path)
        known = self._known(path)
        return known if isinstance(known, str) else self._looked_up({path: known})[path]

    def sha256_of(self, paths: Iterable[str]) -> dict[str, str]:
        """Path -> the same of many files, in their order; digests are looked up and kept together."""
        digests: dict[str, str] = {}
        unknown: dict[str, tuple[int, Stamp]] = {}
        order = dict.fromkeys(paths)
        for path in order:
            known = self._known(path)
            if isinstance(known, str):
                digests[path] = known
            else:
                unknown[path] = known
                if len(unknown) == _AT_ONCE:
                    digests |= self._looked_up(unknown)
                    unknown = {}
        digests |= self._looked_up(unknown)
        told = {path: digests[path] for path in order}
        self._told |= told
        return told

    def as_read(self) -> FileDigests:
        """The same, but files of `sha256_of` are not looked at again: what they were then is told."""
        return _AsRead(self)

    def link(self, source: str, target: Path) -> None:
        """Makes a hard link. What the file holds stays known, although links change its stamp: it is looked
        at right before and after. Raises OSError."""
        before = _identity(source)
        os.link(source, target)
        if before in self._seen:
            self._linked[before[0], before[1][2]] = source
            self._carry(before, source)

    def unlink(self, path: str) -> None:
        """Removes a file. What its other names hold stays known where `link` was given one of them."""
        status = os.lstat(path)
        os.unlink(path)
        source = self._linked.get((status.st_dev, status.st_ino))
        if source is not None:
            self._carry((status.st_dev, stamp_of(status)), source)

    def settle(self) -> None:
        """Has the memory know what links were made of and lost names, under the stamps that they have now."""
        rows = []
        for path in sorted(self._moved):
            with suppress(OSError):
                seen = _identity(path)
                if (digest := self._seen.get(seen)) is not None:
                    rows.append((path, seen[1], digest))
        if rows and self._memory:
            self._memory.keep_digests(rows)
        self._moved.clear()

    def _carry(self, before: tuple[int, Stamp], path: str) -> None:
        digest = self._seen.get(before)
        if digest is None:
            return
        with suppress(OSError):
            device, stamp = _identity(path)
            if (device, stamp[:3]) == (before[0], before[1][:3]):
                self._seen[device, stamp] = digest
                self._moved.add(path)

    def _known(self, path: str) -> str | tuple[int, Stamp]:
        """A file's digest; else its identity, by which the memory may have it."""
        try:
            identity = _identity(at_hand(path))
        except (OSError, ValueError):  # ValueError: a zero byte in the name
            return f"missing:{path}"
        return self._seen.get(identity, identity)

    def _looked_up(self, files: Mapping[str, tuple[int, Stamp]]) -> dict[str, str]:
        """The digests of files that this process has not seen, out of the memory or read."""
        digests: dict[str, str] = {}
        if self._memory and not self._again:
            digests = self._memory.known_digests({path: stamp for path, (_, stamp) in files.items()})
        read: list[tuple[str, Stamp, str]] = []
        try:
            for path, (device, stamp) in files.items():
                if path not in digests:
                    try:
                        stamp, digests[path] = _read_digest(path)
                    except (OSError, ValueError):
                        digests[path] = f"missing:{path}"
                        continue
                    read.append((path, stamp, digests[path]))
                self._seen[device, stamp] = digests[path]
        finally:
            if read and self._memory:
                self._memory.keep_digests(read)
        return digests

    def __getstate__(self) -> dict[str, object]:
        # Worker processes never touch the store.
        return {"_memory": None, "_again": False, "_seen": {}, "_linked": {}, "_moved": set(), "_told": {}}


class _AsRead(FileDigests):
    """Digests of files as they were when many were read at once."""

    def __init__(self, files: FileDigests) -> None:
        super().__init__()
        self._files = files

    def sha256(self, path: str | Path) -> str:
        told = self._files._told.get(str(path))
        return told if told is not None else self._files.sha256(path)


def _identity(path: str | os.PathLike[str]) -> tuple[int, Stamp]:
    status = os.stat(path)
    return status.st_dev, stamp_of(status)


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
