"""The scores of an evaluation in a few lines, for the end of a handoff. A bundle carries it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from datakit.artifacts.metric_names import metric, shown
from datakit.evaluation.evaluation import Evaluation

_MOST_PAIRS = 5


def score_figures(evaluation: Evaluation) -> dict[str, dict[str, float]]:
    """Name of each figure -> its value and the ends of its interval, for `--json`."""
    return {
        name: {"value": figure.value, "low": figure.low, "high": figure.high}
        for name, figure in evaluation.metrics.items()
    }


def score_lines(evaluation: Evaluation) -> Iterator[str]:
    """Figures with their intervals, what saying always the same would give, and the commonest mistakes."""
    yield f"{evaluation.records:,} records of {evaluation.build} ({evaluation.split})"
    for name, figure in evaluation.metrics.items():
        low, high = shown(name, figure.low), shown(name, figure.high)
        yield f"{metric(name).title} {shown(name, figure.value)} (95%: {low} to {high})"
    support = Counter({figures.label: figures.support for figures in evaluation.classes})
    if evaluation.confusion.labels and evaluation.records:
        label, count = support.most_common(1)[0]
        share = shown("accuracy", count / evaluation.records)
        yield f"always saying {label} would be right for {share}"
    yield from evaluation.edited
    for problem, count in evaluation.problems.items():
        yield f"{count:,} answers without a value: {problem}"
    yield from cut_lines(evaluation)
    for pair in evaluation.pairs[:_MOST_PAIRS]:
        yield f"{pair.count:,} times {pair.answered} in place of {pair.truth}"
    for kind, trouble in evaluation.trouble.items():
        yield f"{trouble.count:,} records: {kind}, such as {trouble.ids[0]}"


def cut_lines(evaluation: Evaluation) -> Iterator[str]:
    """A sentence for each turn of which answers were cut off."""
    for turn, count in evaluation.cut.items():
        yield (
            f"{count:,} answers were cut off in turn {turn}, because their room ended, and count as "
            "what they state: more room with --max-answer-tokens"
        )
