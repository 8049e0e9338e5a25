"""The archive of a bundle as it is written: the same contents give the same bytes."""

from __future__ import annotations

import hashlib
import io
import tarfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from datakit.core.errors import UserError
from datakit.core.regular_files import regular
from datakit.core.visible import has_controls
from datakit.handoff.doctor import SUMS

_TIME = 315_532_800
"""1980-01-01: the same build gives the same archive, and every tool can read the date."""
_MOST_UNPACKED, _HEADERS = 100, 1 << 20
"""Times that a bundle unpacks to at most what it packs to, and bytes besides: JSON packs tenfold."""
_MOST_SUMS = 1 << 28


@dataclass
class Writer:
    """A tar whose bytes depend on its contents alone."""

    path: Path
    top: str
    sums: dict[str, str] = field(default_factory=dict)
    first: dict[str, str] = field(default_factory=dict)
    """Digest -> the first file that has it: later ones are links to that, where `links` says so."""
    links: bool = False
    shown: dict[str, str] = field(default_factory=dict)
    """With `links`: a picture and how it is seen -> the file that has it."""
    pictures: int = 0
    resized: int = 0

    def __enter__(self) -> Writer:
        self._file = open(self.path, "wb")
        self._zipped = None
        stream: Any = self._file
        if self.path.name.removesuffix(".part").endswith(("gz", "tgz")):
            import gzip

            stream = self._zipped = gzip.GzipFile("", "wb", 6, self._file, mtime=0)
        self._tar = tarfile.open(fileobj=stream, mode="w|", format=tarfile.GNU_FORMAT)
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        try:
            if kind is None:
                self._tar.close()
                if self._zipped is not None:
                    self._zipped.close()
        finally:
            # Else its stream writes what it holds once more when it is collected, after a full disk.
            setattr(self._tar.fileobj, "closed", True)  # noqa: B010 (typeshed knows it as a plain file)
            self._file.close()

    def add(self, path: str, data: bytes) -> None:
        """One file; scripts may be executed."""
        self._put(path, hashlib.sha256(data).hexdigest(), data)

    def add_picture(self, path: str, mark: str, data: bytes | None) -> None:
        """One picture; without data the one of the same mark that stands here already."""
        if data is None:
            self._put(path, self.sums[self.shown[mark]], b"")
            return
        self.add(path, data)
        if self.links:
            self.shown.setdefault(mark, path)

    def add_sums(self, inside: str = "") -> None:
        """The checksums of all files so far, or of those in a folder of the archive (`NAME/`)."""
        own = {
            path.removeprefix(inside): digest for path, digest in self.sums.items() if path.startswith(inside)
        }
        lines = (f"{digest}  {path}\n" for path, digest in sorted(own.items()))
        self.add(f"{inside}{SUMS}", "".join(lines).encode())

    def _put(self, path: str, digest: str, data: bytes) -> None:
        _check_member(path)
        entry = tarfile.TarInfo(f"{self.top}/{path}")
        entry.mtime, entry.mode = _TIME, 0o755 if path.endswith(".sh") else 0o644
        first = self.first.setdefault(digest, path)
        if self.links and first != path and first.endswith(".sh") == path.endswith(".sh"):
            entry.type, entry.linkname = tarfile.LNKTYPE, f"{self.top}/{first}"
            self._tar.addfile(entry)
        else:
            entry.size = len(data)
            self._tar.addfile(entry, io.BytesIO(data))
        self.sums[path] = digest


def _check_member(path: str) -> None:
    """Raises UserError for a name that would be unpacked outside of the bundle's folder, or as another."""
    parts = path.split("/")
    if path.startswith("/") or "\\" in path or has_controls(path) or {"", ".", ".."} & set(parts):
        raise UserError(
            f"{path!r} cannot stand in an archive: it would be unpacked elsewhere", remedy="Build again."
        )


def is_bundle(archive: Path) -> bool:
    """Whether an archive holds a bundle and no file besides. Raises ValueError for what is no archive.

    The archive may be anybody's: nothing in it is unpacked, and it is read no further than bundles go.
    """
    names: list[str] = []
    seen: set[str] = set()
    lines: list[str] = []
    room = _MOST_UNPACKED * archive.stat().st_size + _HEADERS
    try:
        with open(archive, "rb", opener=regular) as file, tarfile.open(fileobj=file) as tar:
            for member in tar:
                room -= member.size
                plain = member.isfile() or (member.islnk() and member.linkname in seen)
                if room < 0 or not plain or member.name in names[:1]:
                    return False
                seen.add(member.name)
                names.append(member.name)
                if member.name.endswith(f"/{SUMS}") and member.size < _MOST_SUMS:  # the last one lists all
                    sums = tar.extractfile(member)
                    lines = sums.read().decode("utf-8").splitlines() if sums is not None else []
    except tarfile.TarError as error:
        raise ValueError(f"{archive} is no archive: {error}") from None
    top = names[0].partition("/")[0] if names else ""
    expected = [f"{top}/{SUMS}", *(f"{top}/{line.split('  ', 1)[-1]}" for line in lines)]
    return sorted(names) == sorted(expected)
