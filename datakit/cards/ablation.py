"""What each change of the recipe did to its scores, by the last ablation in the ledger."""

from __future__ import annotations

from datakit.artifacts.build_folder import BuildFolder
from datakit.artifacts.ledger import Score, ledger_of, read_scores
from datakit.core.wording import t
from datakit.pages import charts
from datakit.pages.blocks import Block, Cell, Chart, Section, Table, Text


def last_ablation(scores: list[Score], name: str) -> list[Score]:
    """The lines of the newest ablation of a recipe, the base first; none where it has none."""
    lines = [score for score in scores if score.name == name and score.ablation is not None]
    newest = max((score.date for score in lines), default="")
    last = [score for score in lines if score.date == newest]
    return sorted(last, key=lambda score: score.change != "")


def ablation_section(build: BuildFolder) -> Section:
    """A table and a plot of the differences; nothing for a recipe that was never ablated."""
    ledger = ledger_of(build.projects)
    lines = last_ablation(read_scores(ledger), build.report.name) if ledger else []
    if len(lines) < 2:
        return Section(t("Ablation"), [])
    first = lines[0]
    comparisons = max((line.ablation.comparisons for line in lines if line.ablation), default=0)
    seeds = min(line.ablation.seeds for line in lines if line.ablation)
    words = t(
        "One thing changed at a time, and the model trained anew: accuracy less that of "
        "the base, on the same {records:,} held-out records, {date}. Noise is what "
        "chance gives as easily: p is of a paired comparison, corrected for "
        "{comparisons:,} of them (Holm).",
        records=first.records,
        date=first.date[:10],
        comparisons=comparisons,
    )
    if seeds == 1:
        words += t(" Each was trained once, so that the luck of a training is in no interval.")
    rows: list[list[Cell]] = []
    dots: dict[str, tuple[float, float, float]] = {}
    for line in lines:
        rows.append(_row(line))
        if line.ablation and (figure := line.ablation.effect.get("accuracy")):
            dots[line.ablation.change or t("base")] = (
                100 * figure.value,
                100 * figure.low,
                100 * figure.high,
            )
    head = [
        t("change"),
        t("trainings"),
        t("accuracy, %"),
        t("points"),
        t("95% interval"),
        t("macro F1, points"),
        "p",
        t("verdict"),
    ]
    blocks: list[Block] = [Text(words), Table(head, rows)]
    if dots:
        svg = charts.intervals(
            t("Accuracy less that of the base"),
            list(dots),
            list(dots.values()),
            t("points, with 95% intervals"),
        )
        blocks.append(Chart("ablation", t("What each change does to accuracy, in points"), svg))
    return Section(t("Ablation"), blocks)


def _row(line: Score) -> list[Cell]:
    own = line.ablation
    assert own is not None  # `last_ablation` takes no others
    accuracy, macro = own.effect.get("accuracy"), own.effect.get("macro_f1")
    return [
        own.change or t("base"),
        own.seeds,
        round(100 * line.metrics["accuracy"].value, 1),
        f"{100 * accuracy.value:+.1f}" if accuracy else None,
        f"{100 * accuracy.low:+.1f} to {100 * accuracy.high:+.1f}" if accuracy else None,
        f"{100 * macro.value:+.1f}" if macro else None,
        f"{own.p:.3g}" if own.p is not None else None,
        t(own.verdict) if own.verdict else None,
    ]
