"""What is said of an ablation: its power before, the table after, and which experiment should come next."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from datakit.ablation.comparing import Comparison
from datakit.ablation.hours import BASIS, Cost, hours_of
from datakit.artifacts.ablation_record import BASE, Change
from datakit.evaluation.pooled import ALPHA, NOISE, expected_gain
from datakit.evaluation.power import DISCORDANT, WANTED, smallest_seen

WORTH = 0.002
"""An expected gain below a fifth of a point is called none."""


@dataclass(frozen=True)
class Power:
    """What a comparison of two trainings will see."""

    records: int
    comparisons: int
    discordant: float
    observed: bool
    """Whether the share of discordant records was observed, else it is assumed."""

    @property
    def smallest(self) -> float | None:
        """The smallest difference in accuracy that is seen in 8 of 10 comparisons."""
        return smallest_seen(self.records, self.discordant, ALPHA / max(1, self.comparisons))

    def words(self) -> str:
        how = "as observed" if self.observed else "which is assumed"
        given = f"{self.discordant:.1%} of the records are answered otherwise, {how}"
        of = f"{self.comparisons} comparisons" if self.comparisons > 1 else "one comparison"
        smallest = self.smallest
        if smallest is None:
            return f"Power: with {self.records:,} held-out records and {of} no difference at all can be told"
        return (
            f"Power: with {self.records:,} held-out records and {of} a difference of {100 * smallest:.1f} "
            f"points is seen in {round(10 * WANTED)} of 10 runs (if {given}; "
            "the luck of a training comes to that)"
        )

    def document(self) -> dict[str, Any]:
        return {
            "records": self.records,
            "comparisons": self.comparisons,
            "discordant": self.discordant,
            "discordant_observed": self.observed,
            "smallest_seen": self.smallest,
            "wanted": WANTED,
        }


def power_of(records: int, comparisons: int, result: Comparison | None) -> Power:
    """With the share of discordant records of the answers that are there, else the assumed one."""
    if result is not None and result.effects:
        shares = [effect.discordant for effect in result.effects.values()]
        return Power(result.records, len(result.effects), sum(shares) / len(shares), True)
    return Power(records, comparisons, DISCORDANT, False)


def cost_lines(planned: Sequence[Cost], measured: bool) -> Iterator[str]:
    """The GPU hours of what is left and of what was done."""
    left = [cost for cost in planned if not cost.done]
    spent = hours_of([cost for cost in planned if cost.done]) or 0.0
    if not left:
        yield f"GPU hours: {spent:.2f}, all {len(planned)} trainings are done"
        return
    hours = hours_of(left)
    shown = "unknown for this model, until one has run" if hours is None else f"about {hours:.2f}"
    basis = "scaled from those that ran" if measured else BASIS
    yield f"GPU hours: {shown} for {len(left)} trainings{f', {spent:.2f} spent' if spent else ''} ({basis})"


def table(result: Comparison) -> tuple[tuple[str, ...], list[tuple[str, ...]]]:
    """Head and rows for the terminal."""
    head = (
        "change",
        "trainings",
        "accuracy",
        "points",
        "95% interval",
        "macro F1",
        "95% interval",
        "p",
        "verdict",
    )
    assert result.base is not None  # only a comparison with a base is shown
    rows = [_base_row(result)]
    for own in result.changes:
        effect = result.effects[own.change.name]
        figures = [cell for name in ("accuracy", "macro_f1") for cell in _cells(effect.figures[name])]
        rows.append(
            (
                own.change.words,
                str(len(own.runs)),
                f"{result.accuracy[own.change.name]:.1%}",
                *figures,
                f"{effect.p_holm:.3g}",
                effect.verdict,
            )
        )
    return head, rows


def _base_row(result: Comparison) -> tuple[str, ...]:
    assert result.base is not None
    accuracy = f"{result.accuracy[BASE]:.1%}" if BASE in result.accuracy else "·"
    return ("base", str(len(result.base.runs)), accuracy, *("·" * 6))


def _cells(figure: Any) -> tuple[str, str]:
    return f"{100 * figure.value:+.1f}", f"{100 * figure.low:+.1f} to {100 * figure.high:+.1f}"


def notes_on(result: Comparison) -> Iterator[str]:
    """How the figures are to be read."""
    trained = [len(own.runs) for own in result.changes]
    if result.base is not None and result.effects:
        many = len(result.effects)
        corrected = f", corrected for {many} comparisons (Holm); intervals are not" if many > 1 else ""
        yield f"p is of accuracy{corrected}; noise is {ALPHA} and more"
        if max(trained) == len(result.base.runs) == 1:
            yield (
                "each was trained once (McNemar's exact test): the luck of a training is in no interval and "
                "no p; with --seeds 3 it is"
            )
        elif max(*trained, len(result.base.runs)) > 1:
            yield "the spread from training to training is in intervals and p, pooled over all changes"


@dataclass(frozen=True)
class Next:
    """The experiment that is most likely to pay."""

    change: Change | None
    gain: float
    """Expected, in accuracy, if the change is taken only where it proves to help."""
    seeds: int
    """Further trainings of it and of the base; 0 where more held-out records would tell more."""
    hours: float | None

    def words(self) -> str:
        if self.change is None:
            return "Next: no change is left uncertain and likely to pay"
        gain = f"it may bring {100 * self.gain:.1f} points, weighed by how likely each is"
        if not self.seeds:
            return (
                f"Next: more held-out records for `{self.change.words}` ({gain}); which records are held out "
                "blurs it more than the luck of a training, so that answers cost GPU minutes and no training"
            )
        hours = "unknown GPU hours" if self.hours is None else f"about {self.hours:.2f} GPU hours"
        return f"Next: {self.seeds} more trainings of `{self.change.words}` and the base, {hours} ({gain})"


def next_experiment(result: Comparison, planned: Sequence[Cost]) -> Next:
    """Of the changes that are called noise the one with the greatest expected gain.

    Where records cause most of its variance, more of them are proposed; else as many trainings again, or two
    more where each was trained once, since nothing tells one training's luck.
    """
    best, gain = None, WORTH
    for own in result.changes:
        effect = result.effects[own.change.name]
        own_gain = expected_gain(effect.figures["accuracy"])
        if effect.verdict == NOISE and own_gain >= gain:
            best, gain = own.change, own_gain
    if best is None:
        return Next(None, 0.0, 0, None)
    effect = result.effects[best.name]
    if effect.seeds > 1 and effect.record_share > 0.5:
        return Next(best, gain, 0, None)
    seeds = 2 if effect.seeds == 1 else effect.seeds
    pair = [cost for cost in planned if cost.job.seed == 1 and cost.job.change.name in (BASE, best.name)]
    hours = hours_of(pair)
    return Next(best, gain, seeds, None if hours is None else seeds * hours)


def document(result: Comparison) -> list[dict[str, Any]]:
    """Of each change everything, for --json."""
    return [
        {
            "name": own.change.name,
            "change": own.change.words,
            "seeds": len(own.runs),
            "accuracy": result.accuracy[own.change.name],
            "difference": {
                name: {"value": figure.value, "low": figure.low, "high": figure.high}
                for name, figure in result.effects[own.change.name].figures.items()
            },
            "p": result.effects[own.change.name].p,
            "p_holm": result.effects[own.change.name].p_holm,
            "discordant": result.effects[own.change.name].discordant,
            "verdict": result.effects[own.change.name].verdict,
        }
        for own in result.changes
    ]
