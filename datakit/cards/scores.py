"""The last scores of a card's recipe, when its answers were ever evaluated."""

from __future__ import annotations

from collections import Counter

from datakit.artifacts.build_folder import BuildFolder
from datakit.artifacts.ledger import Score, ledger_of, read_scores, versions
from datakit.artifacts.metric_names import main_metrics, metric
from datakit.cards.parts import part_name
from datakit.cards.score_words import ends_text
from datakit.core.wording import t
from datakit.pages import charts
from datakit.pages.blocks import Block, Cell, Chart, Section, Table, Text

MOST = 5
MOST_VERSIONS = 12
"""Versions on the line, the newest ones."""


def scores_section(build: BuildFolder) -> Section:
    """The newest scores first; those of another state of the data say so."""
    ledger = ledger_of(build.projects)
    lines = versions(read_scores(ledger)) if ledger else []
    scores = [score for score in lines if score.name == build.report.name]
    if not scores:
        return Section(t("Scores"), [])
    scores.sort(key=lambda score: score.date, reverse=True)
    words = t("What models answered to records of this data set.")
    if len(scores) > MOST:
        words += t(
            " The last {most} of {scores}; all of them: datakit scores.", most=MOST, scores=len(scores)
        )
    newest = scores[:MOST]
    tasks = dict.fromkeys(score.task for score in newest if main_metrics(score.task))
    blocks: list[Block] = [Text(words)]
    for task in tasks:
        blocks += _line(task, [score for score in scores if score.task == task])
        blocks.append(_table(task, [score for score in newest if score.task == task], build))
    return Section(t("Scores"), blocks)


def _line(task: str, scores: list[Score]) -> list[Block]:
    """The first figure of the newest score of each version on the part that most were scored on."""
    name = main_metrics(task)[0]
    part = Counter(score.split for score in scores).most_common(1)[0][0]
    newest = {score.content: score for score in reversed(scores) if score.split == part}  # oldest first
    shown = [score for score in newest.values() if name in score.metrics][-MOST_VERSIONS:]
    if len(shown) < 2:
        return []
    scale = 100 if metric(name).is_share else 1
    figures = [
        (scale * one.value, scale * one.low, scale * one.high)
        for one in (score.metrics[name] for score in shown)
    ]
    unit = t(metric(name).title) + (", %" if metric(name).is_share else "")
    title = t("{title} over versions, {part}", title=t(metric(name).title), part=part_name(part))
    names = [f"{score.date[5:10]} {score.content[:6]}" for score in shown]
    alt = f"{title}: " + ", ".join(
        f"{of} {value:.4g}" for of, (value, *_) in zip(names, figures, strict=True)
    )
    return [Chart(f"scores-{task}", alt, charts.line(title, names, figures, unit))]


def _table(task: str, scores: list[Score], build: BuildFolder) -> Table:
    """The scores of one task, its first figure with the interval."""
    first, *others = main_metrics(task)
    rows: list[list[Cell]] = []
    for score in scores:
        figure = score.metrics.get(first)
        cells: list[Cell] = [
            score.date[:10],
            score.model or t("unnamed"),
            part_name(score.split),
            score.records,
            _cell(first, score),
            ends_text(first, figure.low, figure.high) if figure else None,
            *(_cell(name, score) for name in others),
            t("yes") if score.content == build.manifest.content else t("no"),
        ]
        rows.append(cells)
    titles = [t(metric(name).title) + (", %" if metric(name).is_share else "") for name in (first, *others)]
    head = [
        t("date"),
        t("model"),
        t("part"),
        t("records"),
        titles[0],
        t("95% interval"),
        *titles[1:],
        t("this data"),
    ]
    return Table(head, rows)


def _cell(name: str, score: Score) -> Cell:
    figure = score.metrics.get(name)
    if figure is None:
        return None
    return round(100 * figure.value, 1) if metric(name).is_share else float(f"{figure.value:.4g}")
