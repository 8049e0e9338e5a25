"""Scores and their intervals in the language that is spoken."""

from __future__ import annotations

from datakit.artifacts.ledger import Figure
from datakit.artifacts.metric_names import metric, shown_change, shown_end
from datakit.core.wording import t


def ends_text(name: str, low: float, high: float) -> str:
    """The ends of an interval, without a percent sign: `61.3 to 72.0`."""
    return t("{low} to {high}", low=shown_end(name, low), high=shown_end(name, high))


def difference_text(name: str, difference: Figure) -> str:
    """A difference with its unit and interval: `+1.2 points (-0.3 to +2.7)`."""
    value, low, high = (
        shown_change(name, end) for end in (difference.value, difference.low, difference.high)
    )
    return t(
        "{value} points ({low} to {high})" if metric(name).is_share else "{value} ({low} to {high})",
        value=value,
        low=low,
        high=high,
    )
