"""Texts without the paths of the machine on which they were written."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path

_ABSOLUTE = re.compile(r"(?<![\w.:/<])/(?:[^\s/:'\"`|<>,;()]+/)+([^\s/:'\"`|<>,;()]+)")
_BACK = re.compile(r"(?<![^\s/])[^\s/]+(?<!\.\.)/\.\./")
"""A step into a folder and out again, as paths relative to a recipe have."""


def without_folders(text: str, projects: Iterable[Path]) -> str:
    """`text` with paths relative to their project; of any other absolute path the file's name alone."""
    for project in projects:
        text = text.replace(f"{project.as_posix()}/", "")
    return _ABSOLUTE.sub(r"\1", _BACK.sub("", text))
