"""The page of several labels, numbers and free text: the result in words, the figures, the worst records."""

from __future__ import annotations

from datakit.artifacts.build_folder import BuildFolder
from datakit.artifacts.metric_names import metric, shown
from datakit.artifacts.predictions import NOT_ANSWERED
from datakit.cards.samples import thumbnail
from datakit.evaluation.evaluation import Evaluation
from datakit.evaluation.metrics import Interval
from datakit.evaluation.page_parts import class_table, percent
from datakit.evaluation.tasks import Task
from datakit.evaluation.worst import Worst
from datakit.pages.blocks import Block, Bullets, Cell, Code, Part, Sample, Section, Table, Turn

MOST_SAMPLES = 8
_CELL_CHARS = 60
_YES_OR_NO = ("subset_accuracy", "within_tolerance", "exact_match")
_FEW_RECORDS = 200
"""As on the page of one label a record."""


def lead_of_values(evaluation: Evaluation) -> str:
    """The result in a sentence."""
    who = evaluation.model or "The model"
    of = f"{evaluation.records:,} records of the split {evaluation.split}"
    figures = evaluation.metrics
    if evaluation.task is Task.LABELS:
        right = round(figures["subset_accuracy"].value * evaluation.records)
        return (
            f"{who} names exactly the true labels of {right:,} of {of}: "
            f"{_with_ends('subset_accuracy', figures['subset_accuracy'])}."
        )
    if evaluation.task is Task.NUMBER:
        near = f"{percent(figures['within_tolerance'].value)} are {_within(evaluation)}"
        if "mae" not in figures:
            return f"{who} gives no number for any of {of}."
        return f"{who} is off by a mean of {_with_ends('mae', figures['mae'])}, on {of}; {near}."
    if evaluation.task is Task.BOXES:
        return (
            f"{who} covers the true boxes of {of} with a mean IoU of "
            f"{_with_ends('mean_iou', figures['mean_iou'])}; all boxes are found, and none besides, in "
            f"{percent(figures['accuracy_50'].value)} of the records."
        )
    return (
        f"{who} answers {of} with a mean character F1 of {_with_ends('char_f1', figures['char_f1'])}; "
        f"{percent(figures['exact_match'].value)} are exactly a reference."
    )


def notices_of_values(evaluation: Evaluation) -> list[str]:
    """What a reader must know first of answers that could not be scored, and of few records."""
    texts = []
    missing = evaluation.problems.get(NOT_ANSWERED, 0) if "missing" in evaluation.trouble else 0
    unread = sum(evaluation.problems.values()) - missing
    if missing:
        texts.append("Records without an answer count like answers with a problem.")
    if evaluation.task is Task.NUMBER and unread + missing:
        texts.append(
            f"{unread + missing:,} answers are no number: they are not within the tolerance, and errors and "
            "Spearman's coefficient leave them out."
        )
    elif unread:
        texts.append(f"{unread:,} answers could not be read and count as wrong.")
    if evaluation.task is Task.NUMBER and "spearman" not in evaluation.metrics:
        texts.append("Spearman's coefficient is left out: all true or all answered numbers are alike.")
    if evaluation.referee is not None and evaluation.referee.open:
        texts.append(f"{evaluation.referee.open:,} answers have no verdict of the referee yet.")
    if evaluation.records < _FEW_RECORDS:
        name, figure = next(iter(evaluation.metrics.items()))
        ends = f"{shown(name, figure.low)} to {shown(name, figure.high)}"
        texts.append(f"{evaluation.records:,} records are few: {metric(name).title} may be {ends}.")
    return texts


def sections_of_values(evaluation: Evaluation, build: BuildFolder) -> list[Section]:
    """What only these tasks have: the labels one by one, and the worst records."""
    labels: list[Block] = [class_table(evaluation)] if evaluation.classes else []
    return [Section("Labels", labels), _worst(evaluation, build)]


