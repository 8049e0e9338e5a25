"""What is odd about reviewers' decisions, in words: nothing of it is an error, and all of it can mislead."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from datetime import datetime, timedelta

from datakit.artifacts.overrides import Override, OverrideLine
from datakit.core.counted import counted
from datakit.core.visible import visible

UNNAMED = "unnamed"
_NAMED = 5
_CLOCKS_DIFFER = timedelta(minutes=5)


def oddities(lines: Sequence[OverrideLine], place: str, now: datetime) -> list[str]:
    """Decisions without a zone or a name, dated after `now`, or there more than once: counted and named.

    `place` is how the file is called.
    """
    latest = now + _CLOCKS_DIFFER
    told = []
    if found := [one.override for one in lines if one.is_without_zone]:
        told.append(
            f"{_some(found, place, 'has', 'have')} a time without its zone, read as UTC: {named_ids(found)}"
        )
    if found := [one.override for one in lines if one.override.when and one.override.when > latest]:
        told.append(
            f"{_some(found, place, 'is', 'are')} dated in the future, against which nothing counts that the "
            f"same reviewer decides until then: {named_ids(found)} ({found[0].when:%Y-%m-%d %H:%M} UTC)"
        )
    if found := [one.override for one in lines if not one.override.who]:
        told.append(
            f"{_some(found, place, 'names', 'name')} no reviewer (`who`); those without one count as one "
            f"person's, of which the last about a record holds: {named_ids(found)}"
        )
    times = Counter(one.override for one in lines)
    if found := [override for override, count in times.items() if count > 1]:
        some = _some(found, place, "stands", "stand")
        told.append(f"{some} there more than once: {named_ids(found)}")
    return told


def disagreements(
    lines: Iterable[OverrideLine], canonical: Callable[[str | None], str | None] = lambda label: label
) -> dict[str, list[Override]]:
    """Id -> the last decision of each reviewer, of the records that people who saw the same decided
    differently. `canonical` gives a label as the label file spells it."""
    sights: dict[tuple[str, str], dict[str, Override]] = {}
    for line in sorted(lines, key=lambda line: line.order):
        one = line.override
        sights.setdefault((one.id, one.judged), {})[one.who] = one
    return {
        id_: list(people.values())
        for (id_, _), people in sights.items()
        if len({_result(one, canonical) for one in people.values()}) > 1
    }


def told_disagreements(found: dict[str, list[Override]]) -> str:
    """They in words, the first of them with who decided what."""
    first, people = next(iter(found.items()))
    said = "; ".join(f"{one.who or UNNAMED}: {one.what}" for one in people)
    return (
        f"reviewers disagree about {counted(len(found), 'record')}, and no one is followed until one of them "
        f"decides again: {shown_ids(found)} ({visible(first)}: {visible(said)})"
    )


def named_ids(decisions: Iterable[Override]) -> str:
    """The first ids that decisions are about, each once."""
    return shown_ids(one.id for one in decisions)


def _result(one: Override, canonical: Callable[[str | None], str | None]) -> tuple[str, str | None]:
    """What a decision comes to: to relabel to the label that is there is to accept it."""
    new = canonical(one.new) if one.action == "relabel" else None
    return ("accept", None) if new is not None and new == canonical(one.old) else (one.action, new)


def shown_ids(ids: Iterable[str]) -> str:
    """The first ids, each once, and how many more there are."""
    every = [visible(id_) for id_ in dict.fromkeys(ids)]
    more = f" and {len(every) - _NAMED:,} more" if len(every) > _NAMED else ""
    return ", ".join(every[:_NAMED]) + more


def _some(found: Sequence[Override], place: str, does: str, do: str) -> str:
    return f"{place}: {counted(len(found), 'decision')} {does if len(found) == 1 else do}"
