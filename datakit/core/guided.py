"""What a server is asked to decode, and nothing else: a choice, or a regular expression over lines."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from datakit.core.contract_words import BETWEEN, EMPTY, Language

if TYPE_CHECKING:
    from datakit.core.answer import TurnFormat
    from datakit.core.contract import AnswerField

FREE_CHARS = 400
"""Longest line where the contract sets no bound, so that the label behind it still comes."""
_NUMBER = r"-?[0-9]+(\.[0-9]+)?"
_SIDE = r"-?[0-9]+(\.[0-9]+)?(e-?[0-9]+)?"
_BOX = r'\{"bbox_2d": \[' + ", ".join([_SIDE] * 4) + r'\](, "label": "([^"\\\n]|\\[^\n])+")?\}'

_BOXES = rf"\[{_BOX}(, {_BOX})*\]"


def guide(
    form: TurnFormat,
    fields: Sequence[AnswerField],
    language: Language,
    names: Sequence[str],
    most_chars: int | None = None,
) -> dict[str, Any] | None:
    """vLLM's `structured_outputs` for a turn; None where any text is an answer.

    A free text has `most_chars` characters at most, so that what follows still comes; one that may have line
    breaks and ends the answer has as many as it likes.
    The regular expressions keep to what every engine knows: groups, classes, counts and plain escapes.
    """
    if any(field.is_placed and field.notation == "tokens" for field in fields):
        return None  # the engines decode characters, and special tokens are none
    if len(fields) == 1 and not form.constants[0]:
        if fields[0].kind == "label":
            return {"choice": list(names)} if names else None
        if fields[0].kind == "text":
            return None
    parts = [literal(form.constants[0])]
    for field, after in zip(fields, form.constants[1:], strict=True):
        ends = field is fields[-1] and field.kind == "text"
        bounds = [field.max_chars, None if ends else most_chars]
        bound = min((chars for chars in bounds if chars is not None), default=None)
        parts += (_pattern(field, language, names, bound), literal(after))
    return {"regex": "".join(parts)}


def any_of(guides: Sequence[dict[str, Any] | None]) -> dict[str, Any] | None:
    """What allows an answer of any of the forms; None where one of them allows any text."""
    if len(guides) == 1:
        return guides[0]
    patterns = []
    for constraint in guides:
        if constraint is None:
            return None
        patterns.append(
            constraint["regex"] if "regex" in constraint else "|".join(map(literal, constraint["choice"]))
        )
    return {"regex": f"({'|'.join(f'({pattern})' for pattern in patterns)})"}


def literal(text: str) -> str:
    """Text for a regular expression, in the plain escapes that every engine knows."""
    return "".join(
        "\\n" if char == "\n" else f"\\{char}" if char in r"\.^$*+?{}[]|()" else char for char in text
    )


def _pattern(field: AnswerField, language: Language, names: Sequence[str], most: int | None) -> str:
    """The pattern of a field; `most` characters of a free text."""
    free = f"[^\\n]{{1,{most or FREE_CHARS}}}"
    label = f"({'|'.join(map(literal, names))})" if names else free
    patterns = {
        "label": label,
        "labels": f"{label}({literal(BETWEEN[language])}{label})*" if names else free,
        "number": _NUMBER,
        "boxes": _BOXES,
        "evidence": _BOXES,
        "text": f"(.|\\n){{1,{most}}}" if most else "(.|\\n)+",
    }
    pattern = patterns.get(field.kind, free)
    return f"({pattern}|{literal(EMPTY[language])})" if field.optional else pattern
