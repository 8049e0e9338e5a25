"""What a text puts in quotes."""

from __future__ import annotations

import re
from collections.abc import Iterator

_QUOTED = re.compile(
    r"“([^”]+)”|「([^」]+)」|『([^』]+)』|《([^》]+)》|\"([^\"]+)\"|‘([^’]+)’|(?<![A-Za-z0-9])'([^'\n]+)'(?![A-Za-z0-9])|`([^`]+)`"
)


def quotations(text: str) -> list[str]:
    """What a text puts in quotes, in order, of quotes within quotes the outer."""
    return [quote for quote, _, _ in quoted(text)]


def quoted(text: str) -> Iterator[tuple[str, str, str]]:
    """Each quotation with the text before it and the text behind."""
    for match in _QUOTED.finditer(text):
        yield next(group for group in match.groups() if group), text[: match.start()], text[match.end() :]
