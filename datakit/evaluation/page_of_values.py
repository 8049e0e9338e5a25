"""The page of several labels, numbers and free text: the result in words, the figures, the worst records."""

from __future__ import annotations

from datakit.artifacts.build_folder import BuildFolder
from datakit.artifacts.metric_names import metric, shown
from datakit.artifacts.predictions import NOT_ANSWERED
from datakit.cards.samples import thumbnail
from datakit.core.wording import later, t
from datakit.evaluation.evaluation import Evaluation
from datakit.evaluation.metrics import Interval
from datakit.evaluation.page_parts import class_table, percent
from datakit.evaluation.tasks import Task
from datakit.evaluation.worst import Worst
from datakit.pages.blocks import Block, Bullets, Cell, Code, Part, Sample, Section, Table, Turn

MOST_SAMPLES = 8
_CELL_CHARS = 60
_YES_OR_NO = ("subset_accuracy", "within_tolerance", "exact_match")
_OWN_TITLES = {"mae": later("error"), "subset_accuracy": later("right")}
_FEW_RECORDS = 200
"""As on the page of one label a record."""


def lead_of_values(evaluation: Evaluation) -> str:
    """The result in a sentence."""
    who = evaluation.model or t("The model")
    of = t("{count:,} records of the split {split}", count=evaluation.records, split=evaluation.split)
    figures = evaluation.metrics
    if evaluation.task is Task.LABELS:
        right = round(figures["subset_accuracy"].value * evaluation.records)
        return t(
            "{who} names exactly the true labels of {right:,} of {of}: {score}.",
            who=who,
            right=right,
            of=of,
            score=_with_ends("subset_accuracy", figures["subset_accuracy"]),
        )
    if evaluation.task is Task.NUMBER:
        if "mae" not in figures:
            return t("{who} gives no number for any of {of}.", who=who, of=of)
        return t(
            "{who} is off by a mean of {score}, on {of}; {share} are {within}.",
            who=who,
            of=of,
            score=_with_ends("mae", figures["mae"]),
            share=percent(figures["within_tolerance"].value),
            within=_within(evaluation),
        )
    if evaluation.task is Task.BOXES:
        return t(
            "{who} covers the true boxes of {of} with a mean IoU of {score}; all boxes are found, and none "
            "besides, in {share} of the records.",
            who=who,
            of=of,
            score=_with_ends("mean_iou", figures["mean_iou"]),
            share=percent(figures["accuracy_50"].value),
        )
    return t(
        "{who} answers {of} with a mean character F1 of {score}; {share} are exactly a reference.",
        who=who,
        of=of,
        score=_with_ends("char_f1", figures["char_f1"]),
        share=percent(figures["exact_match"].value),
    )


def notices_of_values(evaluation: Evaluation) -> list[str]:
    """What a reader must know first of answers that could not be scored, and of few records."""
    texts = []
    missing = evaluation.problems.get(NOT_ANSWERED, 0) if "missing" in evaluation.trouble else 0
    unread = sum(evaluation.problems.values()) - missing
    if missing:
        texts.append(t("Records without an answer count like answers with a problem."))
    if evaluation.task is Task.NUMBER and unread + missing:
        texts.append(
            t(
                "{count:,} answers are no number: they are not within the tolerance, and errors and "
                "Spearman's coefficient leave them out.",
                count=unread + missing,
            )
        )
    elif unread:
        texts.append(t("{count:,} answers could not be read and count as wrong.", count=unread))
    if evaluation.task is Task.NUMBER and "spearman" not in evaluation.metrics:
        texts.append(t("Spearman's coefficient is left out: all true or all answered numbers are alike."))
    if evaluation.referee is not None and evaluation.referee.open:
        texts.append(
            t("{count:,} answers have no verdict of the referee yet.", count=evaluation.referee.open)
        )
    if evaluation.records < _FEW_RECORDS:
        name, figure = next(iter(evaluation.metrics.items()))
        texts.append(
            t(
                "{count:,} records are few: {title} may be {low} to {high}.",
                count=evaluation.records,
                title=t(metric(name).title),
                low=shown(name, figure.low),
                high=shown(name, figure.high),
            )
        )
    return texts


def sections_of_values(evaluation: Evaluation, build: BuildFolder) -> list[Section]:
    """What only these tasks have: the labels one by one, and the worst records."""
    labels: list[Block] = [class_table(evaluation)] if evaluation.classes else []
    return [Section(t("Labels"), labels), _worst(evaluation, build)]


