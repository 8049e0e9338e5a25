"""The place of a build: what a new build may take the place of, and what a person put there, which is kept.

A build is a folder that is written beside its place and renamed when it is whole. It replaces nothing but
an empty folder or a build that datakit signed, and of that only the files that datakit wrote: every other
file, and every file that somebody edited, is moved to `<name>.kept/<UTC time>/` first.
"""

from __future__ import annotations

import os
import re
import shutil
import stat
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import orjson

from datakit.artifacts.names import IMAGES, INPUTS, MANIFEST, REJECTS, REPORT
from datakit.core.errors import UserError
from datakit.core.files import FileDigests
from datakit.core.private_files import private_folder
from datakit.core.regular_files import read_regular
from datakit.core.replacing import free_name, is_untouched, set_aside, stamp_now

SIGNATURE = "datakit build"
"""Value of `made_by` in the manifest of a build."""
_UNSIGNED = {
    *("datakit", "name", "settings", "steps", "sources", "images"),
    *("artifacts", "content", "records", "templates", "labels"),
}
"""What a manifest of datakit 0.1.0 holds, which wrote no signature: just these."""
MARK = ".datakit-own"
"""Stands in the hidden folders that datakit makes beside a build, and lets it remove them."""


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
        lie in the folder that is replaced.
        """
        if not self.folder.exists():
            return
        if not self.folder.is_dir():
            raise self._taken("is a file")
        entries = sorted(os.listdir(self.folder))
        if not entries:
            return
        signed = read_signed(self.folder)
        if signed is None:
            unsigned = "manifest.json is not datakit's" if MANIFEST in entries else "it has no manifest.json"
            names = f"{', '.join(entries[:5])}{' …' if len(entries) > 5 else ''}"
            raise self._taken(f"is no build: {unsigned}; it holds {names}")
        for what, path in needed.items():
            if Path(os.path.realpath(path)).is_relative_to(os.path.realpath(self.folder)):
                raise self._taken(f"holds {what}, {path}")

    def _taken(self, what: str) -> UserError:
        return UserError(
            f"{self.folder} {what}, and a build would take its place",
            remedy="Name a folder that does not exist, or a build, with --out. Or move this one away.",
        )

    def mend(self) -> None:
        """Puts the last build back where a run was killed between taking it away and placing the new one."""
        old = self.beside("old")
        if not os.path.lexists(self.folder) and (old / MARK).is_file() and read_signed(old) is not None:
            (old / MARK).unlink()
            os.rename(old, self.folder)

    def put(self, new: Path) -> Path | None:
        """Puts the whole build `new` here; where lies now what somebody had put into the last one.

        A reader sees the old build or the new one, whole. A build of whose sources one is gone could not be
        made again, and is kept as a whole; pictures whose originals may be gone are kept too.
        """
        kept = None
        old = self.beside("old")
        self.clear("old")
        if self.folder.exists():
            kept = _keep(self.folder, self.folder)
            if self.folder.exists():
                (self.folder / MARK).touch()
                os.rename(self.folder, old)
        os.rename(new, self.folder)
        if old.exists():
            kept = _keep(old, self.folder, kept)  # what was put there meanwhile
            kept = _move(old, _last_copies(old, self.folder), self.folder, kept)
            shutil.rmtree(old)
        return kept

    def fail(self, new: Path) -> Path:
        """Lays a finished build that may not take the place beside it; the folder where it lies then."""
        self.clear("failed")
        (new / MARK).touch()
        folder = self.beside("failed")
        os.rename(new, folder)
        folder.chmod(0o700)
        return folder

    def make(self, what: str) -> Path:
        """The neighbour `work` or `failed`, empty."""
        self.clear(what)
        folder = self.beside(what)
        private_folder(folder)
        (folder / MARK).touch()
        return folder

    def clear(self, what: str) -> None:
        """Removes a hidden neighbour; what datakit did not make, or not so, is set aside."""
        folder = self.beside(what)
        if not os.path.lexists(folder):
            return
        own = not folder.is_symlink() and (folder / MARK).is_file()
        if what == "old":
            own = own and not strangers(folder)
        elif what == "failed":  # people read there what went wrong, and may put their notes beside it
            account = {path.name for path in folder.iterdir()} <= {MARK, REJECTS, REPORT}
            own = own and (account or (read_signed(folder) is not None and not strangers(folder)))
        if own:
            shutil.rmtree(folder)
        else:
            set_aside(folder)


def read_signed(folder: Path) -> dict[str, Any] | None:
    """The manifest of a build folder; None where datakit signed none there."""
    try:
        manifest = orjson.loads(read_regular(folder / MANIFEST))
    except (OSError, orjson.JSONDecodeError):
        return None
    if not isinstance(manifest, dict) or not isinstance(manifest.get("artifacts"), dict):
        return None
    if not {"report.json", "records.parquet"} <= manifest["artifacts"].keys():
        return None
    unsigned = (
        manifest.keys() == _UNSIGNED and re.fullmatch(r"[0-9a-f]{64}", str(manifest["content"])) is not None
    )
    return manifest if manifest.get("made_by") == SIGNATURE or unsigned else None


def strangers(folder: Path) -> list[str]:
    """What in a build is not as datakit wrote it: paths relative to it, a folder for all that is in it.

    Linked pictures count as datakit's: what they link to stands elsewhere and stays.
    """
    signed = read_signed(folder)
    if signed is None:
        return sorted(os.listdir(folder))
    return list(_strangers(folder, "", signed["artifacts"]))


def _strangers(folder: Path, below: str, own: Mapping[str, Any]) -> Iterator[str]:
    strangers: list[str] = []
    ours = False
    with os.scandir(folder / below) as entries:
        for entry in sorted(entries, key=lambda entry: entry.name):
            path = f"{below}/{entry.name}" if below else entry.name
            if entry.is_dir(follow_symlinks=False):
                inner = list(_strangers(folder, path, own))
                whole = inner == [path]
                ours |= not whole
                strangers += inner
            elif path in (MANIFEST, MARK) or _untouched(entry, path, own.get(path)):
                ours = True
            else:
                strangers.append(path)
    # A folder in which nothing is ours, empty ones included, goes as a whole.
    yield from strangers if ours or not below else [below]


def _untouched(entry: os.DirEntry[str], path: str, stamp: Any) -> bool:
    if not isinstance(stamp, dict):  # perhaps the card, which builds with --limit and --out have inside
        return path.startswith("card/") and is_untouched(Path(entry.path))
    if entry.is_symlink():
        return True
    status = entry.stat()
    if not stat.S_ISREG(status.st_mode):
        return False
    if path.startswith(f"{IMAGES}/") and status.st_nlink > 1:
        return True
    sha256 = stamp.get("sha256")
    # Pictures have no sha256 in their stamps, and backups and links change their ctime.
    status_fits = not sha256 or stamp.get("ctime_ns", 0) in (0, status.st_ctime_ns)
    if status_fits and (status.st_size, status.st_mtime_ns) == (stamp.get("bytes"), stamp.get("mtime_ns")):
        return True
    same_size = status.st_size == stamp.get("bytes")
    return same_size and bool(sha256) and FileDigests().sha256(entry.path) == sha256


def _keep(folder: Path, place: Path, kept: Path | None = None) -> Path | None:
    """Moves a person's files out of the build in `folder`; where they lie (`kept`, if given) or None."""
    if _is_orphan(folder):
        target = kept or free_name(place.parent / f"{place.name}.kept" / stamp_now())
        target.parent.mkdir(parents=True, exist_ok=True)
        os.rename(folder, target)
        return target
    return _move(folder, strangers(folder), place, kept)


