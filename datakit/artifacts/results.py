"""results.tar: what a run brings home from another machine, and whose run it was. A bundle carries this."""

from __future__ import annotations

import hashlib
import io
import os
import tarfile
from collections.abc import Iterator
from datetime import datetime, timezone
from fnmatch import fnmatchcase
from pathlib import Path
from typing import IO, ClassVar

from pydantic import BaseModel, ConfigDict, Field

import datakit
from datakit.artifacts.document import Document
from datakit.core.credentials import masked
from datakit.core.errors import UserError
from datakit.core.json_bytes import json_bytes
from datakit.core.regular_files import regular
from datakit.core.replacing import check_replaceable

RESULTS = "results.tar"
"""The customary name of the archive, in the folder of a run."""
DOCUMENT = "results.json"
"""The first file of the archive."""
LOG_END_BYTES = 65_536
"""Of a log only the end is brought home: the trainer's may have gigabytes."""
MOST_LOGS = 40
MOST_FILES = 1_000
MOST_BYTES = 4 << 30
"""Of all files together; answers to a million records have about a quarter of it."""
_NAME_BYTES = 100
"""Longest name in the head of a file of the archive (POSIX ustar)."""
_ANSWERS = ("predictions*.jsonl", "generated_predictions.jsonl")
_ACCOUNTS = ("evaluation*.json", "status.json", "stages/*.json")
_TRAINED = ("trained/trainer_log.jsonl", "trained/train_results.json", "trained/all_results.json")
_LOGS = "logs/*.log"


class BroughtFile(BaseModel):
    """One file of the archive, as it was when it was packed."""

    model_config = ConfigDict(frozen=True)

    bytes: int = Field(ge=0)
    sha256: str


class Results(Document):
    """results.json: which build was trained and asked, in which run, and every file that came of it."""

    FORMAT: ClassVar[int] = 1

    name: str
    """The build's name in its report."""
    content: str
    """Content hash of the build's data: by it the build at home is found."""
    run: str
    """The run's id, which is the name of its folder."""
    weights: str = ""
    """Digest of the weights that were asked; "" where nobody could read them."""
    base: str = ""
    """The base model that was trained on there, a folder or a name at a hub; "" of older versions."""
    base_digest: str = ""
    """Digest of its folder; "" where it is no folder there."""
    date: str = ""
    """When it was packed: UTC, to the second."""
    datakit: str = ""
    """The version that packed it."""
    files: dict[str, BroughtFile] = Field(default_factory=dict)
    """Name in the archive -> what it holds."""

    @property
    def answers(self) -> list[str]:
        """The files of answers, which are what can be scored."""
        return [name for name in self.files if any(fnmatchcase(name, pattern) for pattern in _ANSWERS)]


def is_carried(name: str) -> bool:
    """Whether the archive may hold a file of this name: what a run has, and nothing that leads elsewhere."""
    folder, _, last = name.rpartition("/")
    return (
        0 < len(name.encode("utf-8", "replace")) <= _NAME_BYTES
        and name.isprintable()
        and not last.startswith(".")
        and any(
            folder == pattern.rpartition("/")[0] and fnmatchcase(last, pattern.rpartition("/")[2])
            for pattern in (*_ANSWERS, *_ACCOUNTS, *_TRAINED, _LOGS)
        )
    )


