"""The out-of-fold predictions of all folds in one file: each record once, by the model not shown it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from datakit.artifacts import predictions as files
from datakit.artifacts.build_folder import BuildFolder
from datakit.artifacts.checked_predictions import Checked, read_once, sound
from datakit.artifacts.kfold import Joined, KfoldFolder, KfoldRecord, digest_of
from datakit.artifacts.predictions import NOT_ANSWERED, Prediction
from datakit.core.errors import UserError
from datakit.core.replacing import set_aside
from datakit.core.suspicion import Guess, guess
from datakit.kfold.records import FoldRecords, read_folds
from datakit.training.run_folder import RunFolder

NOT_ASKED = "its fold has no answers yet"
_TAKE_OUT = "Take one of them out, or move the file away and ask anew with --run."
_SHOWN = 5


@dataclass
class Join:
    """What the join came to."""

    records: FoldRecords
    predictions: list[Prediction] = field(default_factory=list)
    joined: Joined | None = None
    missing_folds: list[int] = field(default_factory=list)
    """Folds without answers, from 1."""
    unknown: list[str] = field(default_factory=list)
    """Ids that were predicted and are in no fold."""
    misplaced: list[str] = field(default_factory=list)
    """Ids that a fold predicted which trained on them."""
    relabelled: list[str] = field(default_factory=list)
    """Ids whose label is another than when they were asked about."""
    checked: Checked = field(default_factory=Checked)
    """What is odd about the predictions themselves."""
    left_out: list[Path] = field(default_factory=list)
    """Files of answers of other trainings than the folds' present ones."""
    edited: Path | None = None
    """Where an earlier file of predictions lies that somebody had edited."""
    other_problems: Counter[str] = field(default_factory=Counter)
    """Problem of an answer -> records."""

    @property
    def unpredicted(self) -> dict[str, int]:
        """Why records have no prediction -> how many."""
        found = {one.id for one in self.predictions}
        folds = self.records
        every = folds.fold_of.keys() | folds.no_answer.keys()
        whys = Counter(
            folds.no_answer.get(id_)
            or (NOT_ASKED if folds.fold_of[id_] in self.missing_folds else NOT_ANSWERED)
            for id_ in every - found
        )
        return dict(sorted(whys.items()))

    @property
    def unseen(self) -> list[str]:
        """Ids whose model was never shown their label."""
        return sorted(one.id for one in self.predictions if self.records.unseen(one.id))

    @property
    def guesses(self) -> list[Guess]:
        """What can be ranked: predictions of labelled records by a model that knows their label."""
        return [
            guess(one.id, one.label, one.predicted, one.probabilities, one.confidence)
            for one in self.predictions
            if one.label is not None and one.predicted is not None and not self.records.unseen(one.id)
        ]

    @property
    def is_whole(self) -> bool:
        """Whether nothing is left that the same command would still ask."""
        return not self.missing_folds and NOT_ANSWERED not in self.unpredicted

    def notes(self) -> Iterator[str]:
        """What a person must know, in lines."""
        for why, count in self.unpredicted.items():
            yield f"Not predicted: {count:,} ({why.replace('_', ' ')})"
        for problem, count in sorted(self.other_problems.items()):
            yield f"Predicted without a label: {count:,} ({problem})"
        for ids, what in (
            (self.unseen, "judged by a model that was never shown their label, and not ranked"),
            (self.unknown, "predicted, and in no fold: left out"),
            (self.misplaced, "predicted by a fold that trains on them: left out"),
            (
                self.relabelled,
                "whose label is another since they were asked about: ranked by the present one",
            ),
            (
                list(self.checked.no_label),
                "predicted to be what is no label of the label file, and not ranked",
            ),
            (self.checked.doubled, "predicted more than once in one file: the last prediction counts"),
            (
                self.checked.unsound,
                "whose probabilities are not those of the labels, or do not add up to 1: not ranked",
            ),
            (
                self.checked.contrary,
                "predicted to be what their own probabilities do not hold likeliest: ranked by these",
            ),
        ):
            if ids:
                yield f"Note: {len(ids):,} {'record' if len(ids) == 1 else 'records'} {what} ({_some(ids)})"
        if self.edited is not None:
            yield f"Kept: the predictions as they were edited: {self.edited}"
        if self.left_out:
            paths = [str(path) for path in self.left_out]
            yield f"Note: answers of other trainings are left out: {_some(paths)}"


def join(folder: KfoldFolder, k: int) -> Join:
    """The answers that the folds have, written into the folder with a record of what they are.

    Raises UserError for folds that do not fit together, for a damaged file of answers, and for one that says
    two things of a record.
    """
    result = Join(read_folds(folder, k))
    for number in range(1, k + 1):
        path = _answers(folder, number, result)
        if path is None:
            result.missing_folds.append(number)
            continue
        read = read_once(path, result.records.labels, result.checked)
        result.checked.refuse_contradictions(path, _TAKE_OUT)
        for one in read:
            _sort_in(one, number, result)
    result.predictions.sort(key=lambda one: one.id)
    record = folder.record()
    if folder.predictions_file.is_file() and _is_edited(folder, record):
        result.edited = set_aside(folder.predictions_file)
    files.write(folder.predictions_file, result.predictions)
    result.joined = Joined(
        sha256=digest_of(folder.predictions_file),
        contents=result.records.contents,
        records=len(result.records.fold_of.keys() | result.records.no_answer.keys()),
        predicted=len(result.predictions),
        unpredicted=result.unpredicted,
        unseen=result.unseen,
        asked={one.id: result.records.content[one.id] for one in result.predictions},
    )
    if record is not None:
        record.joined, record.version = result.joined, KfoldRecord.FORMAT
        record.write(folder.record_file)
    return result


def _is_edited(folder: KfoldFolder, record: KfoldRecord | None) -> bool:
    """Whether somebody changed the file of predictions since it was joined."""
    joined = record.joined if record is not None else None
    return joined is None or digest_of(folder.predictions_file) != joined.sha256


def _answers(folder: KfoldFolder, number: int, result: Join) -> Path | None:
    own, others = answers_of(folder.build(number))
    result.left_out += others
    return own


def answers_of(build: BuildFolder) -> tuple[Path | None, list[Path]]:
    """The file of a build's answers by its present training, and those of others, which are left out.

    Of a build without a training it is whatever there is. Raises UserError for several.
    """
    every = build.answer_files("val")
    if build.training_file is None:
        own = every
    else:
        run = RunFolder.of(build.path).folder
        own = [path for path in every if path.parent == run or path.parent == build.path]
    if len(own) > 1:
        raise UserError(
            f"{build.path.name} has {len(own)} files of answers: {', '.join(map(str, own))}",
            remedy="Move all but one away.",
        )
    return (own[0] if own else None), [path for path in every if path not in own]


def _sort_in(one: Prediction, number: int, result: Join) -> None:
    fold = result.records.fold_of.get(one.id)
    if fold is None:
        result.unknown.append(one.id)
    elif fold != number:
        result.misplaced.append(one.id)
    elif one.problem != NOT_ANSWERED:
        label = result.records.label_of[one.id]
        one = sound(one, result.records.labels, result.checked)
        if one.label != label:
            result.relabelled += [one.id] if one.label is not None else []
            one = one.model_copy(update={"label": label})
        if one.problem:
            result.other_problems[one.problem] += 1
        result.predictions.append(one)


def _some(names: Sequence[str]) -> str:
    more = f" and {len(names) - _SHOWN:,} more" if len(names) > _SHOWN else ""
    return ", ".join(names[:_SHOWN]) + more
