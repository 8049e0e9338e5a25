"""The files that a reader's `path` names, and how their bytes become text."""

from __future__ import annotations

import glob
import os
import re
from collections.abc import Sequence
from functools import lru_cache
from itertools import chain
from pathlib import Path
from typing import BinaryIO

import polars as pl

from datakit.core import files
from datakit.core.errors import UserError, did_you_mean
from datakit.core.escaped_encodings import has_states, may_escape
from datakit.core.files import Stamp
from datakit.core.regular_files import NotRegular, regular, special_kind
from datakit.core.step_context import StepContext
from datakit.core.text_encoding import (
    BOM,
    UTF8,
    codec_of,
    disguised_encodings,
    doubtful_encodings,
    fitting_encodings,
    is_surely_utf8,
    marked_encoding,
    said_encoding,
)
from datakit.read._known_files import check_file, folder_remedy

BOM_BYTES = BOM.encode()
_BLOCK = 1 << 20
_SAMPLE = 1 << 16
"""Bytes of lines beyond ASCII that an old encoding is told by."""
_BETWEEN_OBJECTS = re.compile(rb"\}\s*,\s*\{")
_ESCAPED_LINES = 400
"""Lines of ASCII that one of disguised signs is told by."""


def found_files(path: str, context: StepContext) -> list[Path]:
    """The file that `path` names, or every file that matches it as a pattern, sorted by name.

    Raises UserError for no file, with the nearest name of the folder.
    """
    full = Path(os.path.normpath(context.path(path)))
    if full.is_dir():
        pattern = f"Name a file or a pattern, such as `path: {path.rstrip('/')}/*{_suffix_in(full)}`."
        raise UserError(f"{full} is a folder, not a file", remedy=folder_remedy(full) or pattern)
    if full.is_file():
        check_file(full)
        return [full]
    if full.exists():
        raise not_regular(full)
    if any(sign in path for sign in "*?["):
        matching = [Path(name) for name in sorted(glob.glob(str(full), recursive=True))]
        files = [file for file in matching if not file.is_dir()]
        if special := next((file for file in files if file.exists() and not file.is_file()), None):
            raise not_regular(special)
        files = [file for file in files if file.is_file()]
        if files:
            check_file(files[0])
            return files
        raise UserError(
            f"no file matches {full}", remedy="`path` starts from the recipe's folder; `**` goes deeper."
        )
    raise missing(full)


def not_regular(path: Path) -> UserError:
    """The error for a pipe, a socket or a device."""
    kind = special_kind(path.stat())
    return UserError(
        f"{path} is {kind}, not a regular file", remedy="A source is read twice: save it to a file first."
    )


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
    """What differs after an edit. Raises UserError for a file that cannot be looked at."""
    try:
        return files.stamp_of(os.stat(path))
    except FileNotFoundError:
        raise missing(path) from None
    except OSError as error:
        raise unreadable(path, error) from None


def closed_folder(error: OSError) -> None:
    """What `os.walk` calls for a folder that cannot be listed. Raises UserError: unknown many records would
    be missing without a word."""
    raise UserError(
        f"cannot list the folder {error.filename}: {error.strerror}",
        remedy="Make it readable (chmod u+rx), or move it out of the data; folders that begin with `.` are "
        "passed over.",
    )


def unreadable(path: Path, error: OSError) -> UserError:
    """The error for a file that the system refuses to open."""
    remedy = "" if isinstance(error, NotRegular) else "Check the file's permissions."
    return UserError(f"cannot read {path}: {error.strerror}", remedy=remedy)


def encoding_of(path: Path, named: str | None = None) -> str:
    """The encoding of a file, as users call it: the one named in the recipe, else the one that is found.

    By a byte order mark, else UTF-8 where most lines beyond ASCII are valid in it (one damaged byte must not
    turn a file into other characters), else the old encoding that a sample of lines reads well in. Raises
    UserError where two read well, or none does.
    """
    return _encoding_of(path, stamp_of(path)) if named is None else said_encoding(named)


