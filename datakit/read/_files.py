"""The files that a reader's `path` names, and how their bytes become text."""

from __future__ import annotations

import glob
import os
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import BinaryIO

import polars as pl

from datakit.core.errors import UserError, did_you_mean
from datakit.core.files import Stamp
from datakit.core.step_context import StepContext

UTF8, GB18030 = "utf-8", "gb18030"
BOM = b"\xef\xbb\xbf"
_UTF16 = (b"\xff\xfe", b"\xfe\xff")
_BLOCK = 1 << 20


def found_files(path: str, context: StepContext) -> list[Path]:
    """The file that `path` names, or every file that matches it as a pattern, sorted by name.

    Raises UserError for no file, with the nearest name of the folder.
    """
    full = Path(os.path.normpath(context.path(path)))
    if full.is_dir():
        raise UserError(
            f"{full} is a folder, not a file",
            remedy=f"Name a file or a pattern, such as `path: {path.rstrip('/')}/*{_suffix_in(full)}`.",
        )
    if full.is_file():
        return [full]
    if full.exists():
        raise UserError(
            f"{full} is not a regular file", remedy="A source is read twice: save it to a file first."
        )
    if any(sign in path for sign in "*?["):
        files = [Path(name) for name in sorted(glob.glob(str(full), recursive=True))]
        files = [file for file in files if file.is_file()]
        if files:
            return files
        raise UserError(
            f"no file matches {full}", remedy="`path` starts from the recipe's folder; `**` goes deeper."
        )
    raise missing(full)


def missing(path: Path) -> UserError:
    """The error for a file or folder that is not there, with the nearest name beside it."""
    folder = path.parent
    while not folder.is_dir() and folder != folder.parent:
        path, folder = folder, folder.parent
    names = sorted(os.listdir(folder))
    hint = did_you_mean(path.name, names)
    shown = ", ".join(names[:8]) + (" …" if len(names) > 8 else "")
    words = f"{folder} holds {shown}." if names else f"{folder} is empty."
    return UserError(f"{path} does not exist", remedy=f"{hint} {words}".strip())


def empty_source(files: Sequence[Path], what: str = "no record") -> UserError:
    """The error for a source in which there is nothing to read."""
    names = ", ".join(str(file) for file in files[:3]) + (" …" if len(files) > 3 else "")
    return UserError(f"{names} holds {what}", remedy="Is it the right file, and was it written to its end?")


def stamp_of(path: Path) -> Stamp:
    """Size and time of change. Raises UserError for a file that cannot be looked at."""
    try:
        status = os.stat(path)
    except FileNotFoundError:
        raise missing(path) from None
    except OSError as error:
        raise unreadable(path, error) from None
    return status.st_size, status.st_mtime_ns


def unreadable(path: Path, error: OSError) -> UserError:
    """The error for a file that the system refuses to open."""
    return UserError(f"cannot read {path}: {error.strerror}", remedy="Check the file's permissions.")


def encoding_of(path: Path) -> str:
    """utf-8 or gb18030, whichever more of the file's non-ASCII lines are valid in.

    By majority, because one damaged byte must not turn a UTF-8 file into other characters: Chinese text in
    one of the two encodings is hardly ever valid in the other one as UTF-8. Raises UserError for UTF-16.
    """
    return _encoding_of(path, stamp_of(path))


@lru_cache(maxsize=256)
def _encoding_of(path: Path, _stamp: Stamp) -> str:
    try:
        with open(path, "rb") as file:
            if file.read(2) in _UTF16:
                raise UserError(f"{path} is in UTF-16", remedy="Save it as UTF-8 or GB18030.")
            file.seek(0)
            if _all_utf8(file):
                return UTF8
            file.seek(0)
            utf8 = other = 0
            while lines := file.readlines(_BLOCK):
                for line in lines:
                    if not line.isascii():
                        utf8, other = (utf8 + 1, other) if _is_utf8(line) else (utf8, other + 1)
    except OSError as error:
        raise unreadable(path, error) from None
    return GB18030 if other > utf8 else UTF8


def _all_utf8(file: BinaryIO) -> bool:
    """Whether the file is UTF-8 throughout. Polars looks at 3 GB/s, Python's decoder at 0.5 (2026-11-24)."""
    try:
        while block := file.read(_BLOCK // 4) + file.readline():
            pl.Series([block], dtype=pl.Binary).cast(pl.String)
    except pl.exceptions.PolarsError:
        return False
    return True


def _is_utf8(data: bytes) -> bool:
    try:
        data.decode(UTF8)
    except UnicodeDecodeError:
        return False
    return True


def _suffix_in(folder: Path) -> str:
    suffixes = [Path(name).suffix for name in os.listdir(folder)]
    return max(sorted(set(suffixes)), key=suffixes.count, default="")
