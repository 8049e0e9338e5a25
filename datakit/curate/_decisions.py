"""What reviewers' decisions about one record come to, whoever made them and in whatever order they stand."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

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
        return {(line.override.action, line.override.new) for line in self.by_reviewer.values()}


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


def decided(lines: Sequence[OverrideLine], label: str | None, judge: Judge) -> Outcome:
    """What the decisions about a record with this label come to.

    Each must be about the record as it stands, or as the decisions before it left it: a relabelled record
    that was reviewed again in the next build has two, one after the other. Of one reviewer's decisions about
    the same sight the last holds; reviewers who decide differently about it undo each other.
    """
    sights = [_Sight(judge(label), label)]
    outcome = Outcome(label)
    for line in sorted(lines, key=lambda line: line.order):
        is_open = len(sights) > 1 and not sights[-1].by_reviewer
        if is_open and line.override.judged == sights[-2].judged != sights[-1].judged:
            sights.pop()  # another word about what the last decision was about
        sight = sights[-1]
        if line.override.judged != sight.judged:
            outcome.stale.append(line)
            continue
        if before := sight.by_reviewer.get(line.override.who):
            outcome.superseded.append(before)
        sight.by_reviewer[line.override.who] = line
        _go_on(sights, judge)
    for sight in sights:
        if len(sight.outcomes) > 1:
            outcome.conflict += sight.by_reviewer.values()
        else:
            outcome.applied += sight.by_reviewer.values()
            outcome.is_dropped = outcome.is_dropped or ("drop", None) in sight.outcomes
    outcome.label = sights[-1].label
    return outcome


def _go_on(sights: list[_Sight], judge: Judge) -> None:
    """Adds the record as the decisions about its last sight leave it, where they agree on a change."""
    (action, new), *others = sights[-1].outcomes
    if action == "relabel" and new != sights[-1].label and not others:
        sights.append(_Sight(judge(new), new))
