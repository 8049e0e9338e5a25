"""Picture paths as they stand in data -> absolute paths that lie under their root."""

from __future__ import annotations

import ast
import os
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import orjson

from datakit.core.counted import counted
from datakit.core.errors import UserError
from datakit.core.files import inside
from datakit.core.remote_pictures import STORES

_ADDRESSES = ("http:", "https:", "data:", *(f"{scheme}:" for scheme in STORES))
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
    folder holds links: 30 µs a path would be most of the time of reading (2026-11-24). With a `base`, paths
    start there, and what counts is where a picture really lies: below the base or below the root.
    """

    def __init__(self, root: Path, base: Path | None = None, beside: Path | None = None) -> None:
        """`beside` is where the data lies: a folder that is there, but not below the root, is named."""
        self.root, self.base, self.beside = root, base, beside
        self._folders: dict[str, tuple[str, frozenset[str]]] = {}
        self._turned, self._example = 0, ""

    def expect(self, cells: Iterable[Any]) -> None:
        """Hears which cells are asked for next; of files there is nothing to prepare."""

    def of(self, value: Any) -> list[str]:
        """The pictures of one cell: null, a path, or a list of them, also as text. Raises ImageFault."""
        if type(value) is str:
            if value[:1] == "[" and (items := _packed(value)) is not None:
                return self.of(items)
            return [self.one(value)] if value else []
        if value is None:
            return []
        if isinstance(value, list | tuple):
            return [
                path
                for item in value
                for path in (self.of(item) if isinstance(item, list) else (self.one(item),))
            ]
        raise ImageFault("image_not_a_path", f"a picture is {_shown(value)}, not a path")

    def one(self, path: Any) -> str:
        """The absolute path of one picture. Raises ImageFault."""
        if type(path) is not str or not path or "\0" in path:
            raise ImageFault("image_not_a_path", f"a picture is {_shown(path)}, not a path")
        path = path.removeprefix("file://")
        check_no_base64(path)
        return self._with_slashes(path) if "\\" in path else self._at(path)

    def warnings(self) -> list[str]:
        """That paths were read otherwise than they stand, in words."""
        if not self._turned:
            return []
        paths = counted(self._turned, "picture path")
        return [f"read `\\` as `/` in {paths}, as Windows writes them, such as {self._example}"]

    def _with_slashes(self, path: str) -> str:
        """The absolute path of a picture that Windows named, where only with slashes there is one: here a
        backslash is a letter like others. Raises ImageFault."""
        turned = path.replace("\\", "/")
        there = None if os.path.exists(full := self._at(path)) else self._at(turned)
        if there is None or not os.path.exists(there):
            return full
        self._turned, self._example = self._turned + 1, self._example or path
        return there

    def _at(self, path: str) -> str:
        folder, _, name = path.rpartition("/")
        if folder == "" and path[:1] == "/":
            folder = "/"
        entry = self._folders.get(folder)
        if entry is None:
            entry = self._look(folder, path)
        prefix, links = entry
        if name in links or name in ("", ".", ".."):
            return self._single(path)
        return f"{prefix}{name}"

    def _look(self, folder: str, path: str) -> tuple[str, frozenset[str]]:
        """Absolute prefix of a folder, and the names in it that are links. Raises ImageFault."""
        if path.startswith(_ADDRESSES):
            scheme, _, rest = path.partition("://")
            words = "download the pictures first"
            if scheme in STORES:
                words = (
                    f"`image_root: {scheme}://{rest.partition('/')[0]}` lets pictures of that bucket be read"
                )
            raise ImageFault("image_not_a_path", f"{path[:80]} is not a file: {words}")
        try:
            full = self._inside(folder or ".")
            if self.base is None and full.resolve() != full:
                self._check_target(folder, full)
        except (UserError, ValueError) as error:
            raise ImageFault("image_outside", self._outside(path, error)) from None
        if self.beside is not None and not full.is_dir() and (self.beside / folder).is_dir():
            raise ImageFault(
                "image_outside",
                f"picture {_shown(path, 200)} is not below {self.root}, where `image_root` lets paths start, "
                f"but beside its data: add `image_base` with the folder {self.beside}",
            )
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
            return str(self._inside(path))
        except (UserError, ValueError, RuntimeError) as error:
            raise ImageFault("image_outside", self._outside(path, error)) from None

    def _inside(self, path: str) -> Path:
        """The absolute path. Raises UserError for one that lies outside."""
        if self.base is None:
            return inside(self.root, path)
        full = Path(os.path.normpath(self.base / path))
        self._check_target(path, full)
        return full

    def _check_target(self, path: str, full: Path) -> None:
        target = full.resolve()
        if not any(target.is_relative_to(root.resolve()) for root in {self.root, self.base or self.root}):
            raise UserError(f"{path!r} lies outside of {self.root}")

    def _outside(self, path: str, error: Exception) -> str:
        if not isinstance(error, UserError):
            return f"picture {_shown(path)} is no path: {type(error).__name__}"
        base = self.base or self.root
        full = Path(os.path.normpath(base / path))
        target = full.resolve()
        if full.is_relative_to(base) and target != full:
            return (
                f"picture {_shown(path, 200)} leaves its root {self.root}: it is a link to {target}; allow "
                f"that with `image_root: {target.parent}`, and let paths start here: `image_base: {base}`"
            )
        return (
            f"picture {_shown(path, 200)} leaves its root {self.root}; set `image_root` to a folder that "
            "holds it, and `image_base` to the folder that paths start from if that is another one"
        )


def _packed(text: str) -> list[Any] | None:
    """A list that stands in a text as JSON or as Python writes it; None for a name that begins so."""
    try:
        items = orjson.loads(text)
    except orjson.JSONDecodeError:
        try:
            items = ast.literal_eval(text)
        except (ValueError, SyntaxError, MemoryError, RecursionError):
            return None
    return items if isinstance(items, list) else None


def check_no_base64(path: str) -> None:
    """Raises ImageFault for a picture that stands in the data itself; its bytes are never printed."""
    if len(path) <= _LONG_PATH and not path.startswith("data:"):
        return
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


def _shown(value: Any, most: int = 60) -> str:
    text = repr(value)
    return text if len(text) <= most else f"{text[:most]}…"
