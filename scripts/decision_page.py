"""docs/explanation/decisions.md out of DECISIONS.md: the decisions by area, then their history."""

from __future__ import annotations

import re
from dataclasses import dataclass

AREAS = {
    "records": "Records and the flow",
    "store": "The result store and its keys",
    "models": "Asking models",
    "ocr": "Pictures and OCR",
    "answers": "Answers and scores",
    "builds": "Builds and what they replace",
    "training": "Training and serving",
    "library": "Library, packages and plug-ins",
    "tests": "Tests and this repository",
}
INTRO = """What was chosen where another way was open, why, what it costs, and when to look again: by area,
then as they came. The source is DECISIONS.md, where each decision names its area."""
_HEAD = re.compile(r"^## (\d{4}-\d\d-\d\d):? (.+)$", re.MULTILINE)
_PART = re.compile(r"^(?:- )?(Context|Choice|Cost|Measured|Look again|Layers): (.)", re.MULTILINE)


@dataclass(frozen=True)
class Decision:
    """One entry of DECISIONS.md."""

    date: str
    title: str
    area: str
    text: str
    number: int
    """Its place, from 1."""

    @property
    def anchor(self) -> str:
        return f"decision-{self.number}"


def decisions(text: str) -> list[Decision]:
    """Every entry in order. Raises ValueError naming those whose area is not one of AREAS."""
    _, *pieces = _HEAD.split(text)
    entries, homeless = [], []
    for number, (date, title, body) in enumerate(zip(*[iter(pieces)] * 3, strict=True), 1):
        line, _, rest = body.strip().partition("\n")
        area = line.removeprefix("Area: ").strip()
        if area not in AREAS or line == area:
            homeless.append(title)
        entries.append(Decision(date, title[0].upper() + title[1:], area, rest.strip(), number))
    if homeless:
        raise ValueError(
            f"DECISIONS.md: no area under {'; '.join(homeless)}. "
            f"Write `Area: <name>` as the first line below the title, one of: {', '.join(AREAS)}."
        )
    return entries


def page(text: str) -> str:
    """The page's Markdown."""
    listed = decisions(text)
    blocks = ["<!-- Made by scripts/make_reference.py out of DECISIONS.md. -->", "# Decisions", INTRO]
    for area, name in AREAS.items():
        own = [decision for decision in listed if decision.area == area]
        blocks += [f"## {name}"] if own else []
        for decision in own:
            blocks += [f"### {decision.title} {{ #{decision.anchor} }}", _paragraphs(decision)]
    history = [f"- {decision.date} [{decision.title}](#{decision.anchor})" for decision in listed]
    return "\n\n".join([*blocks, "## History", "\n".join(history)]) + "\n"


def _paragraphs(decision: Decision) -> str:
    """One paragraph for each of context, choice, cost; lists stay as they are."""
    text = _PART.sub(lambda match: f"\n**{match[1]}.** {match[2].upper()}", decision.text)
    text = re.sub(r"\n{3,}", "\n\n", text).strip()
    return f"{text}\n\n*{decision.date}*"
