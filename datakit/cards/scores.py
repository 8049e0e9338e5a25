"""The last scores of a card's recipe, when its answers were ever evaluated."""

from __future__ import annotations

from datakit.artifacts.build_folder import BuildFolder
from datakit.artifacts.ledger import Score, ledger_of, read_scores, versions
from datakit.artifacts.metric_names import main_metrics, metric, shown_ends
from datakit.cards.parts import PART_NAMES
from datakit.pages.blocks import Cell, Section, Table, Text

MOST = 5


def scores_section(build: BuildFolder) -> Section:
    """The newest scores first; those of another state of the data say so."""
    ledger = ledger_of(build.projects)
    lines = versions(read_scores(ledger)) if ledger else []
    scores = [score for score in lines if score.name == build.report.name]
    if not scores:
        return Section("Scores", [])
    scores.sort(key=lambda score: score.date, reverse=True)
    words = "What models answered to records of this data set."
    if len(scores) > MOST:
        words += f" The last {MOST} of {len(scores)}; all of them: datakit scores."
    newest = scores[:MOST]
    tasks = dict.fromkeys(score.task for score in newest if main_metrics(score.task))
    tables = [_table(task, [score for score in newest if score.task == task], build) for task in tasks]
    return Section("Scores", [Text(words), *tables])


def _table(task: str, scores: list[Score], build: BuildFolder) -> Table:
    """The scores of one task, its first figure with the interval."""
    first, *others = main_metrics(task)
    rows: list[list[Cell]] = []
    for score in scores:
        figure = score.metrics.get(first)
        cells: list[Cell] = [
            score.date[:10],
            score.model or "unnamed",
            PART_NAMES.get(score.split, score.split),
            score.records,
            _cell(first, score),
            shown_ends(first, figure.low, figure.high) if figure else None,
            *(_cell(name, score) for name in others),
            "yes" if score.content == build.manifest.content else "no",
        ]
        rows.append(cells)
    titles = [metric(name).title + (", %" if metric(name).is_share else "") for name in (first, *others)]
    head = ["date", "model", "part", "records", titles[0], "95% interval", *titles[1:], "this data"]
    return Table(head, rows)


def _cell(name: str, score: Score) -> Cell:
    figure = score.metrics.get(name)
    if figure is None:
        return None
    return round(100 * figure.value, 1) if metric(name).is_share else float(f"{figure.value:.4g}")
