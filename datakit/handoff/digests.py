"""Checksums of weights and files, remembered with the state of each file: 16 GB are read once, not each time.

A file is read again when its size, its times or its inode have changed, or when it was written so shortly
before it was read that a later write could bear the same time.
"""

from __future__ import annotations

import hashlib
import json
import os
import time
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from datakit.core.json_bytes import json_bytes
from datakit.core.regular_files import read_regular, regular
from datakit.handoff.stages import GONE

CACHE = ".digests.json"
"""Its name in the folder of a run."""
_RACY_NS = 2_000_000_000
"""The coarsest clock of a file system in use (FAT and some network disks) has steps of 2 s."""
_LARGE_BYTES = 1 << 30
_AT_ONCE = 4
"""Files read at once: hashing lets other threads run, and one core does about 1.5 GB/s."""
_MODEL_SUFFIXES = frozenset({".safetensors", ".bin", ".json", ".jinja", ".model", ".txt"})
_NOT_MODEL = frozenset(
    {"trainer_state.json", "train_results.json", "eval_results.json", "all_results.json", "training_args.bin"}
)
"""Files beside weights that say how they came about: another time in them is no other model."""
_Stamp = tuple[int, int, int, int]


class Digests:
    """Checksums (SHA-256) of files and folders, remembered in `folder`."""

    def __init__(self, folder: Path, say: Callable[[str], None] = lambda line: None) -> None:
        """`say` is told where gigabytes are read."""
        self._place = folder / CACHE
        self._say = say
        self._known: dict[str, list[Any]] | None = None
        self._folders: dict[str, tuple[str, str]] = {}
        """Folder -> the state in which this process read it, and its checksum."""

    def file(self, path: Path) -> str:
        """Checksum of a file; GONE where there is none."""
        return self.files([path])[0]

    def files(self, paths: Iterable[Path]) -> list[str]:
        """Checksum of each file, GONE for those that are not there."""
        absolute = [Path(os.path.abspath(path)) for path in paths]
        unread = [path for path in dict.fromkeys(absolute) if self._remembered(path) is None]
        large = sum(size for path in unread if (size := _size(path)))
        if large >= _LARGE_BYTES:
            self._say(f"Reading {large / 1e9:.1f} GB once, for their checksum: {unread[0].parent}")
        with ThreadPoolExecutor(_AT_ONCE) as pool:
            fresh = dict(zip(unread, pool.map(self._read, unread), strict=True))
        if any(digest != GONE for digest in fresh.values()):
            self._save()
        return [fresh.get(path) or self._remembered(path) or GONE for path in absolute]

    def model(self, folder: Path) -> str:
        """Checksum of a model's or an adapter's folder: weights, configuration, tokenizer, chat template.

        Neither its logs nor its checkpoints count. GONE where none of it is there.
        """
        try:
            names = sorted(
                entry.name for entry in os.scandir(folder) if entry.is_file() and _is_of_model(entry.name)
            )
        except OSError:
            names = []
        if not names:
            return GONE
        return of(list(zip(names, self.files(folder / name for name in names), strict=True)))

    def folder(self, folder: Path) -> str:
        """Checksum of all files of a folder, such as a million pictures, remembered as one; GONE for none."""
        stamps = sorted((entry.name, _stamp(Path(entry.path))) for entry in _scanned(folder))
        if not stamps:
            return GONE
        key, state = f"{os.path.abspath(folder)}{os.sep}", of(stamps)
        read_by_this = self._folders.get(key)
        if read_by_this is not None and read_by_this[0] == state:
            return read_by_this[1]
        entry = self._entries().get(key)
        if entry is not None and entry[0] == state:
            return str(entry[4])
        began = time.time_ns()
        digest = of([[name, self._read(folder / name, remember=False)] for name, _ in stamps])
        newest = max(max(stamp[1], stamp[2]) for _, stamp in stamps if stamp is not None)
        if newest + _RACY_NS < began:
            self._entries()[key] = [state, 0, 0, 0, digest]
            self._save()
        self._folders[key] = state, digest
        return digest

    def _remembered(self, path: Path) -> str | None:
        entry = self._entries().get(str(path))
        stamp = _stamp(path)
        if entry is None or stamp is None or entry[:4] != list(stamp):
            return None
        return str(entry[4])

    def _read(self, path: Path, *, remember: bool = True) -> str:
        before = _stamp(path)
        if before is None:
            return GONE
        began = time.time_ns()
        state = hashlib.sha256()
        try:
            with open(path, "rb", opener=regular) as file:
                while chunk := file.read(1 << 20):
                    state.update(chunk)
        except FileNotFoundError:
            return GONE
        digest = state.hexdigest()
        # _stamp: size, mtime, ctime, inode
        if remember and before == _stamp(path) and max(before[1], before[2]) + _RACY_NS < began:
            self._entries()[str(path)] = [*before, digest]
        return digest

    def _entries(self) -> dict[str, list[Any]]:
        if self._known is None:
            try:
                document = json.loads(read_regular(self._place))
                self._known = {path: entry for path, entry in document["files"].items() if len(entry) == 5}
            except (OSError, ValueError, LookupError, AttributeError, TypeError):
                self._known = {}  # it only saves time
        return self._known

    def _save(self) -> None:
        entries = {path: entry for path, entry in self._entries().items() if os.path.exists(path)}
        self._place.parent.mkdir(parents=True, exist_ok=True)
        draft = self._place.with_name(f"{CACHE}.{os.getpid()}.part")
        draft.write_bytes(json_bytes({"version": 1, "files": entries}))
        os.replace(draft, self._place)


def of(value: Any) -> str:
    """Checksum of a JSON value, whatever the order of its keys."""
    return hashlib.sha256(json_bytes(_ordered(value), default=str)).hexdigest()


def _ordered(value: Any) -> Any:
    if isinstance(value, dict):
        return {str(key): _ordered(value[key]) for key in sorted(value, key=str)}
    return [_ordered(entry) for entry in value] if isinstance(value, list | tuple) else value


def _is_of_model(name: str) -> bool:
    return Path(name).suffix in _MODEL_SUFFIXES and name not in _NOT_MODEL and not name.startswith(".")


def _scanned(folder: Path) -> list[os.DirEntry[str]]:
    try:
        return [entry for entry in os.scandir(folder) if entry.is_file()]
    except OSError:
        return []


def _stamp(path: Path) -> _Stamp | None:
    try:
        status = os.stat(path)
    except OSError:
        return None
    return status.st_size, status.st_mtime_ns, status.st_ctime_ns, status.st_ino


def _size(path: Path) -> int:
    stamp = _stamp(path)
    return stamp[0] if stamp else 0