def is_bytewise(encoding: str) -> bool:
    """Whether lines end at the byte of a line feed, and damaged bytes can be kept as they are."""
    codec = codec_of(encoding)
    return "\n".encode(codec) == b"\n" and not has_states(codec)


@lru_cache(maxsize=256)
def _encoding_of(path: Path, _stamp: Stamp) -> str:
    try:
        with open(path, "rb", opener=regular) as file:
            marked = marked_encoding(file.read(_BLOCK // 16))
            if marked is not None and marked != UTF8:
                return marked
            if marked == UTF8:
                return marked
            file.seek(0)
            valid, sure, escaped = _all_utf8(file)
            if valid and sure:
                return _only_one(path, disguised_encodings(escaped))
            file.seek(0)
            return _sampled(path, file)
    except OSError as error:
        raise unreadable(path, error) from None


def _sampled(path: Path, file: BinaryIO) -> str:
    """The encoding of a file that is not UTF-8 throughout, or hardly says so."""
    plain = utf8 = other = size = 0
    sample: list[bytes] = []
    while lines := file.readlines(_BLOCK):
        for part in chain.from_iterable(map(_parts, lines)):
            if part.isascii():
                plain += not part.isspace()
                continue
            valid = _is_utf8(part)
            other, utf8 = other + (not valid), utf8 + (valid and is_surely_utf8(part))
            if size < _SAMPLE:
                sample.append(part[:_SAMPLE])
                size += len(part)
    if other == 0 and (doubts := doubtful_encodings(sample)):
        raise _unsure(path, [UTF8, *doubts])
    if utf8 >= other:
        return UTF8
    fitting = fitting_encodings(sample)
    if not fitting and other < plain:
        return UTF8  # some damaged lines among plain ones: each of them is a reject
    return _only_one(path, fitting)


def _parts(line: bytes) -> list[bytes]:
    """A line, or the objects in it: a JSON array may be one line."""
    return _BETWEEN_OBJECTS.split(line)


def _only_one(path: Path, fitting: Sequence[str]) -> str:
    """The only encoding that fits. Raises UserError for none, and for several."""
    if len(fitting) == 1:
        return fitting[0]
    raise _unsure(path, fitting)


def _unsure(path: Path, fitting: Sequence[str]) -> UserError:
    if not fitting:
        return UserError(
            f"{path} is not UTF-8, and in no encoding that can be told",
            remedy="Name it in the step, such as `encoding: cp1252`, or save the file as UTF-8.",
        )
    named = " or ".join(f"`encoding: {name}`" for name in fitting)
    return UserError(
        f"too little in {path} says whether it is {' or '.join(fitting)}",
        remedy=f"Say which in the step: {named}. Or save the file as UTF-8.",
    )


def _all_utf8(file: BinaryIO) -> tuple[bool, bool, list[bytes]]:
    """Whether the file is valid UTF-8, and whether something in it is hardly anything else.

    Where all is ASCII, with lines that may be signs in disguise (`disguised_encodings`). Polars looks at
    3 GB/s, Python's decoder at 0.5 (2026-11-24).
    """
    plain, sure = True, False
    escaped: list[bytes] = []
    try:
        while block := file.read(_BLOCK // 4) + file.readline():
            pl.Series([block], dtype=pl.Binary).cast(pl.String)
            if not sure and not block.isascii():
                plain, sure = False, is_surely_utf8(block)
            if plain and len(escaped) < _ESCAPED_LINES and may_escape(block):
                lines = [line[:_SAMPLE] for line in block.splitlines() if may_escape(line)]
                escaped += lines[: _ESCAPED_LINES - len(escaped)]
    except pl.exceptions.PolarsError:
        return False, False, []
    return True, plain or sure, escaped if plain else []


def _is_utf8(data: bytes) -> bool:
    try:
        data.decode(UTF8)
    except UnicodeDecodeError:
        return False
    return True


def _suffix_in(folder: Path) -> str:
    suffixes = [Path(name).suffix for name in os.listdir(folder)]
    return max(sorted(set(suffixes)), key=suffixes.count, default="")
