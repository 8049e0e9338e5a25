"""An evaluation as a page in the data's language: its worth, its errors, and what to change in the labels."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import orjson
import polars as pl

from datakit.artifacts.build_folder import BuildFolder
from datakit.artifacts.metric_names import metric, shown
from datakit.artifacts.predictions import NOT_ANSWERED
from datakit.cards.confusions import WORDS, Shown, comparison
from datakit.cards.language import language_of_card
from datakit.cards.samples import first_rows
from datakit.cards.score_words import ends_text
from datakit.core.regular_files import read_regular, regular_path
from datakit.core.replacing import check_replaceable
from datakit.core.wording import speaking, t, told
from datakit.evaluation.beside import chance, since_last, words_of_chance, words_of_last
from datakit.evaluation.confusion import Example, Pair
from datakit.evaluation.evaluation import Evaluated, Evaluation
from datakit.evaluation.frames import SCORED, VALUES, scored_frame
from datakit.evaluation.from_build import BuildSource
from datakit.evaluation.ledger import Entry, confusion_of, keep_outcomes
from datakit.evaluation.metrics import Interval
from datakit.evaluation.next_steps import next_section
from datakit.evaluation.page_of_values import lead_of_values, method, notices_of_values, sections_of_values
from datakit.evaluation.page_parts import (
    class_table,
    comparison_section,
    percent,
    points,
    trouble_lines,
    unread_section,
)
from datakit.evaluation.proposals import snippet
from datakit.evaluation.summary import cut_lines
from datakit.evaluation.tasks import Task
from datakit.evaluation.wrong import Wrong, write_wrong, wrong_records, wrong_section
from datakit.pages import charts
from datakit.pages.blocks import (
    Block,
    Bullets,
    Card,
    Cell,
    Chart,
    Code,
    CodeBlock,
    Comparison,
    Section,
    Table,
    Text,
)
from datakit.pages.writing import Kept, write_pages

MOST_CELLS = 30
"""Classes in the plot of the confusion matrix; evaluation.json has them all."""
MOST_COMPARED = 8
"""Pairs that are shown in pictures."""


def write_evaluation(
    evaluated: Evaluated, build: BuildFolder, folder: Path, name: str, kept: Kept | None = None
) -> list[Path]:
    """`<name>.json`, `<name>.parquet` (each record's outcome), `<name>.md`, `<name>.html` and the plots.

    Pages that somebody edited are set aside, which `kept` is told. Raises UserError, before anything is
    written, where one of the first two is no evaluation.
    """
    folder.mkdir(parents=True, exist_ok=True)
    data = orjson.dumps(evaluated.evaluation.document(), option=orjson.OPT_INDENT_2) + b"\n"
    document, table = folder / f"{name}.json", folder / f"{name}.parquet"
    scored = scored_frame(evaluated.outcomes)
    check_replaceable(document, "an evaluation", _is_evaluation)
    check_replaceable(table, "an evaluation's outcomes", _is_outcomes)
    draft = folder / f".{name}.part"
    scored.write_parquet(draft)
    keep_outcomes(table, draft)
    os.replace(draft, table)
    draft.write_bytes(data)
    os.replace(draft, document)
    wrong = wrong_records(evaluated.outcomes)
    wrong_file = write_wrong(wrong, folder / name, BuildSource(build).images_of)
    last = since_last(evaluated, build, table)
    with speaking(language := language_of_card(build, first_rows(build))):
        card = replace(page(evaluated, build, name, wrong, last), language=language)
    return [document, table, wrong_file, *write_pages(card, folder, kept)]


def _is_evaluation(path: Path) -> bool:
    """Raises ValueError for a file that is none."""
    return bool(Evaluation.model_validate_json(read_regular(path)))


def _is_outcomes(path: Path) -> bool:
    """Whether a file holds the outcomes of some task."""
    schema = pl.read_parquet_schema(regular_path(path))
    return schema == pl.Schema(SCORED) or set(VALUES) <= schema.keys()


def page(
    evaluated: Evaluated, build: BuildFolder, name: str, wrong: Sequence[Wrong], last: Entry | None
) -> Card:
    """All that the page says, before it is laid out, in the language that is spoken."""
    evaluation = evaluated.evaluation
    is_label = evaluation.task is Task.LABEL
    own = _sections_of_label(evaluation, build) if is_label else sections_of_values(evaluation, build)
    sections = [
        Section(t("Scores"), _scores(evaluated, last)),
        comparison_section(evaluation),
        unread_section(evaluation),
        *own,
        wrong_section(wrong, evaluation.task),
        _about(evaluation),
        next_section(evaluation, wrong, build),
    ]
    return Card(
        name=f"{evaluation.build}, {evaluation.split}",
        title=t("Evaluation"),
        file=name,
        lead=lead(evaluation),
        notices=notices(evaluation),
        front="",
        sections=[section for section in sections if section.blocks],
    )


def _sections_of_label(evaluation: Evaluation, build: BuildFolder) -> list[Section]:
    return [
        Section(t("Classes"), [class_table(evaluation)]),
        _confusion(evaluation),
        _pairs(evaluation, build),
        _labels(evaluation),
        _calibration(evaluation),
    ]


def lead(evaluation: Evaluation) -> str:
    """The result in a sentence."""
    if evaluation.task is not Task.LABEL:
        return lead_of_values(evaluation)
    accuracy = evaluation.metrics["accuracy"]
    who = evaluation.model or t("The model")
    right = round(accuracy.value * evaluation.records)
    return t(
        "{who} answers {right:,} of {count:,} records of the split {split} rightly: {accuracy}, with a 95% "
        "interval from {low} to {high}.",
        who=who,
        right=right,
        count=evaluation.records,
        split=evaluation.split,
        accuracy=percent(accuracy.value),
        low=percent(accuracy.low),
        high=percent(accuracy.high),
    )


def notices(evaluation: Evaluation) -> list[str]:
    """What a reader must know first: records and answers that did not find each other."""
    stop = t(". ").rstrip()
    texts = [f"{told(edit)}{stop}" for edit in evaluation.edited]
    texts += [f"{line}{stop}" for line in trouble_lines(evaluation)]
    if evaluation.evidence is not None:
        texts.append(told(str(evaluation.evidence)))
    texts += [f"{told(line)}{stop}" for line in cut_lines(evaluation)]
    if evaluation.task is not Task.LABEL:
        return [*texts, *notices_of_values(evaluation)]
    if "missing" in evaluation.trouble and evaluation.problems.get(NOT_ANSWERED):
        texts.append(t("Records without an answer count as wrong."))
    if evaluation.records < 200:
        accuracy = evaluation.metrics["accuracy"]
        half = (accuracy.high - accuracy.low) / 2
        texts.append(
            t(
                "{count:,} records leave the accuracy uncertain by ±{half:.0f} points.",
                count=evaluation.records,
                half=100 * half,
            )
        )
    return texts


def _scores(evaluated: Evaluated, last: Entry | None) -> list[Block]:
    """Every figure with its interval, beside it chance and the score before."""
    by_chance = chance(evaluated.outcomes)
    old = {} if last is None or last.before is None else last.before.metrics
    is_label = evaluated.evaluation.task is Task.LABEL

    def cell(name: str, value: float | None) -> Cell:
        return None if value is None else points(value) if is_label else shown(name, value)

    rows: list[list[Cell]] = []
    for name, figure in evaluated.evaluation.metrics.items():
        ends = ends_text(name, figure.low, figure.high) if is_label else _ends(name, figure)
        before = [cell(name, old[name].value if name in old else None)] if last is not None else []
        score = cell(name, figure.value)
        rows.append([t(metric(name).title), score, ends, cell(name, by_chance.figures.get(name)), *before])
    head = [t("score"), "%" if is_label else "", t("95% interval"), t("by chance")]
    head += [t("before")] if last else []
    words = [words_of_chance(by_chance), *([words_of_last(last)] if last else [])]
    return [Table(head, rows), *map(Text, words)]


def _ends(name: str, figure: Interval) -> str:
    return t("{low} to {high}", low=shown(name, figure.low), high=shown(name, figure.high))


def _confusion(evaluation: Evaluation) -> Section:
    labels, counts = evaluation.confusion.labels, evaluation.confusion.counts
    mistakes = [
        sum(counts[at]) - counts[at][at] + sum(row[at] for row in counts) - counts[at][at]
        for at in range(len(labels))
    ]
    places = sorted(sorted(range(len(labels)), key=lambda at: -mistakes[at])[:MOST_CELLS])
    cells = [[counts[down][right] for right in places] + [counts[down][-1]] for down in places]
    names = [labels[at] for at in places]
    unread = any(row[-1] for row in cells)
    if not unread:
        cells = [row[:-1] for row in cells]
    title = t("Truth against answer")
    if len(places) < len(labels):
        title += t(
            " (the {shown} classes with most mistakes of {count:,})", shown=len(places), count=len(labels)
        )
    svg = charts.matrix(title, names, cells, (t("truth"), t("answer")), t("none"))
    off = sum(sum(row) for row in counts) - sum(counts[at][at] for at in range(len(labels)))
    alt = t("{title}: {count:,} answers off the diagonal.", title=title, count=off)
    return Section(t("Confusion"), [Chart("confusion", alt, svg)])


def _pairs(evaluation: Evaluation, build: BuildFolder) -> Section:
    if not evaluation.pairs:
        return Section(t("Mistakes"), [])
    rows: list[list[Cell]] = [
        [
            pair.truth,
            pair.answered,
            pair.count,
            points(pair.share),
            pair.back,
            t("yes" if pair.known else "no"),
            Code(pair.examples[0].id),
        ]
        for pair in evaluation.pairs
    ]
    head = [t("truth"), t("answered"), t("records"), t("% of class"), t("the other way"), t("known")]
    head.append(t("such as"))
    words = Text(t("Known are pairs that the label file lists as confusable (confusable_with)."))
    beside = [_beside(pair, build) for pair in evaluation.pairs[:MOST_COMPARED]]
    return Section(t("Mistakes"), [Table(head, rows), words, Text(t(WORDS)), *beside])


def _beside(pair: Pair, build: BuildFolder) -> Comparison:
    """The records of a pair between right ones of both labels."""
    beside = {label: list(map(_shown, examples)) for label, examples in pair.beside.items()}
    return comparison(build, confusion_of(pair), list(map(_shown, pair.examples)), beside)


def _shown(example: Example) -> Shown:
    sure = example.confidence
    note = "" if sure is None else t("confidence {share}", share=percent(sure))
    if sure is None and not example.answer:
        note = t("trained on")
    return Shown(example.id, example.images, example.text, note)


def _labels(evaluation: Evaluation) -> Section:
    text = snippet(evaluation.proposals)
    if not text:
        return Section(t("Proposals for the label file"), [])
    return Section(
        t("Proposals for the label file"),
        [
            Text(
                t(
                    "Classes that were mixed up more than once, as entries to paste. Words in quotation "
                    "marks stand in most training pictures of one class and in few of the other. Read them "
                    "first."
                )
            ),
            CodeBlock(text.rstrip(), "yaml"),
        ],
    )


def _calibration(evaluation: Evaluation) -> Section:
    figures = evaluation.calibration
    if figures is None:
        return Section(t("Confidence"), [])
    words = t(
        "{count:,} answers have a confidence, on average {mean}; {right} of them are right. The expected "
        "calibration error is {error} points.",
        count=figures.count,
        mean=percent(figures.mean_confidence),
        right=percent(figures.accuracy),
        error=points(figures.ece),
    )
    if figures.without:
        words += t(" {count:,} labels came without a confidence.", count=figures.without)
    chart = charts.against_diagonal(
        t("Confidence against accuracy"),
        [(bin_.confidence, bin_.accuracy, bin_.count) for bin_ in figures.bins],
        (t("mean confidence"), t("share that is right")),
    )
    rows: list[list[Cell]] = [
        [
            points(threshold.confidence),
            threshold.count,
            points(threshold.share),
            None if threshold.accuracy is None else points(threshold.accuracy),
        ]
        for threshold in figures.thresholds
    ]
    return Section(
        t("Confidence"),
        [
            Text(words),
            Chart("reliability", t("Reliability: {words}", words=words), chart),
            Text(t("What remains when only sure answers are taken, as pseudo-labels are:")),
            Table([t("confidence at least, %"), t("answers"), t("% of them"), t("right, %")], rows),
        ],
    )


def _about(evaluation: Evaluation) -> Section:
    bullets = [
        t(
            "Answers: {run} (sha256 {digest}), scored {date}.",
            run=evaluation.run,
            digest=evaluation.predictions_sha256[:12],
            date=evaluation.date,
        ),
        t("Build: {build}, content {content}.", build=evaluation.build, content=evaluation.content[:12]),
        method(evaluation),
    ]
    if evaluation.tokens_in is not None or evaluation.tokens_out is not None:
        bullets.append(
            t(
                "{in_count:,} tokens went in and {out_count:,} came out.",
                in_count=evaluation.tokens_in or 0,
                out_count=evaluation.tokens_out or 0,
            )
        )
    if evaluation.seconds_per_record is not None:
        bullets.append(t("An answer took {seconds:.2f} s on average.", seconds=evaluation.seconds_per_record))
    return Section(t("How it was made"), [Bullets(bullets)])
