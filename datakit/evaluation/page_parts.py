"""The parts of a page that evaluations of every task have: differences, problems, classes."""

from __future__ import annotations

from collections.abc import Iterator

from datakit.artifacts.metric_names import metric, shown_change
from datakit.artifacts.predictions import CONTRADICTED, NOT_ANSWERED, REFUSED, THINKING_CUT
from datakit.cards.score_words import ends_text
from datakit.core.wording import later, t
from datakit.evaluation.evaluation import Evaluation
from datakit.evaluation.tasks import NOT_A_NUMBER, Task
from datakit.pages.blocks import Block, Cell, Code, Section, Table, Text

PROBLEMS = {
    "empty": later("the answer is empty"),
    REFUSED: later("the model or its server declined to answer"),
    THINKING_CUT: later("the model was still thinking when its tokens were used up"),
    "form": later("the answer has not the trained form"),
    "label_missing": later("the answer states no label"),
    "label_unknown": later("the label is not in the label file"),
    "label_ambiguous": later("the answer states several labels"),
    NOT_A_NUMBER: later("the answer is no number"),
    "number_missing": later("the answer states no number"),
    "number_ambiguous": later("the answer states several numbers"),
    "boxes_unreadable": later("the answer states no boxes"),
    NOT_ANSWERED: later("there is no answer"),
    CONTRADICTED: later("the file has two different answers"),
}
TROUBLES = {
    "missing": later("have no answer in the file"),
    "unknown_id": later("ids in the file are not in the build"),
    "other_split": later("answers are for another split"),
    "doubled": later("ids come more than once with the same answer; the last one counts"),
    CONTRADICTED: later(
        "have different answers in the file; none of them is taken, and the records count as wrong"
    ),
    "other_truth": later("answers were made when the record had another label; the build's label counts"),
    "without_truth": later("records of the split have no label and are left out"),
}
WITHOUT = {
    Task.LABEL: later("Answers that are no label"),
    Task.LABELS: later("Answers that are no set of labels"),
    Task.NUMBER: later("Answers that are no number"),
    Task.TEXT: later("Answers that are no text"),
    Task.BOXES: later("Answers that are no list of boxes"),
}
"""What answers with a problem are not."""
_COUNT = {
    Task.NUMBER: later("They are not within the tolerance; the errors leave them out."),
    Task.TEXT: later("They are worth nothing."),
    Task.BOXES: later("None of their boxes is found."),
}

_WRONG = later("They count as wrong.")


def percent(value: float) -> str:
    return f"{100 * value:.1f}%"


def points(value: float) -> float:
    """A share in percent, to a tenth."""
    return round(100 * value, 1)


def trouble_lines(evaluation: Evaluation) -> Iterator[str]:
    """Records and answers that did not find each other, a sentence without its stop for each kind."""
    for kind, trouble in evaluation.trouble.items():
        ids = ", ".join(trouble.ids) + (", …" if trouble.count > len(trouble.ids) else "")
        yield t("{count:,} {what}: {ids}", count=trouble.count, what=t(TROUBLES[kind]), ids=ids)


def comparison_section(evaluation: Evaluation) -> Section:
    """What is better and worse than in the evaluation that this one is compared with."""
    blocks: list[Block] = []
    for comparison in evaluation.compared_with:
        words = t(
            "Against {run}, on {count:,} records that both have: {here:,} are right here alone, {there:,} "
            "there alone",
            run=comparison.run,
            count=comparison.records,
            here=comparison.only_second,
            there=comparison.only_first,
        )
        if comparison.mcnemar_p is not None:
            words += t(" (McNemar's exact test: p {p:.3g})", p=comparison.mcnemar_p)
        words += t(". ").rstrip()
        blocks.append(Text(words))
        rows: list[list[Cell]] = [
            [
                t(metric(name).title),
                points(difference.interval.value)
                if evaluation.task is Task.LABEL
                else shown_change(name, difference.interval.value) + _unit(evaluation.task, name),
                ends_text(name, difference.interval.low, difference.interval.high),
                f"{difference.p:.3g}",
                t("yes" if difference.significant else "no"),
            ]
            for name, difference in comparison.differences.items()
        ]
        head = t("difference, points" if evaluation.task is not Task.NUMBER else "difference")
        columns = [t("score"), head, t("95% interval"), "p", t("told from chance")]
        blocks.append(Table(columns, rows))
    return Section(t("Difference"), blocks)


def _unit(task: Task, name: str) -> str:
    """What a difference is counted in, where the figures of a table are of several units."""
    return t(" points") if task is Task.NUMBER and metric(name).is_share else ""


def unread_section(evaluation: Evaluation) -> Section:
    """The answers that state nothing that could be scored, by kind."""
    title = t(WITHOUT[evaluation.task])
    if not evaluation.problems:
        return Section(title, [])
    rows: list[list[Cell]] = [
        [Code(kind), t(PROBLEMS.get(kind, "")), count, points(count / evaluation.records)]
        for kind, count in evaluation.problems.items()
    ]
    words = t(_COUNT.get(evaluation.task, _WRONG))
    return Section(title, [Text(words), Table([t("problem"), t("what it means"), t("answers"), "%"], rows)])


def class_table(evaluation: Evaluation) -> Table:
    """The figures of every class."""
    order = sorted(evaluation.classes, key=lambda figures: (figures.f1, -figures.support))
    rows: list[list[Cell]] = [
        [
            figures.label,
            figures.support,
            figures.answered,
            points(figures.precision),
            points(figures.recall),
            points(figures.f1),
        ]
        for figures in order
    ]
    head = [
        t("class, weakest first"),
        t("records"),
        t("answered"),
        t("precision, %"),
        t("recall, %"),
        "F1, %",
    ]
    return Table(head, rows)
