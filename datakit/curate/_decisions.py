"""What reviewers' decisions about one record come to, whoever made them and in whatever order they stand."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import groupby

from datakit.artifacts.overrides import OverrideLine

Judge = Callable[[str | None], str]
"""core.judged of the record, were this its label."""


@dataclass
class _Sight:
    """One state of the record, and who decided what about it."""

    judged: str
    label: str | None
    by_reviewer: dict[str, OverrideLine] = field(default_factory=dict)

    @property
    def outcomes(self) -> set[tuple[str, str | None]]:
        """What was decided, by action and resulting label; one where all agree."""
        decisions = [line.override for line in self.by_reviewer.values()]
        return {
            ("accept", None)
            if one.action == "relabel" and one.new == self.label
            else ("relabel" if one.new else one.action, one.new)
            for one in decisions
        }

    @property
    def result(self) -> str | None:
        """The label that the record has after it."""
        (action, new), *others = self.outcomes or {("accept", None)}
        return new if action == "relabel" and not others else self.label


@dataclass
class Outcome:
    """What becomes of the record."""

    label: str | None
    applied: list[OverrideLine] = field(default_factory=list)
    """The decisions behind it, in the order in which they were made."""
    is_dropped: bool = False
    conflict: list[OverrideLine] = field(default_factory=list)
    """Decisions of reviewers who disagree: none of them is applied."""
    stale: list[OverrideLine] = field(default_factory=list)
    """Decisions about what the record is no longer."""
    superseded: list[OverrideLine] = field(default_factory=list)
    """Decisions that their own reviewer replaced."""


def decided(
    lines: Sequence[OverrideLine], label: str | None, judge: Judge, *, predicted: bool = False
) -> Outcome:
    """What the decisions about a record with this label come to.

    Each must be about the record as it stands, or as the decisions before it left it: a relabelled record
    that was reviewed again in the next build has two, one after the other. Of one reviewer's decisions about
    the same sight the last holds; reviewers who decide differently about it undo each other. Where several
    have the same time, as answers that say none, what each is about tells their order, not their lines.

    `predicted`: a reviewer may have seen the record with a label that a model predicted, while it has none of
    its own (`label` is None). Such a decision says what the record shows, whatever is predicted now: an
    accepted prediction is its label.
    """
    sights = [_Sight(judge(label), label)]
    outcome = Outcome(label)
    for line in _in_order(lines, sights):
        if predicted and line.override.judged not in {sight.judged for sight in sights}:
            line = _about_a_prediction(line, sights[0].judged, judge)
        if _is_open(sights) and line.override.judged == sights[-2].judged != sights[-1].judged:
            sights.pop()  # another word about what the last decision was about
        sight = sights[-1]
        if line.override.judged != sight.judged:
            outcome.stale.append(line)
            continue
        who = (line.override.who or "").strip()
        if before := sight.by_reviewer.get(who):
            outcome.superseded.append(before)
        sight.by_reviewer[who] = line
        _go_on(sights, judge)
    for sight in sights:
        if len(sight.outcomes) > 1:
            outcome.conflict += sight.by_reviewer.values()
        else:
            outcome.applied += sight.by_reviewer.values()
            outcome.is_dropped = outcome.is_dropped or ("drop", None) in sight.outcomes
    outcome.label = sights[-1].result
    return outcome


def _is_open(sights: Sequence[_Sight]) -> bool:
    """Whether nobody has decided about the last sight yet, so that another word about the one before it
    still counts."""
    return len(sights) > 1 and not sights[-1].by_reviewer


def _in_order(lines: Sequence[OverrideLine], sights: Sequence[_Sight]) -> Iterator[OverrideLine]:
    """The decisions by their time; of one time first those about what the record is, as `sights` grows."""
    for _, equal in groupby(sorted(lines, key=lambda line: line.order), key=lambda line: line.order[0]):
        waiting = deque(equal)
        about: dict[str, deque[OverrideLine]] = {}
        for line in waiting:
            about.setdefault(line.override.judged, deque()).append(line)
        taken = set()
        while waiting:
            if waiting[0].number in taken:
                waiting.popleft()
                continue
            fitting = [sight.judged for sight in (sights[-2:] if _is_open(sights) else sights[-1:])]
            judged = next((name for name in fitting if about.get(name)), waiting[0].override.judged)
            line = about[judged].popleft()
            taken.add(line.number)
            yield line


def _about_a_prediction(line: OverrideLine, seen: str, judge: Judge) -> OverrideLine:
    """The decision as one about the record without a label, where the reviewer saw a predicted one."""
    override = line.override
    if override.old is None or override.judged != judge(override.old):
        return line
    new = override.old if override.action == "accept" else override.new
    return line.model_copy(update={"override": override.model_copy(update={"judged": seen, "new": new})})


def _go_on(sights: list[_Sight], judge: Judge) -> None:
    """Adds the record as the decisions about its last sight leave it, where they agree on a change.

    Not where a prediction was accepted: who looks at it in the next build sees the same again.
    """
    sight = sights[-1]
    accepted = any(line.override.action == "accept" for line in sight.by_reviewer.values())
    if sight.result != sight.label and not accepted:
        sights.append(_Sight(judge(sight.result), sight.result))
