"""What all prompts share and what each has of its own: the first stands once on the card."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from datakit.core.wording import t
from datakit.pages.blocks import Part

LEAST_CHARS = 60
"""Shorter runs of equal lines stay where they are: folded, they would only hide what is between them."""


@dataclass(frozen=True)
class Constant:
    """The runs of whole lines that stand in every one of some texts, in one order."""

    runs: tuple[str, ...] = ()

    @property
    def folded(self) -> list[Part]:
        """Each run with the words under which it is named."""
        return [
            Part(run, t("{name} of these prompts ({run:,} characters)", name=self._name(at), run=len(run)))
            for at, run in enumerate(self.runs)
        ]

    def parts(self, text: str) -> list[Part]:
        """A text in pieces, in order: its own words, and the names of the runs in place of them.

        The pieces with the runs put in, each with the line end behind it where more than line ends follows,
        are the text to the letter; a text without the runs is one piece.
        """
        pieces, rest = list[Part](), text
        for at, run in enumerate(self.runs):
            before, found, after = _cut(rest, run)
            if not found:
                return [Part(text)]
            pieces += [Part(before)] if before else []
            pieces.append(Part("", t("{name} of these prompts, above", name=self._name(at))))
            rest = after
        return [*pieces, *([Part(rest)] if rest else [])]

    def _name(self, at: int) -> str:
        return t("constant part {at}", at=at + 1) if len(self.runs) > 1 else t("constant part")


def constant_of(texts: Sequence[str]) -> Constant:
    """What all `texts` share; nothing for fewer than two different ones."""
    different = list(dict.fromkeys(texts))
    if len(different) < 2:
        return Constant()
    shared = set(different[0].split("\n")).intersection(*(text.split("\n") for text in different[1:]))
    runs, run = list[str](), list[str]()
    for line in [*different[0].split("\n"), None]:
        if line is not None and line in shared:
            run.append(line)
            continue
        joined = "\n".join(run)
        if len(joined) >= LEAST_CHARS:
            runs.append(joined)
        run = []
    return Constant(tuple(_in_order(runs, different)))


def _in_order(runs: Sequence[str], texts: Sequence[str]) -> list[str]:
    """Those of the runs that stand in every text behind the run before them."""
    rests, kept = list(texts), list[str]()
    for run in runs:
        cuts = [_cut(rest, run) for rest in rests]
        if all(found for _, found, _ in cuts):
            kept.append(run)
            rests = [after for _, _, after in cuts]
    return kept


def _cut(text: str, run: str) -> tuple[str, bool, str]:
    """What stands before a run of whole lines, whether it is there, and what stands behind it.

    The line end behind the run belongs to it, unless nothing but line ends follows.
    """
    start = f"\n{text}\n".find(f"\n{run}\n")
    if start < 0:
        return text, False, ""
    rest = text[start + len(run) :]
    return text[:start], True, rest.removeprefix("\n") if rest.strip("\n") else rest
