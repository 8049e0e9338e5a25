"""A model that will not give the reason for a label, because the picture does not support it."""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple

from datakit.core.labels import Label, LabelSet
from datakit.core.language import Language
from datakit.core.outcome import Rejected
from datakit.core.templates import Templates
from datakit.core.transform import Row
from datakit.llm.answer_schema import AnswerSchema

VARIABLE = "may_decline"
SCHEMA = AnswerSchema.of({"supported": "boolean", "better": "note", "reason": "note"})
WORD = "reason_declined"
_SAYS: dict[Language, dict[str, str]] = {
    "zh": {"none": "没有说明", "unknown": "提出的“{}”不在类别表中", "same": "提出的仍是原来的类别"},
    "en": {
        "none": "it gives no ground",
        "unknown": "it proposes “{}”, which is no label",
        "same": "it proposes the label that there is",
    },
}


class Decline(NamedTuple):
    """What a model says instead of a reason."""

    better: str | None
    """The label that it would give, as the label file spells it; None where it names none of the set."""
    says: str
    """Its ground, and what is odd about its proposal; never blank."""


@lru_cache(maxsize=16)
def may_be_told(templates: Templates, name: str) -> bool:
    """Whether a template says how to decline where that may be."""
    return VARIABLE in templates.variables(name)


def reason_or_decline(
    values: Row, label: Label, labels: LabelSet | None, language: Language
) -> str | Decline:
    """The reason of an answer in the form of SCHEMA, or why there is none; "" where it states neither."""
    reason, better = str(values["reason"]).strip(), str(values["better"]).strip()
    if values["supported"]:
        return reason
    words = _SAYS[language]
    found = labels.find(better) if labels is not None and better else None
    odd = ""
    if better and (found.name if found else better) == label.name:
        found, odd = None, words["same"]
    elif better and labels is not None and found is None:
        odd = words["unknown"].format(better[:80])
    name = found.name if found else better if better and labels is None and not odd else None
    return Decline(name, "; ".join(filter(None, (reason, odd))) or words["none"])


def rejected(decline: Decline) -> Rejected:
    """The record without a reason, dropped."""
    proposal = f"the model would give {decline.better}" if decline.better else "the model gives no reason"
    return Rejected(WORD, f"{proposal}: {decline.says}")
