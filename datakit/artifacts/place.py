"""The place of a build: what a new build may take the place of, and what a person put there, which is kept.

A build is a folder that is written beside its place and renamed when it is whole. It replaces nothing but
an empty folder or a build that datakit signed, and of that only the files that datakit wrote: every other
file, and every file that somebody edited, is moved to `<name>.kept/<UTC time>/` first.
"""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import orjson

from datakit.artifacts.names import MANIFEST
from datakit.core.errors import UserError
from datakit.core.replacing import free_name, set_aside, stamp_now

SIGNATURE = "datakit build"
"""Value of `made_by` in the manifest of a build."""
_UNSIGNED = {
    *("datakit", "name", "settings", "steps", "sources", "images"),
    *("artifacts", "content", "records", "templates", "labels"),
}
"""What a manifest of datakit 0.1.0 holds, which wrote no signature: just these."""
_WORK = re.compile(r"\d+\..+|rejects\.jsonl|out")
"""What stands in the work folder of a build."""
_FAILED = re.compile(r"rejects\.jsonl|report\.json")


class BuildPlace:
    """The folder that a build gets, and the hidden ones beside it that are used while it is made."""

    def __init__(self, folder: Path) -> None:
        """`folder` may be relative and may go through `..` and links: the place is what it leads to.

        Raises UserError for a link that leads nowhere but to itself.
        """
        try:
            plain = ".." not in folder.parts and not folder.is_symlink()
            self.folder = folder.absolute() if plain else folder.resolve()
        except (OSError, RuntimeError) as error:
            raise UserError(f"{folder} leads nowhere: {error}", remedy="Name another with --out.") from None

    def beside(self, what: str) -> Path:
        """The hidden neighbour for `what`: work, failed, old or lock."""
        return self.folder.parent / f".{self.folder.name}.{what}"

    def check(self, needed: Mapping[str, Path]) -> None:
        """Raises UserError where a build may not stand: it would take the place of something else.

        `needed` are files and folders that the build or a later one needs (what each is -> path): none may
        lie in the folder that is replaced, unless the build there holds it as a file of its own.
        """
        if not self.folder.exists():
            return
        if not self.folder.is_dir():
            raise self._taken("is a file")
        there = sorted(os.listdir(self.folder))
        if not there:
            return
        signed = read_signed(self.folder)
        if signed is None:
            unsigned = "manifest.json is not datakit's" if MANIFEST in there else "it has no manifest.json"
            names = f"{', '.join(there[:5])}{' …' if len(there) > 5 else ''}"
            raise self._taken(f"is no build: {unsigned}; it holds {names}")
        for what, path in needed.items():
            own = _below(path, self.folder)
            if own is not None and own not in signed["artifacts"]:
                raise self._taken(f"holds {what}, {path}")

    def _taken(self, what: str) -> UserError:
        return UserError(
            f"{self.folder} {what}, and a build would take its place",
            remedy="Name a folder that does not exist, or a build, with --out. Or move this one away.",
        )

    def mend(self) -> None:
        """Puts the last build back where a run was killed between taking it away and placing the new one."""
        old = self.beside("old")
        if not self.folder.exists() and read_signed(old) is not None:
            os.rename(old, self.folder)

    def put(self, new: Path) -> Path | None:
        """Puts the whole build `new` here; where files that somebody had put into the last one lie now.

        A reader sees the old build or the new one, whole.
        """
        kept = self._keep_strangers()
        old = self.beside("old")
        _clear_build(old)
        if self.folder.exists():
            os.rename(self.folder, old)
        os.rename(new, self.folder)
        if old.exists():
            shutil.rmtree(old)
        return kept

    def clear(self, what: str) -> None:
        """Removes the neighbour `work` or `failed`; one with other things in it is set aside."""
        folder = self.beside(what)
        if not os.path.lexists(folder):
            return
        own = {"work": _WORK, "failed": _FAILED}[what]
        real = folder.is_dir() and not folder.is_symlink()
        if real and all(own.fullmatch(name) for name in os.listdir(folder)):
            shutil.rmtree(folder)
        else:
            set_aside(folder)

    def _keep_strangers(self) -> Path | None:
        if not self.folder.is_dir():
            return None
        return _move(self.folder, strangers(self.folder))


