"""Encodings whose bytes are all ASCII: ISO-2022, HZ and UTF-7, which pass for plain text in UTF-8."""

from __future__ import annotations

import base64
import re
from collections.abc import Callable, Sequence
from contextlib import suppress

_JAPANESE = ("iso2022_jp", "iso2022_jp_ext", "iso2022_jp_2", "iso2022_jp_3")
_ISO2022 = (
    (re.compile(rb"\x1b\$\)C"), ("iso2022_kr",)),
    (re.compile(rb"\x1b\$\)[AEG]"), ()),  # ISO-2022-CN, which Python does not read
    (re.compile(rb"\x1b(?:\$[@AB]|\$\([CDOPQ]|\([IJ])"), _JAPANESE),
)
"""Escape sequences, which are not text in themselves -> codecs that know them."""
_HZ = re.compile(rb"~\{(?:[\x21-\x77][\x21-\x7e])+~\}")
_UTF7 = re.compile(rb"(?<![A-Za-z0-9+/]{12})\+([A-Za-z0-9+/]+)")
"""A plus behind a long run of its own signs stands in base64."""
_ESCAPES = (b"\x1b$", b"\x1b(", b"~{", b"+")
_MIN_GOOD = 0.9
"""Share of pluses that must begin a text in UTF-7: one in `a+b` or in base64 begins none."""


def may_escape(data: bytes) -> bool:
    """Whether ASCII bytes hold what begins other signs in one of these encodings; told at memory speed."""
    return any(mark in data for mark in _ESCAPES)


def iso2022_of(lines: Sequence[bytes]) -> list[str] | None:
    """The encoding that escape sequences in ASCII lines say; an empty list for one that Python does not
    read, None where no line holds one."""
    for escapes, codecs in _ISO2022:
        if any(map(escapes.search, lines)):
            return sorted(codecs, key=lambda codec: -_readable(lines, codec))[:1]
    return None


def ascii_disguises(lines: Sequence[bytes], reads_well: Callable[[str], bool]) -> list[str]:
    """HZ or UTF-7, where ASCII lines read well in it too: their marks are plain signs by themselves."""
    data = b"\n".join(lines)
    hz = [_decoded(run[0], "hz") for run in _HZ.finditer(data)]
    runs = list(_UTF7.finditer(data))
    utf7 = [_utf16_in(run[1]) for run in runs]
    if len(runs) == 1 and len(utf7[0] or "") == 1 and data[: runs[0].start()][-1:].isalnum():
        utf7 = []  # one `C+abc`
    return [
        name
        for name, texts in (("hz", hz), ("utf-7", utf7))
        if sum(map(bool, texts)) >= max(1, _MIN_GOOD * len(texts))
        and reads_well("".join(filter(None, texts)))
    ]


def has_states(codec: str) -> bool:
    """Whether bytes of ASCII stand for other signs after an escape: a damaged one cannot be kept as it is."""
    return codec.startswith("iso2022") or codec in ("hz", "utf-7")


def _readable(lines: Sequence[bytes], codec: str) -> int:
    return sum(_decoded(line, codec) is not None for line in lines)


def _decoded(data: bytes, codec: str) -> str | None:
    with suppress(UnicodeDecodeError):
        return data.decode(codec)
    return None


def _utf16_in(text: bytes) -> str | None:
    """What a run of base64 in UTF-7 stands for: whole code units of UTF-16, the bits after them zero."""
    units, rest = divmod(len(text) * 6, 16)
    if not units or rest >= 6:
        return None
    data = base64.b64decode(text + b"A" * (-len(text) % 4))
    if any(data[units * 2 :]):
        return None
    plain = _decoded(data[: units * 2], "utf-16-be")
    return plain if plain is not None and plain.isprintable() else None
