"""results.tar read back: every file as it was packed, or nothing, whoever the archive comes from.

A file of the archive is written under a name that stands in a short list, and nothing but plain files is
taken: no links, devices, folders, sparse or compressed files, and no more bytes than results may have. The
heads are read one by one (`TarInfo.frombuf`), so that none can make the reader hold what it claims.
"""

from __future__ import annotations

import hashlib
import json
import os
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from pydantic import ValidationError

from datakit.artifacts.format_version import refuse_newer
from datakit.artifacts.results import DOCUMENT, MOST_BYTES, MOST_FILES, Results, is_carried
from datakit.artifacts.run_ids import safe
from datakit.core.errors import UserError
from datakit.core.parameters import describe_fault
from datakit.core.regular_files import regular

_BLOCK = tarfile.BLOCKSIZE
_MOST_DOCUMENT = 4 << 20
_KINDS = {
    tarfile.LNKTYPE: "a link",
    tarfile.SYMTYPE: "a link",
    tarfile.CHRTYPE: "a device",
    tarfile.BLKTYPE: "a device",
    tarfile.FIFOTYPE: "a pipe",
    tarfile.DIRTYPE: "a folder",
    tarfile.GNUTYPE_SPARSE: "a sparse file",
}
_REMEDY = "Bring the archive as the run wrote it (results.tar), unchanged."
_PACKERS = {b"\x1f\x8b": "gunzip", b"BZ": "bunzip2", b"\xfd7": "unxz", b"(\xb5": "unzstd", b"PK": "unzip"}


def read_document(path: Path) -> Results:
    """What an archive says of itself. Raises UserError for a file that is no archive of results."""
    with _opened(path) as file:
        return _Archive(path, file).document


def unpack(path: Path, folder: Path) -> Results:
    """What an archive says of itself, its files as they were packed in `folder`, which is empty before.

    Raises UserError for an archive that is cut off, was changed, or holds anything that results do not hold;
    what was unpacked until then lies in `folder`.
    """
    with _opened(path) as file:
        archive = _Archive(path, file)
        missing = dict(archive.document.files)
        for name, size in archive.entries():
            if name not in archive.document.files:
                raise archive.fault(f"holds {name!r}, which its {DOCUMENT} does not name")
            if name not in missing:
                raise archive.fault(f"holds {name!r} twice")
            expected = missing.pop(name)
            target = folder / name
            target.parent.mkdir(parents=True, exist_ok=True)
            if size != expected.bytes or archive.copy(target, size) != expected.sha256:
                raise archive.fault(f"holds {name!r} otherwise than it was packed: it was damaged or edited")
    if missing:
        raise archive.fault(f"is cut off: {next(iter(missing))!r} is missing")
    (folder / DOCUMENT).write_bytes(archive.data)
    return archive.document


def _opened(path: Path) -> IO[bytes]:
    try:
        return open(path, "rb", opener=regular)
    except OSError as error:
        raise UserError(f"cannot read {path}: {error.strerror}", remedy=_REMEDY) from None


@dataclass
class _Archive:
    """An archive that is read from its beginning to its end, once."""

    path: Path
    file: IO[bytes]

    def __post_init__(self) -> None:
        begin = self.file.read(2)
        if begin in _PACKERS:
            raise self.fault("is compressed", remedy=f"Unpack it with {_PACKERS[begin]} first.")
        self.file.seek(0)
        head = self._head()
        if head is None or head.name != DOCUMENT or not head.isreg():
            raise self.fault(f"is no archive of results: {DOCUMENT} does not stand first in it")
        if head.size > _MOST_DOCUMENT:
            raise self.fault(f"has a {DOCUMENT} of {head.size:,} bytes")
        self.data = b"".join(self._content(head.size))
        self.document = self._read_document()
        self._check_document()

    def entries(self) -> Iterator[tuple[str, int]]:
        """Name and size of the files after the document; each must be copied before the next is asked for."""
        while (head := self._head()) is not None:
            if head.type not in (tarfile.REGTYPE, tarfile.AREGTYPE):
                raise self.fault(f"holds {head.name!r}, {_KINDS.get(head.type, 'no plain file')}")
            yield head.name, head.size

    def copy(self, target: Path, size: int) -> str:
        """Writes the file that is next in the archive; its sha256."""
        state = hashlib.sha256()
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL
        with open(os.open(target, flags, 0o600), "wb") as file:
            for chunk in self._content(size):
                state.update(chunk)
                file.write(chunk)
        return state.hexdigest()

    def fault(self, what: str, remedy: str = _REMEDY) -> UserError:
        return UserError(f"{self.path} {what}", remedy=remedy)

    def _head(self) -> tarfile.TarInfo | None:
        """The next head; None at the end of the archive."""
        block = self.file.read(_BLOCK)
        if not block.strip(b"\0"):
            return None
        try:
            head = tarfile.TarInfo.frombuf(block, "utf-8", "surrogateescape")
        except tarfile.TarError as error:
            raise self.fault(f"is no archive that can be read: {error}") from None
        return head

    def _content(self, size: int) -> Iterator[bytes]:
        left = size
        while left:
            chunk = self.file.read(min(left, 1 << 20))
            if not chunk:
                raise self.fault("is cut off in the middle of a file")
            left -= len(chunk)
            yield chunk
        self.file.read(-size % _BLOCK)

    def _read_document(self) -> Results:
        try:
            document: Any = json.loads(self.data)
        except (ValueError, RecursionError):
            raise self.fault(f"is no archive of results: its {DOCUMENT} is no JSON") from None
        refuse_newer(document, Results.FORMAT, str(self.path), "Upgrade datakit: pip install -U datakit")
        try:
            return Results.model_validate(document)
        except ValidationError as error:
            what, _ = describe_fault(error.errors(include_url=False)[0], Results)
            raise self.fault(f"is no archive of results: {DOCUMENT}: {what}") from None

    def _check_document(self) -> None:
        """Raises UserError where it names what results do not hold, or more than they may have."""
        document = self.document
        strange = next((name for name in document.files if not is_carried(name)), None)
        if strange is not None:
            raise self.fault(f"holds {strange!r}, which is no file of a run")
        if not document.run or safe(document.run) != document.run:
            raise self.fault(f"names a run {document.run!r}, which is no id of a run")
        total = sum(file.bytes for file in document.files.values())
        if len(document.files) > MOST_FILES or total > MOST_BYTES:
            raise self.fault(
                f"holds {len(document.files):,} files of {total / 1e9:.1f} GB; results have at most "
                f"{MOST_FILES:,} of {MOST_BYTES / 1e9:.1f} GB"
            )
