"""What an evaluation says is to be done next, each step with the command or the lines that it takes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import polars as pl

from datakit.artifacts.build_folder import BuildFolder
from datakit.artifacts.originals import originals
from datakit.artifacts.predictions import NOT_ANSWERED
from datakit.core.counted import counted
from datakit.core.labels import LabelSet
from datakit.core.record import TRAIN
from datakit.core.scripts import comment, shell_words
from datakit.core.wording import later, t, told
from datakit.evaluation.confusion import Pair, label_named
from datakit.evaluation.evaluation import Evaluation
from datakit.evaluation.metrics import wilson
from datakit.evaluation.page_parts import percent, points
from datakit.evaluation.proposals import sentence
from datakit.evaluation.tasks import Task
from datakit.evaluation.wrong import Wrong
from datakit.pages.blocks import Block, Cell, CodeBlock, Section, Table, Text

TITLE = later("What to do next")
MOST_PAIRS = 3
MOST_SUSPECTS = 10
MOST_CLASSES = 15
SURE = 0.9
"""Confidence from which on a wrong answer makes the label suspect, as confident learning has it (Northcutt,
Jiang and Chuang 2021)."""
FEW = 20
"""Records below which the recall of a class is uncertain by twenty points and more to either side."""
GOOD = 0.95
"""Share of right answers that pseudo-labels should have."""
_TIMES = {1: later("once"), 2: later("twice")}


def next_section(evaluation: Evaluation, wrong: Sequence[Wrong], build: BuildFolder) -> Section:
    """The steps that pay most first; never empty."""
    place = build.place(str(build.path.absolute()))
    label = evaluation.task is Task.LABEL
    blocks: list[Block] = [
        *(_confusions(evaluation, place, build.labels) if label else ()),
        *_suspects(wrong, place, is_label=label),
        *_few(evaluation, build),
        *_unread(evaluation, place),
        *(_threshold(evaluation, place) if label else ()),
    ]
    nothing = Text(t("Nothing stands out: every answer is right. Try harder records."))
    return Section(t(TITLE), blocks or [nothing])


def _confusions(evaluation: Evaluation, place: str, labels: LabelSet | None) -> Iterator[Block]:
    """The pairs of classes that cost most, and a sentence about each for the label file."""
    both: dict[frozenset[str], Pair] = {}
    for pair in evaluation.pairs:
        both.setdefault(frozenset((pair.truth, pair.answered)), pair)
    costly = sorted(both.values(), key=lambda pair: -(pair.count + pair.back))[:MOST_PAIRS]
    sentences: list[str] = []
    for pair in costly:
        share = points((pair.count + pair.back) / evaluation.records)
        back = t(" and {times} the other way", times=_times(pair.back)) if pair.back else ""
        yield Text(
            t(
                "Tell {truth} and {answered} apart: {times} {truth} was answered with {answered}{back}. "
                "Without these mistakes the accuracy would be {share} points higher. An example:",
                truth=pair.truth,
                answered=pair.answered,
                times=_times(pair.count),
                back=back,
                share=share,
            )
        )
        yield CodeBlock(_why(place, pair.examples[0].id, f"{pair.truth} → {pair.answered}"), "bash")
        sentences += _sentences(pair, evaluation, labels)
    if sentences:
        yield Text(t("Sentences to add to the descriptions in the label file, to be read first:"))
        yield CodeBlock("\n".join(dict.fromkeys(sentences)))


def _sentences(pair: Pair, evaluation: Evaluation, labels: LabelSet | None) -> Iterator[str]:
    """What the description of each of two classes might say of the other."""
    proposals = {entry.name: entry.description for entry in evaluation.proposals}
    for name, rival in ((pair.truth, pair.answered), (pair.answered, pair.truth)):
        before = label_named(name, labels).description
        yield f"{name}: {sentence(before, proposals.get(name, ''), label_named(rival, labels))}"


def _suspects(wrong: Sequence[Wrong], place: str, *, is_label: bool) -> Iterator[Block]:
    """Records whose label may be what is wrong, with the command that shows where it comes from."""
    if not wrong:
        return
    sure = [row for row in wrong if row.confidence is not None and row.confidence >= SURE and row.answered]
    remedy = t(
        "Where the label is wrong, correct it in the file and line that the command names; then build again."
    )
    if sure:
        shown = sure[:MOST_SUSPECTS]
        more = t(" The first {shown}:", shown=len(shown)) if len(shown) < len(sure) else ""
        yield Text(
            t(
                "Look at {labels} first: the model is sure of another answer (confidence from {share} on). "
                "{remedy}{more}",
                labels=_told_count(len(sure), "label"),
                share=percent(SURE),
                remedy=remedy,
                more=more,
            )
        )
    elif not is_label or all(row.confidence is None for row in wrong):
        shown = [row for row in wrong if row.answered][:MOST_SUSPECTS]
        if not shown:
            return
        yield Text(
            t("Look at the records that were answered wrongly, such as these. {remedy}", remedy=remedy)
        )
    else:
        yield Text(
            t(
                "No label is suspected: no wrong answer has a confidence of {share} or more.",
                share=percent(SURE),
            )
        )
        return
    lines = [_why(place, row.id, _told(row)) for row in shown]
    yield CodeBlock("\n".join(lines), "bash")


def _told(row: Wrong) -> str:
    sure = "" if row.confidence is None else f", {percent(row.confidence)}"
    return f"{' '.join(row.truth.split())[:40]} → {' '.join(row.answered.split())[:40]}{sure}"


def _why(place: str, id_: str, words: str) -> str:
    command = shell_words(["datakit", "why", place, id_])
    return f"{command}  {comment(words)}" if words else command


def _few(evaluation: Evaluation, build: BuildFolder) -> Iterator[Block]:
    """Classes of too few records to be judged."""
    few = sorted(
        (figures for figures in evaluation.classes if 0 < figures.support < FEW),
        key=lambda figures: (figures.support, figures.recall),
    )
    if not few:
        return
    trained = _trained(build) if evaluation.task is Task.LABEL else {}
    rows: list[list[Cell]] = []
    for figures in few[:MOST_CLASSES]:
        recall = wilson(round(figures.recall * figures.support), figures.support)
        ends = t("{low} to {high}", low=points(recall.low), high=points(recall.high))
        rows.append(
            [figures.label, figures.support, trained.get(figures.label), points(figures.recall), ends]
        )
    more = t(" The rarest {shown}:", shown=len(rows)) if len(rows) < len(few) else ""
    yield Text(
        t(
            "Do not trust the figures of {classes} yet: the split has fewer than {few} records of each. Hold "
            "more records out (val: of curate.split), gather some, and have the rare ones repeated in "
            "training (balance.resample).{more}",
            classes=_told_count(len(few), "class"),
            few=FEW,
            more=more,
        )
    )
    head = [t("class"), t("records"), t("in training"), t("recall, %"), t("95% interval")]
    if not trained:
        head, rows = [head[0], head[1], *head[3:]], [[row[0], row[1], *row[3:]] for row in rows]
    yield Table(head, rows)


def _trained(build: BuildFolder) -> dict[str, int]:
    """Label -> records of the training split."""
    frame = originals(build).filter(pl.col("part") == TRAIN).group_by("label").len().collect()
    labels = build.labels
    counts: dict[str, int] = {}
    for label, count in frame.iter_rows():
        if label is not None:
            name = match.name if labels and (match := labels.find(label)) else label
            counts[name] = counts.get(name, 0) + count
    return counts


def _unread(evaluation: Evaluation, place: str) -> Iterator[Block]:
    """Answers that state nothing, and records without an answer."""
    missing = evaluation.problems.get(NOT_ANSWERED, 0)
    unread = sum(evaluation.problems.values()) - missing
    words = ["datakit", "predict", place, "--split", evaluation.split]
    if missing:
        asked = _told_count(missing, "record")
        yield Text(
            t("Ask again for {records} without an answer; those that have one are not asked:", records=asked)
        )
        yield CodeBlock(shell_words(words), "bash")
    if unread and evaluation.task in (Task.LABEL, Task.LABELS):
        yield Text(
            t(
                "Have {count:,} answers that state nothing of the label file, {share} of all, decoded "
                "within it:",
                count=unread,
                share=percent(unread / evaluation.records),
            )
        )
        yield CodeBlock(shell_words([*words, "--closed"]), "bash")


def _threshold(evaluation: Evaluation, place: str) -> Iterator[Block]:
    """From which confidence on answers to new pictures may be taken as labels."""
    figures = evaluation.calibration
    if figures is None:
        return
    good = (
        threshold
        for threshold in figures.thresholds
        if threshold.count >= FEW and threshold.accuracy is not None and threshold.accuracy >= GOOD
    )
    chosen = next(good, None)
    if chosen is None or chosen.accuracy is None:
        yield Text(
            t(
                "Take no pseudo-labels yet: at no confidence are {share} of {few} or more answers right.",
                share=percent(GOOD),
                few=FEW,
            )
        )
        return
    low = wilson(round(chosen.accuracy * chosen.count), chosen.count).low
    yield Text(
        t(
            "Take answers with a confidence of {confidence:g} or more as pseudo-labels of new pictures: on "
            "this split {right} of these are right (at least {low}, at 95%), and {share} of all answers are "
            "as sure. The second command keeps them as records for read.jsonl (with image_root: /):",
            confidence=chosen.confidence,
            right=percent(chosen.accuracy),
            low=percent(low),
            share=percent(chosen.share),
        )
    )
    keep = f"select(.confidence >= {chosen.confidence:g}) | {{image: .images[0], label: .predicted}}"
    yield CodeBlock(
        f"{shell_words(['datakit', 'predict', place, '--split', 'new_pictures/', '--out', 'new.jsonl'])}\n"
        f"{shell_words(['jq', '-c', keep, 'new.jsonl'])} > pseudo.jsonl",
        "bash",
    )


def _times(count: int) -> str:
    return t(_TIMES[count]) if count in _TIMES else t("{count:,} times", count=count)


def _told_count(count: int, thing: str) -> str:
    """A number of things in the language that is spoken."""
    return told(counted(count, thing))
