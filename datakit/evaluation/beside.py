"""What stands beside a score, so that it can be judged: chance, and the score measured before it."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from datakit.artifacts.build_folder import BuildFolder
from datakit.artifacts.ledger import Figure, Score, ledger_of, read_scores, versions
from datakit.artifacts.metric_names import main_metrics, metric, shown
from datakit.cards.score_words import difference_text
from datakit.core.wording import t
from datakit.evaluation import bootstrap, metrics
from datakit.evaluation.evaluation import Evaluated, Evaluation
from datakit.evaluation.ledger import Entry, entry_since, family, score_of
from datakit.evaluation.metrics import Table
from datakit.evaluation.outcomes import Outcomes
from datakit.evaluation.tasks import Task, Value
from datakit.evaluation.value_outcomes import ValueOutcomes, answered_text


@dataclass(frozen=True)
class Chance:
    """What one and the same answer to every record would be worth."""

    answer: str
    figures: dict[str, float]


def chance(outcomes: Outcomes | ValueOutcomes) -> Chance:
    """The figures of always giving the most frequent truth; of numbers, their median."""
    if isinstance(outcomes, ValueOutcomes):
        answer = _usual(outcomes)
        given = replace(outcomes, given=(answer,) * outcomes.count, verdicts=None)
        return Chance(answered_text(answer), bootstrap.values(given.figures))
    truth, _ = outcomes.codes()
    (place, _), *_ = Counter(truth.tolist()).most_common(1)
    table = Table.of(truth, np.full_like(truth, place), len(outcomes.classes))
    return Chance(outcomes.classes[place], metrics.scores(table))


def _usual(outcomes: ValueOutcomes) -> Value:
    """The answer that is right most often without a look at the pictures."""
    if outcomes.target.task is Task.NUMBER:
        return float(np.median([value for value in outcomes.truth if isinstance(value, float)]))
    first = [value[:1] if isinstance(value, tuple) else value for value in outcomes.truth]
    (answer, _), *_ = Counter(first).most_common(1)
    return answer


def last_score(evaluation: Evaluation, build: BuildFolder) -> Score | None:
    """The newest score of the recipe's family on this split in the project, but for that of these answers."""
    ledger = ledger_of(build.projects[:1])
    others = [
        score
        for score in (versions(read_scores(ledger)) if ledger is not None else ())
        if (family(score.name), score.split, score.task)
        == (family(evaluation.build), evaluation.split, evaluation.task.value)
        and score.predictions_sha256 != evaluation.predictions_sha256
    ]
    return max(others, key=lambda score: score.date, default=None)


def since_last(evaluated: Evaluated, build: BuildFolder, outcomes: Path) -> Entry | None:
    """This score beside the one before it; `outcomes` is the file with each record's."""
    before = last_score(evaluated.evaluation, build)
    if before is None:
        return None
    return entry_since(before, score_of(evaluated.evaluation, build, outcomes), build.projects[0])


def words_of_chance(by_chance: Chance) -> str:
    """What chance means here."""
    line = " ".join(by_chance.answer.split())
    return t(
        "By chance: what always answering “{answer}” would be worth.",
        answer=f"{line[:60]}{'…' if len(line) > 60 else ''}",
    )


def words_of_last(entry: Entry) -> str:
    """The score before this one, and whether the difference is told from chance."""
    before = entry.before
    assert before is not None  # `entry_since` has one
    who = ", ".join(part for part in (before.name, before.model, before.run_id) if part)
    words = t("Before: {who}, of {date}.", who=who, date=before.date[:10])
    name, *_ = (*main_metrics(before.task), "")
    if entry.difference is None or not name:
        return words + t(" The two share no record, so the difference may be one of records.")
    interval = entry.difference.interval
    return words + t(
        " On the {count:,} records of both, {title} {change}, p {p:.3g}: {verdict}.",
        count=entry.compared,
        title=t(metric(name).title),
        change=difference_text(name, Figure(value=interval.value, low=interval.low, high=interval.high)),
        p=entry.difference.p,
        verdict=t("told from chance" if entry.difference.significant else "may be chance"),
    )


def shown_beside(name: str, by_chance: Chance, before: Score | None) -> tuple[str, str]:
    """A figure by chance and that of the score before, as text; "·" where there is none."""
    old = before.metrics.get(name) if before is not None else None
    return (
        shown(name, by_chance.figures[name]) if name in by_chance.figures else "·",
        shown(name, old.value) if old is not None else "·",
    )