def write_results(
    out: Path,
    folder: Path,
    *,
    name: str,
    content: str,
    run: str = "",
    weights: str = "",
    base: tuple[str, str] = ("", ""),
) -> Results:
    """Packs what a run has so far into the archive `out`, which appears whole or not at all.

    `folder` is the run's; `name` and `content` are those of its build (`PackedData.packed` has them), `run`
    is the folder's name if not given, `weights` the digest of the served ones, `base` the base model and its
    digest. Answers, evaluations, status and the accounts of stages go whole, of logs the last 64 KiB without
    this machine's keys. It may be called after a stage failed: then it holds what there is. Raises UserError
    where something else than results stands at `out`, or a file cannot be read.
    """
    check_replaceable(out, "an archive of results", is_results)
    contents = dict(_contents(folder))
    documents = Results(
        name=name,
        content=content,
        run=run or folder.name,
        weights=weights,
        base=base[0],
        base_digest=base[1],
        date=datetime.now(timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ"),  # noqa: UP017 (a bundle runs on Python 3.10)
        datakit=datakit.__version__,
        files={entry: _digest(source) for entry, source in contents.items()},
    )
    total = sum(file.bytes for file in documents.files.values())
    if total > MOST_BYTES:
        raise UserError(
            f"results of {folder}: {total / 1e9:.1f} GB, and at most {MOST_BYTES / 1e9:.1f} GB are packed",
            remedy="Bring the files of answers home by themselves: datakit evaluate BUILD --predictions FILE",
        )
    out.parent.mkdir(parents=True, exist_ok=True)
    draft = out.with_name(f".{out.name}.part")
    try:
        _write_archive(draft, folder, documents, contents)
        os.replace(draft, out)
    except BaseException:
        draft.unlink(missing_ok=True)
        raise
    return documents


def _write_archive(draft: Path, folder: Path, documents: Results, contents: dict[str, Path | bytes]) -> None:
    with open(draft, "wb") as file, tarfile.open(fileobj=file, mode="w", format=tarfile.USTAR_FORMAT) as tar:
        data = json_bytes(documents.model_dump()) + b"\n"
        tar.addfile(_head(DOCUMENT, len(data)), io.BytesIO(data))
        for entry, source in contents.items():
            with _opened(source) as stream:
                tar.addfile(_head(entry, documents.files[entry].bytes), stream)
            if _digest(source) != documents.files[entry]:
                raise UserError(
                    f"{folder / entry} was written to while it was packed",
                    remedy="Pack the results again when the stages have ended.",
                )


def is_results(path: Path) -> bool:
    """Whether a file begins as an archive of results."""
    with open(path, "rb", opener=regular) as file:
        return file.read(len(DOCUMENT) + 1) == DOCUMENT.encode() + b"\0"


def _contents(folder: Path) -> Iterator[tuple[str, Path | bytes]]:
    """Name in the archive -> the file, or of a log its end."""
    names = [*_ANSWERS, *_ACCOUNTS, *_TRAINED]
    for path in (path for pattern in names for path in sorted(folder.glob(pattern))):
        if path.is_file() and ".kept-" not in path.name:
            yield _entry_name(path.relative_to(folder).as_posix()), path
    logs = sorted(folder.glob(_LOGS), key=lambda path: path.stat().st_mtime, reverse=True)
    for path in logs[:MOST_LOGS]:
        yield _entry_name(path.relative_to(folder).as_posix()), _end_of(path)


def _entry_name(name: str) -> str:
    """The name itself, or where an archive cannot have it one with its digest in place of it."""
    if is_carried(name):
        return name
    path = Path(name)
    kind = path.name.partition("_")[0].partition("-")[0]
    short = hashlib.sha256(name.encode("utf-8", "surrogateescape")).hexdigest()[:16]
    return (path.parent / f"{kind}_{short}{path.suffix}").as_posix()


def _end_of(log: Path) -> bytes:
    with _opened(log) as file:
        size = file.seek(0, os.SEEK_END)
        file.seek(max(0, size - LOG_END_BYTES))
        data = file.read(LOG_END_BYTES)
    if size > LOG_END_BYTES:
        data = data[data.find(b"\n") + 1 :]  # the first line is a part of one, and may be a part of a key
    return masked(data.decode("utf-8", "replace")).encode()


def _opened(source: Path | bytes) -> IO[bytes]:
    if isinstance(source, bytes):
        return io.BytesIO(source)
    try:
        return open(source, "rb", opener=regular)
    except OSError as error:
        raise UserError(f"cannot read {source}: {error.strerror}") from None


def _digest(source: Path | bytes) -> BroughtFile:
    state, size = hashlib.sha256(), 0
    with _opened(source) as file:
        while chunk := file.read(1 << 20):
            state.update(chunk)
            size += len(chunk)
    return BroughtFile(bytes=size, sha256=state.hexdigest())


def _head(name: str, size: int) -> tarfile.TarInfo:
    head = tarfile.TarInfo(name)
    head.size = size
    head.mode = 0o600
    return head