def method(evaluation: Evaluation) -> str:
    """How the figures are computed."""
    drawn = t(
        "percentiles of a bootstrap over records with {count:,} resamples and seed {seed}",
        count=evaluation.resamples,
        seed=evaluation.seed,
    )
    if evaluation.task is Task.LABEL:
        return t(
            "Accuracy has Wilson's score interval; the others are {drawn}. Macro F1 is the mean over the "
            "classes that are true or answered; at 0 and at 100% its interval has no width and says nothing.",
            drawn=drawn,
        )
    if evaluation.task is Task.LABELS:
        return t(
            "Subset accuracy is the share of records whose answer is the true set, with Wilson's score "
            "interval; the others are {drawn}. The Hamming loss is the share of all decisions, one for each "
            "record and label, that are wrong: less is better.",
            drawn=drawn,
        )
    if evaluation.task is Task.NUMBER:
        return t(
            "Near enough is {within} of the truth. The shares have Wilson's score interval; the others are "
            "{drawn}. Errors are in the unit of the numbers: less is better. Spearman's coefficient compares "
            "the order, from -1 to 1; equal numbers share a rank.",
            within=_within(evaluation),
            drawn=drawn,
        )
    if evaluation.task is Task.BOXES:
        return t(
            "IoU is the shared area of two boxes by the area of both together. A record's boxes are paired, "
            "the largest overlap first; a true box without a partner counts 0 in the mean. Found is a pair "
            "of 0.5 or more (PASCAL VOC); a record is right when every true box is found and no other is "
            "answered. Names are not compared, but for the share of found boxes that have the true one. "
            "Records right have Wilson's score interval; the others are {drawn}.",
            drawn=drawn,
        )
    words = t(
        "Character F1 = 2 x shared characters / (characters of the answer + of the reference), as bags, in "
        "NFKC without case, white space and punctuation; exact match compares the same forms. ANLS = 1 - "
        "edit distance / the longer length, 0 from half on (ST-VQA). Of several references the nearest "
        "counts. Exact match has Wilson's score interval; the others are {drawn}.",
        drawn=drawn,
    )
    return words + (t(" The referee's figure is the mean of its verdicts.") if evaluation.referee else "")


def _with_ends(name: str, figure: Interval) -> str:
    return t(
        "{value}, with a 95% interval from {low} to {high}",
        value=shown(name, figure.value),
        low=shown(name, figure.low),
        high=shown(name, figure.high),
    )


def _within(evaluation: Evaluation) -> str:
    if not evaluation.tolerance:
        return t("within 0 (no --tolerance)")
    return t("within {tolerance:g}", tolerance=evaluation.tolerance)


def _worst(evaluation: Evaluation, build: BuildFolder) -> Section:
    """The records that are furthest off: a table, and the first with their pictures."""
    if not evaluation.worst:
        return Section(t("Worst answers"), [])
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
    head = [t("record"), t("truth"), t("answered"), *map(_title, names)]
    samples = [_sample(worst, names, build) for worst in evaluation.worst[:MOST_SAMPLES]]
    referee: list[Block] = []
    if evaluation.referee is not None:
        facts = evaluation.referee
        words = t(
            "Judged by {model} with {template}: {count:,} answers.",
            model=facts.model,
            template=facts.template,
            count=facts.judged,
        )
        referee = [Bullets([words])]
    return Section(t("Worst answers"), [Table(head, rows), *referee, *samples])


def _title(name: str) -> str:
    """The head of a record's own figure, which is no mean."""
    return t(_OWN_TITLES.get(name, metric(name).title))


def _figure(name: str, value: float | None) -> str:
    """A record's own figure; what is right or wrong as a word."""
    if value is None:
        return t("none")
    return t("yes" if value else "no") if name in _YES_OR_NO else shown(name, value)


def _sample(worst: Worst, names: list[str], build: BuildFolder) -> Sample:
    facts = [(t("truth"), _truth(worst)), (t("answered"), _answered(worst))]
    facts.append((_title(names[0]), _figure(names[0], worst.scores[names[0]])))
    images = [thumbnail(build.path / path, number) for number, path in enumerate(worst.images, 1)]
    turns = (
        [Turn(t("answer"), [Part(worst.answer)])] if worst.answer and worst.answer != worst.answered else []
    )
    turns += [Turn(t("referee"), [Part(worst.verdict)])] if worst.verdict else []
    return Sample(worst.id, facts, images, turns)


def _truth(worst: Worst) -> str:
    return " / ".join(worst.truth)


def _answered(worst: Worst) -> str:
    return worst.answered or f"({worst.problem})"


def _short(text: str) -> str:
    line = " ".join(text.split())
    return f"{line[:_CELL_CHARS]}…" if len(line) > _CELL_CHARS else line
