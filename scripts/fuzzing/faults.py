"""What counts as a fault of datakit, and the words by which two faults are the same."""

from __future__ import annotations

import re
import traceback
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import click

from datakit.checking.codes import CODES
from datakit.core.errors import DatakitError, RecipeErrors, UserError

PACKAGE = "datakit"
_REPR = re.compile(r"Traceback|object at 0x|<class '|<function |polars\.exceptions|ComputeError|ShapeError")

_REFUSED_BY_CHECK = re.compile(r"the check found [\d,]+ errors.*\n\s+(.+?)(?: \([\d,]+\))?\n")
"""A build must not emit what its own check refuses: the emitter leaves such records out."""

_OF_STAGES = ("no_pictures", "no_rows", "image_cut", "ranked", "not_ranked", "marked", "not_marked")
_OF_SETTINGS = frozenset(
    code.title
    for number, (name, code) in enumerate(CODES.items())
    if number >= list(CODES).index("setting_unknown") or name in _OF_STAGES
)
"""Errors of the check that the user's own settings lead to."""


class Fault(Exception):
    """Something that datakit must not do."""

    def __init__(self, kind: str, words: str, place: str = "") -> None:
        super().__init__(f"{kind}: {words}")
        self.kind, self.words, self.place = kind, words, place


class Hang(BaseException):
    """An input took too long. Not an Exception, so that no handler on the way swallows it."""


@dataclass(frozen=True)
class Account:
    """What became of one input."""

    kind: str
    number: int
    valid: bool = False
    """Whether it passed validation."""
    depth: str = ""
    """How far it went: load, plan, build, after."""
    refusal: str = ""
    """What datakit said of it, where it refused."""
    fault: str = ""
    """The kind of fault and its place; equal for equal faults."""
    detail: str = ""
    seconds: float = 0.0
    peak_mb: float = 0.0
    tree: Any = None
    """The input, where there is a fault."""

    def plain(self) -> dict[str, Any]:
        """For JSON."""
        return asdict(self)


def classified(error: BaseException) -> tuple[str, str]:
    """The fault that an exception is, and its detail; ("", refusal) for an error in words."""
    if isinstance(error, Fault):
        return f"{error.kind}: {error.place}", error.words
    if isinstance(error, Hang):
        return f"hang: {place_of(error)}", _trace(error)
    if isinstance(error, click.ClickException):
        return "", error.format_message()
    refused = _REFUSED_BY_CHECK.search(str(error)) if isinstance(error, DatakitError) else None
    if refused and refused[1] not in _OF_SETTINGS:
        return f"check refuses: {refused[1]}", str(error)
    if isinstance(error, DatakitError):
        poor = poor_words(error)
        return (f"words: {poor} {place_of(error)}", str(error)) if poor else ("", str(error))
    return f"{type(error).__name__}: {place_of(error)}", _trace(error)


def poor_words(error: DatakitError) -> str:
    """What an error lacks; "" for one with a sentence, and a place or a remedy."""
    text = str(error)
    if not text.strip():
        return "says nothing"
    shown = _REPR.search(text)
    if shown:
        return f"shows `{shown[0]}`"
    for part in error.errors if isinstance(error, RecipeErrors) else [error]:
        lines = [line for line in str(part).splitlines() if line.strip()]
        if isinstance(part, UserError) and not part.remedy and not part.where and len(lines) < 2:
            return "has neither place nor remedy"
    return ""


def place_of(error: BaseException) -> str:
    """`file:function` of the innermost frame in the package."""
    frames = traceback.extract_tb(error.__traceback__)
    inside = [
        frame
        for frame in frames
        if f"/{PACKAGE}/" in frame.filename and "site-packages" not in frame.filename
    ]
    if not inside:
        return frames[-1].name if frames else "nowhere"
    last = inside[-1]
    return f"{Path(last.filename).parent.name}/{Path(last.filename).name}:{last.name}"


def _trace(error: BaseException) -> str:
    return "".join(traceback.format_exception(error))[-6000:]