def read_signed(folder: Path) -> dict[str, Any] | None:
    """The manifest of a build folder; None where datakit signed none there."""
    try:
        found = orjson.loads((folder / MANIFEST).read_bytes())
    except (OSError, orjson.JSONDecodeError):
        return None
    if not isinstance(found, dict) or not isinstance(found.get("artifacts"), dict):
        return None
    if not {"report.json", "records.parquet"} <= found["artifacts"].keys():
        return None
    unsigned = found.keys() == _UNSIGNED and re.fullmatch(r"[0-9a-f]{64}", str(found["content"])) is not None
    return found if found.get("made_by") == SIGNATURE or unsigned else None


def strangers(folder: Path) -> list[str]:
    """What in a build is not as datakit wrote it: paths relative to it, a folder for all that is in it.

    Linked pictures count as datakit's: what they link to stands elsewhere and stays.
    """
    signed = read_signed(folder)
    if signed is None:
        return sorted(os.listdir(folder))
    name = re.escape(str(signed.get("name")))
    # The card that a look (--limit, --out) leaves in its build: it is drawn anew with every build.
    drawn = re.compile(rf"manifest\.json|card/{name}\.(md|html)|card/{name}/[a-z-]+\.svg")
    return list(_strangers(folder, "", signed["artifacts"], drawn))


def _strangers(folder: Path, below: str, own: Mapping[str, Any], drawn: re.Pattern[str]) -> Iterator[str]:
    found: list[str] = []
    ours = False
    with os.scandir(folder / below) as entries:
        for entry in sorted(entries, key=lambda entry: entry.name):
            path = f"{below}/{entry.name}" if below else entry.name
            if entry.is_dir(follow_symlinks=False):
                inner = list(_strangers(folder, path, own, drawn))
                whole = inner == [path]
                ours |= not whole
                found += inner
            elif drawn.fullmatch(path) or _untouched(entry, own.get(path)):
                ours = True
            else:
                found.append(path)
    # A folder in which nothing is ours, empty ones included, goes as a whole.
    yield from found if ours or not below else [below]


def _untouched(entry: os.DirEntry[str], stamp: Any) -> bool:
    if not isinstance(stamp, dict):
        return False
    if entry.is_symlink():
        return True
    status = entry.stat()
    same = (status.st_size, status.st_mtime_ns) == (stamp.get("bytes"), stamp.get("mtime_ns"))
    if same or status.st_nlink > 1:
        return True
    return status.st_size == stamp.get("bytes") and _same_content(entry.path, stamp.get("sha256"))


def _same_content(path: str, sha256: Any) -> bool:
    from datakit.core.files import FileDigests

    return bool(sha256) and FileDigests().sha256(path) == sha256


def _move(folder: Path, paths: Iterable[str]) -> Path | None:
    """Moves parts of a folder to `<name>.kept/<time>/`, each at its path; that folder, None for no parts."""
    target: Path | None = None
    for path in paths:
        target = target or free_name(folder.parent / f"{folder.name}.kept" / stamp_now())
        place = target / path
        place.parent.mkdir(parents=True, exist_ok=True)
        os.rename(folder / path, place)
    return target


def _clear_build(folder: Path) -> None:
    """Removes a build that was taken away before; what is no untouched build is set aside."""
    if not os.path.lexists(folder):
        return
    if folder.is_symlink() or not folder.is_dir() or read_signed(folder) is None or strangers(folder):
        set_aside(folder)
    else:
        shutil.rmtree(folder)


def _below(path: Path, folder: Path) -> str | None:
    """`path` relative to `folder`, links resolved; None where it lies elsewhere."""
    real, root = Path(os.path.realpath(path)), Path(os.path.realpath(folder))
    return real.relative_to(root).as_posix() if real.is_relative_to(root) else None
