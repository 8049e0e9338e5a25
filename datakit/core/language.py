"""Which language texts are to be written in: that of the templates which ask for them."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Literal

from datakit.core.stated_format import plain_lines

Language = Literal["zh", "en"]
"""Chinese, or a language with spaces between its words."""
CharBounds = int | Mapping[Language, int] | None
"""Most characters of a text, in any language or by language; None for no bound."""
_CHINESE = re.compile(r"[\u3400-\u4dbf\u4e00-\u9fff]")
_WORD = re.compile(r"[^\W\d_]{2,}")
_CHARS_OF_A_WORD = 2
_MOSTLY = 0.5
"""Chinese prose with Latin names in it stays above it, other prose with Chinese labels below."""


def language_of(sources: Iterable[str]) -> Language | None:
    """The language of templates by their constant text; None when they have none."""
    text = "\n".join(line for source in sources for line in plain_lines(source))
    chinese = len(_CHINESE.findall(text))
    words = len(_WORD.findall(_CHINESE.sub(" ", text)))
    if not chinese + words:
        return None
    share = chinese / (chinese + _CHARS_OF_A_WORD * words)
    return "zh" if share >= _MOSTLY else "en"


def char_bound(bounds: CharBounds, sources: Iterable[str]) -> int | None:
    """The bound for texts of templates with these sources; None where there is none for their language."""
    return bounds.get(language_of(sources) or "zh") if isinstance(bounds, Mapping) else bounds
