"""Lines of text files in any encoding, each with the place of the first byte that is not in it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from datakit.core.regular_files import open_regular_text
from datakit.core.text_encoding import BOM, UTF8, codec_of, is_foreign, strange_place
from datakit.read._files import is_bytewise

_LOST = "\ufffd"
_DAMAGED = re.compile("[\udc80-\udcff]")
"""Code points that stand for bytes that could not be decoded (PEP 383)."""


@dataclass(frozen=True, slots=True)
class EncodedLine:
    """A line of a file as text, with its line end."""

    text: str
    fault: str = ""
    """Why it cannot be read: "byte 12: not big5, as the rest of the file is"; "" when it can."""

    @classmethod
    def of(cls, line: bytes, encoding: str) -> EncodedLine:
        """The line of these bytes."""
        try:
            text = line.decode(codec_of(encoding))
        except UnicodeDecodeError:
            text = line.decode(codec_of(encoding), "surrogateescape")
        return cls(text, line_fault(text, encoding))


def encoded_lines(path: Path, encoding: str) -> Iterator[EncodedLine]:
    """The lines of a file, which end where a line feed stands."""
    with opened(path, encoding, "\n") as file:
        for number, text in enumerate(file):
            text = text.removeprefix(BOM) if number == 0 else text
            yield EncodedLine(text, line_fault(text, encoding))


def opened(path: Path, encoding: str, newline: str | None = None) -> IO[str]:
    """A file as text in which damaged bytes can be found.

    UTF-16 and its like have no code points that stand for a damaged byte: the replacement sign does.
    """
    errors = "surrogateescape" if is_bytewise(encoding) else "replace"
    return open_regular_text(path, codec_of(encoding), errors=errors, newline=newline)


def line_fault(text: str, encoding: str) -> str:
    """Why a decoded line cannot be read; "" when it can."""
    if text.isascii():
        return ""
    rest = f"not {encoding}, as the rest of the file is"
    codec = codec_of(encoding)
    if not is_bytewise(encoding):
        at = text.find(_LOST)
        return f"byte {len(text[:at].encode(codec, 'replace')) + 1}: {rest}" if at >= 0 else ""
    damaged = _DAMAGED.search(text)
    at = damaged.start() if damaged else strange_place(text, encoding)
    if at >= 0:
        return f"byte {len(text[:at].encode(codec, 'surrogateescape')) + 1}: {rest}"
    if encoding != UTF8 and is_foreign(text, encoding):
        return f"{rest}: it reads well in UTF-8 only"
    return ""
