"""Findings without the impression: a text without the clauses that name its record's label."""

from __future__ import annotations

import re

from datakit.core.labels import Label, normal_form

_CLAUSES = re.compile(r".+?(?:[，。；！？,;!?]+|\.(?=\s|$)|\n|$)\s*", re.DOTALL)
_MARKS = "，。；！？,;!?. \n"
_SHORTEST_ALIAS = 4
"""Shorter aliases (正常, 结节影) are words of findings."""


def without_label(text: str, label: Label) -> str:
    """The text without the clauses in which the label's name, or a long alias of it, stands; "" for nothing.

    >>> without_label("心影向两侧扩大，心尖左移，符合心影增大。", Label("心影增大"))
    '心影向两侧扩大，心尖左移。'
    """
    names = [label.name, *(alias for alias in label.aliases if len(alias) >= _SHORTEST_ALIAS)]
    forms = [normal_form(name) for name in names]
    clauses = _CLAUSES.findall(text.strip())
    kept = [clause for clause in clauses if not any(form in normal_form(clause) for form in forms)]
    if len(kept) == len(clauses):
        return text
    rest = "".join(kept).strip().rstrip(_MARKS)
    end = text.strip()[-1:]
    return rest + (end if end in "。！？.!?" else "") if rest else ""
