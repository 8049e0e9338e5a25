"""The place of a build: what a new build may take the place of, and what a person put there, which is kept.

A build is a folder that is written beside its place and changes names with the last one when it is whole. It
replaces nothing but an empty folder or a build that datakit signed, and of that only the files that datakit
wrote: every other file, and every file that somebody edited, is moved to `<name>.kept/<UTC time>/`.
"""

from __future__ import annotations

import fcntl
import os
import re
import shutil
import stat
import time
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path, PurePosixPath
from typing import Any

import orjson

from datakit.artifacts.names import CARD, IMAGES, INPUTS, MANIFEST, REJECTS, REPORT
from datakit.core import croissant
from datakit.core.errors import UserError
from datakit.core.exchange import exchange
from datakit.core.files import FileDigests
from datakit.core.private_files import private_folder
from datakit.core.regular_files import read_regular, read_regular_text
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
_UNLISTED = (MANIFEST, MARK, CARD, f".{CARD}.part")
"""What is datakit's in a build although its manifest does not say so."""
_LOOKS, _LOOK_EVERY_S = 500, 0.02
"""How long a build may be away while another takes its place."""


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
        self.files = FileDigests()
        """What is known of pictures that builds link to; it stays so when a build is removed."""
        self.kept: Path | None = None
        """Where lies what somebody had put into the builds that were replaced here."""

    @property
    def kept_files(self) -> dict[Path, Path]:
        """This place -> `kept`; empty when there was nothing to keep."""
        return {} if self.kept is None else {self.folder: self.kept}

    def beside(self, what: str) -> Path:
        """The hidden neighbour for `what`: work, failed, old, gone or lock."""
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
        """Ends what a run began that was killed: the last build is put back where it was taken away, or is
        removed where the new one has its place, and nothing hidden is left."""
        old, work = self.beside("old"), self.beside("work")
        if (work / MARK).is_file():
            for folder in list(work.iterdir()):
                if _is_replaced(folder):  # the names were exchanged, and the last build did not get its own
                    self.clear("old")
                    os.rename(folder, old)
        if not os.path.lexists(self.folder) and _is_replaced(old):
            os.rename(old, self.folder)
        if _is_replaced(self.folder):
            (self.folder / MARK).unlink()
        self._retire()
        self.clear("work")

    def put(self, new: Path) -> None:
        """Puts the whole build `new` here, and what somebody had put into the last one to `kept`.

        A reader sees the old build or the new one, whole; where names cannot be exchanged there is a moment
        with neither, for which `await_build` has its reader wait. A build of whose sources one is gone could
        not be made again, and is kept as a whole; pictures whose originals may be gone are kept too.
        """
        old = self.beside("old")
        self.clear("old")
        if not os.path.lexists(self.folder) or not os.listdir(self.folder):
            os.rename(new, self.folder)
            return
        (self.folder / MARK).touch()
        if exchange(new, self.folder):
            os.rename(new, old)
        else:
            os.rename(self.folder, old)
            os.rename(new, self.folder)
        self._retire()

    def _retire(self) -> None:
        """Keeps what is a person's in the build that was replaced, and removes the rest."""
        old, gone = self.beside("old"), self.beside("gone")
        self.clear("gone")
        if not _is_replaced(old):
            return
        self.kept = _keep(old, self.folder, self.kept)
        if old.exists():
            self.kept = _move(old, _last_copies(old, self.folder), self.folder, self.kept)
            os.rename(old, gone)  # says that nothing in it is a person's, while it loses its manifest too
            self.clear("gone")

    def tidy(self) -> None:
        """Removes what a run that has put its build here leaves, and keeps what is known of its pictures."""
        self.clear("work")
        self.clear("failed")
        self.files.settle()

    def standing(self, version: str) -> dict[str, str]:
        """Stem -> name of the pictures of the build here, where this `version` of datakit made it."""
        signed = read_signed(self.folder)
        if signed is None or signed.get("datakit") != version:
            return {}
        pictures = (PurePosixPath(path) for path in signed["artifacts"] if path.startswith(f"{IMAGES}/"))
        return {path.stem: path.name for path in pictures}

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
        if not folder.is_symlink() and folder.is_dir() and not os.listdir(folder):
            folder.rmdir()  # nobody's, or killed between making it and marking it
            return
        own = not folder.is_symlink() and (folder / MARK).is_file()
        if what == "old":
            own = own and not strangers(folder)
        elif what == "failed":  # people read there what went wrong, and may put their notes beside it
            account = {path.name for path in folder.iterdir()} <= {MARK, REJECTS, REPORT}
            own = own and (account or (read_signed(folder) is not None and not strangers(folder)))
        if own:
            _remove(folder, self.files)
        else:
            set_aside(folder)


