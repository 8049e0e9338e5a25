"""The quotations of a text, and which of them do not stand in what OCR read."""

from __future__ import annotations

import re
from collections.abc import Iterator

from datakit.core.labels import LabelSet
from datakit.core.likeness import standing
from datakit.guard._conclusion import is_told_apart, leads_to_label

STANDS = 0.8
"""Likeness from which a quotation stands in the text: of the lines of real screens about 7% are misread
somewhere, and a model reads the picture better than the engine does."""

_QUOTED = re.compile(
    r"“([^”]+)”|「([^」]+)」|『([^』]+)』|《([^》]+)》|\"([^\"]+)\"|‘([^’]+)’|(?<![A-Za-z0-9])'([^'\n]+)'(?![A-Za-z0-9])|`([^`]+)`"
)
_DOTS = re.compile(r"…+|\.{2,}|⋯+|・{2,}")
_EXAMPLES = 3


def quotations(text: str) -> list[str]:
    """What a text puts in quotes, in order, of quotes within quotes the outer."""
    return [quote for quote, _, _ in _quoted(text)]


def unread(text: str, read: str, labels: LabelSet | None) -> list[str]:
    """The quotations that do not stand in what was read, each once.

    Where one has dots in it each part must stand. A label's name in quotes is no quotation where it is
    concluded or told apart (`属于“退款页面”`).
    """
    missing = [
        quote
        for quote, before, after in _quoted(text)
        if not _stands(quote, read) and not _names_label(quote, before, after, labels)
    ]
    return list(dict.fromkeys(missing))


def words_of(missing: list[str]) -> str:
    """The quotations that do not stand, for the user."""
    more = f" and {len(missing) - _EXAMPLES} more" if len(missing) > _EXAMPLES else ""
    return "、".join(f"“{quote}”" for quote in missing[:_EXAMPLES]) + more


def _quoted(text: str) -> Iterator[tuple[str, str, str]]:
    """Each quotation with the text before it and the text behind."""
    for match in _QUOTED.finditer(text):
        yield next(group for group in match.groups() if group), text[: match.start()], text[match.end() :]


def _stands(quote: str, read: str) -> bool:
    return all(standing(part, read) >= STANDS for part in _DOTS.split(quote))


def _names_label(quote: str, before: str, after: str, labels: LabelSet | None) -> bool:
    if labels is None or labels.find(quote) is None:
        return False
    return leads_to_label(before) or is_told_apart(after)
