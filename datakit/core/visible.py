"""Control characters and escape sequences: taken out of data, and shown as escapes to people.

A terminal obeys what is printed on it: a title, a colour, a link, text that runs the other way. Such signs
come in with texts, names, answers of models and messages of servers. In data nobody wants them: what readers
and annotators give goes on without them, and is counted. Whatever is printed or stands on a page shows them
as escapes.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO, Any, cast

SEQUENCES = (
    r"(?:\x1b\[|\x9b)[0-?]*[ -/]*[@-~]"  # colours and moves
    # Titles and links; none goes on beyond where another begins, or many beginnings would take for ever.
    r"|(?:\x1b[\]P_^X]|[\x9d\x90\x9f\x9e\x98])[^\x07\x1b\x90\x98\x9c-\x9f\n]*(?:\x07|\x1b\\|\x9c)"
    r"|[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f]"  # and every other sign that nobody sees; tab and line ends stay
)
"""A regular expression of what is taken out of data, as Python and polars read it."""
BREAKS = "[\x0b\x0c\x85]"
"""Ends of lines and pages that no terminal obeys any more: a blank in data, so that words stay apart."""
_UNSAFE = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ud800-\udfff]")
_HALF = re.compile("[\ud800-\udfff]")
_IN_DATA, _BREAK = re.compile(SEQUENCES), re.compile(BREAKS)


def visible(text: str) -> str:
    """A text for people: control characters, signs that turn its direction and halves of signs as escapes."""
    return _UNSAFE.sub(lambda match: match[0].encode("unicode_escape", "surrogatepass").decode(), text)


def visible_json(text: str) -> str:
    """The same for a document of JSON, which stays one."""
    return _UNSAFE.sub(lambda match: f"\\u{ord(match[0]):04x}", text)


def without_controls(text: str) -> str:
    """A text for data: without control characters and escape sequences; tabs and line ends stay."""
    return _IN_DATA.sub("", _BREAK.sub(" ", text))


def has_controls(text: str) -> bool:
    """Whether a text holds something that `without_controls` takes out."""
    return _IN_DATA.search(text) is not None


def has_halves(text: str) -> bool:
    """Whether a text holds half of a surrogate pair, which JSON can say and no file can hold."""
    return _HALF.search(text) is not None


def texts_in(value: Any) -> Iterator[str]:
    """Every text in nested lists and objects."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for item in value.items():
            yield from texts_in(list(item))
    elif isinstance(value, list | tuple):
        for item in value:
            yield from texts_in(item)


class VisibleStream:
    """A stream of text for people: whatever is written to it is made visible."""

    def __init__(self, stream: IO[str]) -> None:
        self.raw = stream
        """The stream itself, for programs that steer the terminal with texts that are visible."""

    def write(self, text: str) -> int:
        """Writes the text; the number of its characters."""
        self.raw.write(visible(text))
        return len(text)

    def writelines(self, lines: list[str]) -> None:
        """Writes the texts one after the other."""
        for line in lines:
            self.write(line)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.raw, name)


@contextmanager
def visible_output() -> Iterator[None]:
    """Makes visible whatever is printed in the block, on both streams."""
    streams = sys.stdout, sys.stderr
    sys.stdout, sys.stderr = (cast(Any, VisibleStream(stream)) for stream in streams)
    try:
        yield
    finally:
        sys.stdout, sys.stderr = streams


def raw_stream(stream: IO[str]) -> IO[str]:
    """The stream that steers the terminal, below one that makes texts visible."""
    return stream.raw if isinstance(stream, VisibleStream) else stream