def await_build(folder: Path) -> None:
    """Returns when a build stands at `folder`, or none is on its way there.

    Where names cannot be exchanged, a build is away for a moment while another takes its place, and for good
    when that run is killed then: the last build is put back.
    """
    place = BuildPlace(folder)
    for _ in range(_LOOKS):
        if os.path.lexists(place.folder) or not _is_replaced(place.beside("old")):
            return
        with suppress(OSError), open(place.beside("lock"), "r+b") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            place.mend()
            return
        time.sleep(_LOOK_EVERY_S)


def _is_replaced(folder: Path) -> bool:
    """Whether a build is marked as one that another takes the place of."""
    return (folder / MARK).is_file() and read_signed(folder) is not None


def _remove(folder: Path, files: FileDigests) -> None:
    """Removes a hidden folder, its mark last, by which the next run knows what a killed one leaves."""
    with os.scandir(folder) as entries:
        for entry in list(entries):
            if entry.is_dir(follow_symlinks=False):
                if entry.name == IMAGES:
                    _remove_links(entry.path, files)
                shutil.rmtree(entry.path)
            elif entry.name != MARK:
                os.unlink(entry.path)
    (folder / MARK).unlink()
    folder.rmdir()


def _remove_links(folder: str, files: FileDigests) -> None:
    """Removes the pictures of a build."""
    with os.scandir(folder) as entries:
        for entry in entries:
            if not entry.is_dir(follow_symlinks=False):
                files.unlink(entry.path)


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
        return sorted({*os.listdir(folder)} - {MARK})
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
            elif path in _UNLISTED or _untouched(entry, path, own.get(path)):
                ours = True
            else:
                strangers.append(path)
    # A folder in which nothing is ours, empty ones included, goes as a whole.
    yield from strangers if ours or not below else [below]


def _is_page(path: Path) -> bool:
    """Whether a file of a card is as datakit wrote it; JSON has an identifier in place of a seal."""
    if path.name != croissant.FILE:
        return is_untouched(path)
    try:
        return croissant.is_own(read_regular_text(path))
    except (OSError, UnicodeDecodeError):
        return False


def _untouched(entry: os.DirEntry[str], path: str, stamp: Any) -> bool:
    if not isinstance(stamp, dict):  # perhaps the card, which builds with --limit and --out have inside
        return path.startswith("card/") and _is_page(Path(entry.path))
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
        (target / MARK).unlink(missing_ok=True)
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

    with suppress(OSError, pl.exceptions.PolarsError):  # absent or damaged: nobody knows the originals
        if all(map(os.path.exists, pl.read_parquet(old / INPUTS)["path"].to_list())):
            return []
    return [f"{IMAGES}/{name}" for name in sorted(alone)]


def _is_orphan(folder: Path) -> bool:
    """Whether a file that a build was made of is not there any more: it could not be made again."""
    signed = read_signed(folder)
    sources = signed.get("sources") if signed else None
    return isinstance(sources, dict) and not all(map(os.path.exists, sources))
