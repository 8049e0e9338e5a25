"""The manifest: what a build was made of and what it holds. Written last; a build without one is no build."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import BaseModel, Field

from datakit.artifacts.document import Document
from datakit.core.files import stamp_of
from datakit.core.regular_files import regular


class FileStamp(BaseModel):
    """What a file looked like."""

    bytes: int
    mtime_ns: int
    sha256: str = ""
    inode: int = 0
    ctime_ns: int = 0
    """0, as `inode` is, in builds of datakit 0.1."""

    def unchanged(self, now: FileStamp) -> bool:
        """Whether a file that looks like `now` was not touched since, as far as this stamp can say."""
        if (self.bytes, self.mtime_ns) != (now.bytes, now.mtime_ns):
            return False
        return not self.ctime_ns or (self.inode, self.ctime_ns) == (now.inode, now.ctime_ns)


class Manifest(Document):
    """A build's inputs and outputs."""

    made_by: str = ""
    """The signature that lets a later build take this one's place; datakit 0.1.0 wrote none."""
    datakit: str
    name: str
    settings: str
    """Digest of everything but the data: recipe, templates, labels, versions, models."""
    steps: list[dict[str, Any]] = Field(default_factory=list)
    """Per annotator: number, name, fingerprint and the settings behind it, for `datakit plan`."""
    sources: dict[str, FileStamp] = Field(default_factory=dict)
    images: str = ""
    """Digest over the path and content of every picture; that of datakit 0.1 is over path, size and time of
    change."""
    artifacts: dict[str, FileStamp] = Field(default_factory=dict)
    """Path in the build -> stamp; sha256 for data and configuration, pictures are named by theirs."""
    content: str = ""
    """sha256 over the data files: two builds with one content hash train the same."""
    records: dict[str, int] = Field(default_factory=dict)
    templates: dict[str, str] = Field(default_factory=dict)
    """Template -> digest over it and all that it includes."""
    labels: str = ""
    """sha256 of the label file."""


def stamp(path: Path, *, hashed: bool, sha256: str = "") -> FileStamp:
    """What a file looks like, and its sha256 when asked: the one given, or that of the file's content."""
    try:
        status = path.stat()
    except OSError:
        return FileStamp(bytes=-1, mtime_ns=-1)
    if hashed and not sha256 and path.is_file():
        with open(path, "rb", opener=regular) as file:
            sha256 = hashlib.file_digest(file, "sha256").hexdigest()
    return stamp_from(status, sha256)


def stamp_from(status: os.stat_result, sha256: str = "") -> FileStamp:
    """The same of a file that was looked at."""
    size, mtime_ns, inode, ctime_ns = stamp_of(status)
    return FileStamp(bytes=size, mtime_ns=mtime_ns, sha256=sha256, inode=inode, ctime_ns=ctime_ns)


def content_hash(stamps: Mapping[str, FileStamp]) -> str:
    """sha256 over the names and hashes of the data files."""
    state = hashlib.sha256()
    for path in sorted(stamps):
        state.update(path.encode() + b"\0" + bytes.fromhex(stamps[path].sha256))
    return state.hexdigest()
