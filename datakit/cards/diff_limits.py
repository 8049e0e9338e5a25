"""Limits of what may differ between two builds, such as `labels>1%`, and which of them are passed."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from datakit.artifacts.metric_names import LESS_IS_BETTER, metric
from datakit.cards.diff import Diff, ScoreChange, Some
from datakit.core.errors import UserError, did_you_mean

_FORM = re.compile(r"\s*(?P<name>[\w.-]+)\s*>\s*(?P<number>\d+(?:\.\d+)?)\s*(?P<percent>%?)\s*")
_LEAVE_OUT = "Evaluate or emit both, or leave the limit out."
_HOW = "Write NAME>NUMBER or NAME>SHARE%, such as labels>1% or removed>0."


@dataclass(frozen=True)
class Amount:
    """How much differs."""

    share: float | None
    """0 to 1, or more; None where it is no share of anything."""
    count: int | None = None
    """Records or settings; None where the share alone says something."""


Measure = Callable[[Diff], Amount | None]
"""None where the builds do not say."""


def _share(count: int, whole: int) -> Amount:
    return Amount((math.inf if count else 0.0) if whole == 0 else count / whole, count)


def _of_both(count: int, diff: Diff) -> Amount | None:
    return _share(count, diff.records_in_both) if diff.records_in_both else None


def _length(what: str) -> Callable[[Diff], Amount | None]:
    def amount(diff: Diff) -> Amount | None:
        if diff.prompts is None:
            return None
        shift = next((shift for shift in diff.lengths if shift.what == what), None)
        if shift is None:
            return Amount(0.0)
        before, after = shift.before.mean, shift.after.mean
        return Amount(abs(after - before) / before if before else math.inf if after else 0.0)

    return amount


def _balance(diff: Diff) -> Amount:
    return Amount(max((abs(one.share_after - one.share_before) for one in diff.classes), default=0.0))


def _score_drop(diff: Diff) -> Amount | None:
    return Amount(max(map(fall, diff.scores))) if diff.scores else None


def fall(score: ScoreChange) -> float:
    """How far a score got worse at least, by its intervals: points of shares, else a share of the first.

    0 where chance may have done it.
    """
    sign = -1 if score.metric in LESS_IS_BETTER else 1
    if score.difference is not None:
        best = max(sign * score.difference.low, sign * score.difference.high)
    else:
        best = max(sign * (score.after.high - score.before.low), sign * (score.after.low - score.before.high))
    return max(0.0, -best) / (1 if metric(score.metric).is_share else abs(score.before.value) or 1)


def _chats(of: Callable[[Diff], Some | None]) -> Measure:
    def amount(diff: Diff) -> Amount | None:
        some = of(diff)
        return None if some is None else _of_both(some.count, diff)

    return amount


MEASURES: dict[str, Measure] = {
    "labels": lambda diff: _of_both(sum(move.count for move in diff.labels), diff),
    "splits": lambda diff: _of_both(sum(move.count for move in diff.splits), diff),
    "added": lambda diff: _share(diff.added.count, diff.records_before),
    "removed": lambda diff: _share(diff.removed.count, diff.records_before),
    "changed": lambda diff: _of_both(diff.changed.count, diff),
    "prompts": _chats(lambda diff: diff.prompts),
    "answers": _chats(lambda diff: diff.answers),
    "balance": _balance,
    "prompt_length": _length("prompt"),
    "answer_length": _length("answer"),
    "settings": lambda diff: Amount(None, len(diff.settings)),
    "score_drop": _score_drop,
}
"""Name -> what it measures; `datakit diff --help` says it in words."""
_OF_BOTH = ("labels", "splits", "changed", "prompts", "answers")
"""What is said of records of both builds."""
_SHARES = ("balance", "prompt_length", "answer_length", "score_drop")


@dataclass(frozen=True)
class Limit:
    """More than this may not differ."""

    text: str
    name: str
    most: float
    is_share: bool


def limits_of(texts: Iterable[str]) -> list[Limit]:
    """The limits that are given, several of them in one text behind commas.

    >>> limits_of(["labels>1%, removed>0"])[0].most
    0.01

    Raises UserError for what is no limit.
    """
    return [_limit(part.strip()) for text in texts for part in text.split(",")]


def _limit(text: str) -> Limit:
    match = _FORM.fullmatch(text)
    if match is None:
        raise UserError(f"`{text}` is no limit", remedy=_HOW)
    name, is_share = match["name"], bool(match["percent"])
    if name not in MEASURES:
        hint = did_you_mean(name, MEASURES) or f"Known: {', '.join(MEASURES)}."
        raise UserError(f"`{text}`: there is nothing called `{name}` to limit", remedy=hint)
    number = float(match["number"])
    if name == "settings" and is_share:
        raise UserError(f"`{text}`: settings are counted", remedy="Write a number, such as settings>0.")
    if not is_share and number and name in _SHARES:
        raise UserError(f"`{text}`: {name} is a share", remedy=f"Write it in percent, such as {name}>2%.")
    return Limit(text, name, number / 100 if is_share else number, is_share)


def passed(diff: Diff, limits: Iterable[Limit]) -> list[str]:
    """A sentence for each limit that is passed. Raises UserError for one that the builds cannot tell."""
    sentences = []
    for limit in limits:
        amount = MEASURES[limit.name](diff)
        if amount is None:
            why, remedy = _missing(limit.name, diff)
            raise UserError(f"`{limit.text}` cannot be told: {why}", remedy=remedy)
        value = amount.share if limit.is_share or amount.count is None else amount.count
        if value is not None and value > limit.most:
            sentences.append(f"{limit.text}: {_shown(amount, limit.name)}")
    return sentences


def _missing(name: str, diff: Diff) -> tuple[str, str]:
    """Why a limit cannot be told, and what to do."""
    if name == "score_drop":
        return "the ledger has no scores of both builds for one part", _LEAVE_OUT
    if not diff.records_in_both and name in _OF_BOTH:
        words = f"the builds {diff.before} and {diff.after} have no record in common"
        return words, "Are these the builds that you mean? Limits for others: added, removed, balance."
    return "one of the builds has emitted no chats", _LEAVE_OUT


def _shown(amount: Amount, name: str) -> str:
    share = (
        "" if amount.share is None else "all" if math.isinf(amount.share) else f"{100 * amount.share:.3g}%"
    )
    if name == "balance":
        return f"{100 * (amount.share or 0):.3g} points"
    if amount.count is None:
        return share
    return f"{amount.count:,} ({share})" if share else f"{amount.count:,}"
