"""Lines of OCR that an answer cites: chosen by what its reason quotes, and checked again when served."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from datakit.core.boxes import Box
from datakit.core.faithful import stands
from datakit.core.likeness import standing
from datakit.core.quotations import parts, quotations
from datakit.core.rewards import SAME_BOX, overlap

STANDS = 0.8
"""Likeness from which a quotation is a line of OCR, or a part of it: about 7% of the lines of real screens
are misread somewhere. Digits and negations must be equal."""
_WHOLE_LINE_CHARS = 2
"""Least letters and digits of a line that a longer quotation runs over: `¥` stands in every price."""


def cited(text: str, lines: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """The lines that a text quotes, in the order of its quotations, each once; none that it does not quote.

    A quotation is the line that it is most like, of several the shortest, or those that it runs over. Lines
    are those of annotate.ocr.
    """
    chosen: dict[int, None] = {}
    for part in (part for quotation in quotations(text) for part in parts(quotation.text)):
        alike = [at for at, line in enumerate(lines) if stands(part, _text(line), STANDS)]
        if alike:
            best = max(
                alike, key=lambda at: (standing(part, _text(lines[at])), -len(_text(lines[at]).strip()))
            )
            chosen[best] = None
            continue
        chosen |= dict.fromkeys(at for at, line in enumerate(lines) if _is_within(line, part))
    return [lines[at] for at in chosen]


def holds(evidence: Box, lines: Sequence[Box]) -> bool:
    """Whether a line that an answer cites stands in a picture at its place: a line of OCR is as like as
    STANDS, and has an IoU of at least a half with it. All are in pixels of one picture."""
    return any(
        evidence.name != ""
        and stands(evidence.name, line.name, STANDS)
        and stands(line.name, evidence.name, STANDS)
        and overlap(evidence.sides, line.sides) >= SAME_BOX
        for line in lines
    )


def _text(line: Mapping[str, Any]) -> str:
    return str(line.get("text") or "")


def _is_within(line: Mapping[str, Any], quotation: str) -> bool:
    words = _text(line)
    return sum(map(str.isalnum, words)) >= _WHOLE_LINE_CHARS and stands(words, quotation, STANDS)
