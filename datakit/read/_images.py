"""Picture paths as they stand in data -> absolute paths that lie under their root."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from datakit.core.errors import UserError
from datakit.core.files import inside

_ADDRESSES = ("http:", "https:", "data:", "s3:", "oss:", "gs:")


class ImageFault(Exception):
    """A picture that cannot be named: the reason of rejection and the sentence for it."""

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(detail)
        self.reason, self.detail = reason, detail


class ImagePaths:
    """Absolute paths of pictures under one root.

    The rule is that of core.files.inside. It is applied once per folder, and to each file only where the
    folder holds links: 30 µs a path would be most of the time of reading (2026-11-24).
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        self._folders: dict[str, tuple[str, frozenset[str]]] = {}

    def of(self, value: Any) -> list[str]:
        """The pictures of one cell: null, a path, or a list of paths. Raises ImageFault."""
        if type(value) is str:
            return [self.one(value)] if value else []
        if value is None:
            return []
        if isinstance(value, list | tuple):
            return [self.one(item) for item in value]
        raise ImageFault("image_not_a_path", f"a picture is {_shown(value)}, not a path")

    def one(self, path: Any) -> str:
        """The absolute path of one picture. Raises ImageFault."""
        if type(path) is not str or not path or "\0" in path:
            raise ImageFault("image_not_a_path", f"a picture is {_shown(path)}, not a path")
        folder, _, name = path.rpartition("/")
        if folder == "" and path[0] == "/":
            folder = "/"
        entry = self._folders.get(folder)
        if entry is None:
            entry = self._look(folder, path)
        prefix, links = entry
        if name in links or name in ("", ".", ".."):
            return self._single(path)
        return prefix + name

    def _look(self, folder: str, path: str) -> tuple[str, frozenset[str]]:
        """Absolute prefix of a folder, and the names in it that are links. Raises ImageFault."""
        if path.startswith(_ADDRESSES):
            raise ImageFault("image_not_a_path", f"{path[:80]} is not a file: download the pictures first")
        try:
            full = inside(self.root, folder or ".")
            if full.resolve() != full and not full.resolve().is_relative_to(self.root.resolve()):
                raise UserError(f"folder {folder!r} is a link that leaves its root {self.root}")
        except (UserError, ValueError) as error:
            raise ImageFault("image_outside", _outside(path, self.root, error)) from None
        try:
            with os.scandir(full) as entries:
                links = frozenset(entry.name for entry in entries if entry.is_symlink())
        except OSError:
            links = frozenset()  # a picture that is not there is found by guard.image, which says more
        place = (os.path.join(str(full), ""), links)
        self._folders[folder] = place
        return place

    def _single(self, path: str) -> str:
        try:
            return str(inside(self.root, path))
        except (UserError, ValueError, RuntimeError) as error:
            raise ImageFault("image_outside", _outside(path, self.root, error)) from None


def _outside(path: str, root: Path, error: Exception) -> str:
    if isinstance(error, UserError):
        return f"picture {path!r} leaves its root {root}; set `image_root` to a folder that holds it"
    return f"picture {path!r} is no path: {error}"


def _shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:60]}…"
