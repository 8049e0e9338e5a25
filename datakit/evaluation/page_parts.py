"""The parts of a page that evaluations of every task have: differences, problems, classes."""

from __future__ import annotations

from collections.abc import Iterator

from datakit.artifacts.metric_names import metric, shown_change, shown_ends
from datakit.artifacts.predictions import CONTRADICTED, NOT_ANSWERED, REFUSED, THINKING_CUT
from datakit.evaluation.evaluation import Evaluation
from datakit.evaluation.tasks import NOT_A_NUMBER, Task
from datakit.pages.blocks import Block, Cell, Code, Section, Table, Text

PROBLEMS = {
    "empty": "the answer is empty",
    REFUSED: "the model or its server declined to answer",
    THINKING_CUT: "the model was still thinking when its tokens were used up",
    "form": "the answer has not the trained form",
    "label_missing": "the answer states no label",
    "label_unknown": "the label is not in the label file",
    "label_ambiguous": "the answer states several labels",
    NOT_A_NUMBER: "the answer is no number",
    "number_missing": "the answer states no number",
    "number_ambiguous": "the answer states several numbers",
    "boxes_unreadable": "the answer states no boxes",
    NOT_ANSWERED: "there is no answer",
    CONTRADICTED: "the file has two different answers",
}
TROUBLES = {
    "missing": "have no answer in the file",
    "unknown_id": "ids in the file are not in the build",
    "other_split": "answers are for another split",
    "doubled": "ids come more than once with the same answer; the last one counts",
    CONTRADICTED: "have different answers in the file; none of them is taken, and the records count as wrong",
    "other_truth": "answers were made when the record had another label; the build's label counts",
    "without_truth": "records of the split have no label and are left out",
}
WITHOUT = {
    Task.LABEL: "label",
    Task.LABELS: "set of labels",
    Task.NUMBER: "number",
    Task.TEXT: "text",
    Task.BOXES: "list of boxes",
}
"""What an answer with a problem is not."""
_COUNT = {
    Task.NUMBER: "They are not within the tolerance; the errors leave them out.",
    Task.TEXT: "They are worth nothing.",
    Task.BOXES: "None of their boxes is found.",
}


def percent(value: float) -> str:
    return f"{100 * value:.1f}%"


def points(value: float) -> float:
    """A share in percent, to a tenth."""
    return round(100 * value, 1)


def trouble_lines(evaluation: Evaluation) -> Iterator[str]:
    """Records and answers that did not find each other, a sentence without its stop for each kind."""
    for kind, trouble in evaluation.trouble.items():
        ids = ", ".join(trouble.ids) + (", …" if trouble.count > len(trouble.ids) else "")
        yield f"{trouble.count:,} {TROUBLES[kind]}: {ids}"


def comparison_section(evaluation: Evaluation) -> Section:
    """What is better and worse than in the evaluation that this one is compared with."""
    blocks: list[Block] = []
    for comparison in evaluation.compared_with:
        words = (
            f"Against {comparison.run}, on {comparison.records:,} records that both have: "
            f"{comparison.only_second:,} are right here alone, {comparison.only_first:,} there alone"
        )
        words += (
            "." if comparison.mcnemar_p is None else f" (McNemar's exact test: p {comparison.mcnemar_p:.3g})."
        )
        blocks.append(Text(words))
        rows: list[list[Cell]] = [
            [
                metric(name).title,
                points(difference.interval.value)
                if evaluation.task is Task.LABEL
                else shown_change(name, difference.interval.value) + _unit(evaluation.task, name),
                shown_ends(name, difference.interval.low, difference.interval.high),
                f"{difference.p:.3g}",
                "yes" if difference.significant else "no",
            ]
            for name, difference in comparison.differences.items()
        ]
        head = "difference, points" if evaluation.task is not Task.NUMBER else "difference"
        blocks.append(Table(["score", head, "95% interval", "p", "told from chance"], rows))
    return Section("Difference", blocks)


def _unit(task: Task, name: str) -> str:
    """What a difference is counted in, where the figures of a table are of several units."""
    return " points" if task is Task.NUMBER and metric(name).is_share else ""


def unread_section(evaluation: Evaluation) -> Section:
    """The answers that state nothing that could be scored, by kind."""
    title = f"Answers that are no {WITHOUT[evaluation.task]}"
    if not evaluation.problems:
        return Section(title, [])
    rows: list[list[Cell]] = [
        [Code(kind), PROBLEMS.get(kind, ""), count, points(count / evaluation.records)]
        for kind, count in evaluation.problems.items()
    ]
    words = _COUNT.get(evaluation.task, "They count as wrong.")
    return Section(title, [Text(words), Table(["problem", "what it means", "answers", "%"], rows)])


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
    return Table(["class, weakest first", "records", "answered", "precision, %", "recall, %", "F1, %"], rows)