def method(evaluation: Evaluation) -> str:
    """How the figures are computed."""
    drawn = (
        f"percentiles of a bootstrap over records with {evaluation.resamples:,} resamples and seed "
        f"{evaluation.seed}"
    )
    if evaluation.task is Task.LABEL:
        return (
            f"Accuracy has Wilson's score interval; the others are {drawn}. Macro F1 is the mean over the "
            "classes that are true or answered; at 0 and at 100% its interval has no width and says nothing."
        )
    if evaluation.task is Task.LABELS:
        return (
            "Subset accuracy is the share of records whose answer is the true set, with Wilson's score "
            f"interval; the others are {drawn}. The Hamming loss is the share of all decisions, one for each "
            "record and label, that are wrong: less is better."
        )
    if evaluation.task is Task.NUMBER:
        return (
            f"Near enough is {_within(evaluation)} of the truth. The shares have Wilson's score interval; "
            f"the others are {drawn}. Errors are in the unit of the numbers: less is better. "
            "Spearman's coefficient compares the order, from -1 to 1; equal numbers share a rank."
        )
    if evaluation.task is Task.BOXES:
        return (
            "IoU is the shared area of two boxes by the area of both together. A record's boxes are paired, "
            "the largest overlap first; a true box without a partner counts 0 in the mean. Found is a pair "
            "of 0.5 or more (PASCAL VOC); a record is right when every true box is found and no other is "
            "answered. Names are not compared, but for the share of found boxes that have the true one. "
            f"Records right have Wilson's score interval; the others are {drawn}."
        )
    return (
        "Character F1 = 2 x shared characters / (characters of the answer + of the reference), as bags, in "
        "NFKC without case, white space and punctuation; exact match compares the same forms. ANLS = 1 - "
        "edit distance / the longer length, 0 from half on (ST-VQA). Of several references the nearest "
        f"counts. Exact match has Wilson's score interval; the others are {drawn}."
        + (" The referee's figure is the mean of its verdicts." if evaluation.referee else "")
    )


def _with_ends(name: str, figure: Interval) -> str:
    low, high = shown(name, figure.low), shown(name, figure.high)
    return f"{shown(name, figure.value)}, with a 95% interval from {low} to {high}"


def _within(evaluation: Evaluation) -> str:
    return f"within {evaluation.tolerance:g}" if evaluation.tolerance else "within 0 (no --tolerance)"


def _worst(evaluation: Evaluation, build: BuildFolder) -> Section:
    """The records that are furthest off: a table, and the first with their pictures."""
    if not evaluation.worst:
        return Section("Worst answers", [])
    names = list(evaluation.worst[0].scores)
    rows: list[list[Cell]] = [
        [
            Code(worst.id),
            _short(_truth(worst)),
            _short(_answered(worst)),
            *(_figure(name, worst.scores[name]) for name in names),
        ]
        for worst in evaluation.worst
    ]
    head = ["record", "truth", "answered", *map(_title, names)]
    samples = [_sample(worst, names, build) for worst in evaluation.worst[:MOST_SAMPLES]]
    referee: list[Block] = []
    if evaluation.referee is not None:
        facts = evaluation.referee
        referee = [Bullets([f"Judged by {facts.model} with {facts.template}: {facts.judged:,} answers."])]
    return Section("Worst answers", [Table(head, rows), *referee, *samples])


def _title(name: str) -> str:
    """The head of a record's own figure, which is no mean."""
    return {"mae": "error", "subset_accuracy": "right"}.get(name, metric(name).title)


def _figure(name: str, value: float | None) -> str:
    """A record's own figure; what is right or wrong as a word."""
    if value is None:
        return "none"
    return ("yes" if value else "no") if name in _YES_OR_NO else shown(name, value)


def _sample(worst: Worst, names: list[str], build: BuildFolder) -> Sample:
    facts = [("truth", _truth(worst)), ("answered", _answered(worst))]
    facts.append((_title(names[0]), _figure(names[0], worst.scores[names[0]])))
    images = [thumbnail(build.path / path, number) for number, path in enumerate(worst.images, 1)]
    turns = [Turn("answer", [Part(worst.answer)])] if worst.answer and worst.answer != worst.answered else []
    turns += [Turn("referee", [Part(worst.verdict)])] if worst.verdict else []
    return Sample(worst.id, facts, images, turns)


def _truth(worst: Worst) -> str:
    return " / ".join(worst.truth)


def _answered(worst: Worst) -> str:
    return worst.answered or f"({worst.problem})"


def _short(text: str) -> str:
    line = " ".join(text.split())
    return f"{line[:_CELL_CHARS]}…" if len(line) > _CELL_CHARS else line
