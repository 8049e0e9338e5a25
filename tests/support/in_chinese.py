"""What a Chinese card says of sentences that were noted down in English."""

from __future__ import annotations

import re
from collections.abc import Iterable

from datakit.core.wording import speaking, told


def english_left(noted: Iterable[str]) -> list[str]:
    """English words outside of backticks and of names of files."""
    with speaking("zh"):
        said = [told(words, parts=False) for words in noted]
    return [word for text in said for word in re.findall(r"[A-Za-z]{2,}[\w.]*", re.sub(r"`[^`]*`", "", text))]
