"""Picture paths as they stand in data -> absolute paths that lie under their root."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any

from datakit.core.errors import UserError
from datakit.core.files import inside

_ADDRESSES = ("http:", "https:", "data:", "s3:", "oss:", "gs:")
_LONG_PATH, _MOST_PATH = 64, 4096
"""Characters from which a path is looked at twice, and from which no system takes it."""
_BASE64 = re.compile(r"[A-Za-z0-9+/_\s-]+={0,2}")
_BASE64_HEADS = ("/9j/", "iVBORw0KGgo", "R0lGOD", "UklGR", "Qk", "SUkq", "TU0AK", "AAAA")
"""How JPEG, PNG, GIF, WebP, BMP, TIFF and AVIF begin in base64."""


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
        if len(path) > _LONG_PATH or path.startswith("data:"):
            _check_no_base64(path)
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


def _check_no_base64(path: str) -> None:
    """Raises ImageFault for a picture that stands in the data itself; its bytes are never printed."""
    head, comma, data = path.partition(",") if path[:5].lower() == "data:" else ("", "", path)
    if comma:
        kind = f"a data URI ({head[5:45]})"
    elif _BASE64.fullmatch(data[:4096].rstrip()) and (
        len(data) > _MOST_PATH or data.startswith(_BASE64_HEADS)
    ):
        kind = "raw base64"
    else:
        return
    raise ImageFault(
        "image_not_a_path",
        f"a picture is {kind} of {len(data):,} characters, not a path: write pictures to files and name them",
    )


def _outside(path: str, root: Path, error: Exception) -> str:
    if isinstance(error, UserError):
        return (
            f"picture {_shown(path, 200)} leaves its root {root}; set `image_root` to a folder that holds it"
        )
    return f"picture {_shown(path)} is no path: {type(error).__name__}"


def _shown(value: Any, most: int = 60) -> str:
    text = repr(value)
    return text if len(text) <= most else f"{text[:most]}…"
