"""The last scores of a card's recipe, when its answers were ever evaluated."""

from __future__ import annotations

from datakit.artifacts.build_folder import BuildFolder
from datakit.artifacts.ledger import ledger_of, read_scores
from datakit.cards.parts import PART_NAMES
from datakit.pages.blocks import Cell, Section, Table, Text

MOST = 5
_METRICS = ("accuracy", "macro_f1", "weighted_f1")


def scores_section(build: BuildFolder) -> Section:
    """The newest scores first; those of another state of the data say so."""
    ledger = ledger_of(build.projects)
    scores = [score for score in read_scores(ledger) if score.name == build.report.name] if ledger else []
    if not scores:
        return Section("Scores", [])
    scores.sort(key=lambda score: score.date, reverse=True)
    rows: list[list[Cell]] = []
    for score in scores[:MOST]:
        accuracy, *others = (score.metrics[name] for name in _METRICS)
        cells: list[Cell] = [
            score.date[:10],
            score.model or "unnamed",
            PART_NAMES.get(score.split, score.split),
            score.records,
            round(100 * accuracy.value, 1),
            f"{100 * accuracy.low:.1f} to {100 * accuracy.high:.1f}",
            *(round(100 * figure.value, 1) for figure in others),
            "yes" if score.content == build.manifest.content else "no",
        ]
        rows.append(cells)
    head = [
        "date",
        "model",
        "part",
        "records",
        "accuracy, %",
        "95% interval",
        "macro F1, %",
        "weighted F1, %",
    ]
    words = "What models answered to records of this data set."
    if len(scores) > MOST:
        words += f" The last {MOST} of {len(scores)}; all of them: datakit scores."
    return Section("Scores", [Text(words), Table([*head, "this data"], rows)])