def _move(folder: Path, paths: list[str], place: Path, kept: Path | None) -> Path | None:
    """Moves parts of the build in `folder` to `<place>.kept/<time>/` (`kept`, if given), each at its path."""
    if not paths:
        return kept
    target = kept or free_name(place.parent / f"{place.name}.kept" / stamp_now())
    for path in paths:
        to = free_name(target / path)
        to.parent.mkdir(parents=True, exist_ok=True)
        os.rename(folder / path, to)
    return target


def _last_copies(old: Path, new: Path) -> list[str]:
    """Pictures of a replaced build that may exist nowhere else: its successor has them not, nobody links to
    them, and an original that the build was made of is gone."""
    images = old / IMAGES
    if not images.is_dir():
        return []
    alone = [
        entry.name
        for entry in os.scandir(images)
        if entry.is_file(follow_symlinks=False)
        and entry.stat().st_nlink == 1
        and not (new / IMAGES / entry.name).exists()
    ]
    if not alone:
        return []
    import polars as pl

    has_inputs = (old / INPUTS).is_file()
    originals = pl.read_parquet(old / INPUTS)["path"].to_list() if has_inputs else []
    if has_inputs and all(map(os.path.exists, originals)):
        return []
    return [f"{IMAGES}/{name}" for name in sorted(alone)]


def _is_orphan(folder: Path) -> bool:
    """Whether a file that a build was made of is not there any more: it could not be made again."""
    signed = read_signed(folder)
    sources = signed.get("sources") if signed else None
    return isinstance(sources, dict) and not all(map(os.path.exists, sources))
