"""The scores of two builds side by side, as the ledger keeps them."""

from __future__ import annotations

from datakit.artifacts.build_folder import BuildFolder
from datakit.artifacts.ledger import Figure, Score, ledger_of, read_scores, versions
from datakit.artifacts.metric_names import main_metrics
from datakit.cards.diff import ScoreChange
from datakit.evaluation.ledger import entry_since
from datakit.evaluation.metrics import Difference


def score_changes(before: BuildFolder, after: BuildFolder) -> list[ScoreChange]:
    """The newest score of each part that both builds were evaluated on, `after` held against `before`.

    A score is a build's where recipe and content are the same. Differences are paired over the records that
    both answered, where the answers are kept.
    """
    first, second = _newest(before), _newest(after)
    changes = []
    for key, score in second.items():
        old = first.get(key)
        name = next(iter(main_metrics(score.task)), "")
        if old is None or name not in old.metrics or name not in score.metrics:
            continue
        entry = entry_since(old, score, after.projects[0])
        changes.append(
            ScoreChange(
                part=score.split,
                metric=name,
                before=old.metrics[name],
                after=score.metrics[name],
                model_before=old.model,
                model_after=score.model,
                difference=_figure(entry.difference),
                p=entry.difference.p if entry.difference is not None else None,
                compared=entry.compared,
            )
        )
    return changes


def _figure(difference: Difference | None) -> Figure | None:
    if difference is None:
        return None
    interval = difference.interval
    return Figure(value=interval.value, low=interval.low, high=interval.high)


def _newest(build: BuildFolder) -> dict[tuple[str, str, bool], Score]:
    """Part, task and whether only answered records count -> the last score of the build as it stands."""
    ledger = ledger_of(build.projects)
    scores = versions(read_scores(ledger)) if ledger is not None else []
    own = [
        score
        for score in scores
        if (score.name, score.content) == (build.report.name, build.manifest.content)
    ]
    return {
        (score.split, score.task, score.answered_only): score
        for score in sorted(own, key=lambda score: score.date)
    }
