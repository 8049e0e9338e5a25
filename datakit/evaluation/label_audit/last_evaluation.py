"""The newest evaluation of a build, and the mistakes in it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from pydantic import ValidationError

from datakit.artifacts.build_folder import BuildFolder
from datakit.core.errors import UserError
from datakit.core.labels import LabelSet
from datakit.core.regular_files import read_regular
from datakit.evaluation.evaluation import Evaluation
from datakit.evaluation.page_parts import trouble_lines
from datakit.evaluation.runs import PAGE
from datakit.evaluation.tasks import Task


@dataclass(frozen=True)
class Mistakes:
    """Records of one label that were answered with another, by the labels of the label file."""

    source: str
    """The evaluation's file."""
    date: str
    is_of_build: bool
    """Whether the build's data are those that were evaluated; else those of an earlier build."""
    counts: dict[tuple[str, str], int]
    """Truth and answer -> records."""
    support: dict[str, int]
    odd: tuple[str, ...] = ()
    """Records and answers that did not find each other, in words."""

    def of(self, name: str) -> Counter[str]:
        """What records of a label were answered with instead."""
        return Counter({answer: count for (truth, answer), count in self.counts.items() if truth == name})

    def between(self, first: str, second: str) -> int:
        return self.counts.get((first, second), 0) + self.counts.get((second, first), 0)


def last_mistakes(build: BuildFolder, labels: LabelSet) -> Mistakes | None:
    """Those of the newest evaluation of single labels, of whatever split; None without one."""
    evaluations = [entry for entry in _evaluations(build) if entry[1].task is Task.LABEL]
    if not evaluations:
        return None
    path, evaluation = max(evaluations, key=lambda entry: (entry[1].date, str(entry[0])))
    return mistakes_in(evaluation, build.place(str(path)), build, labels)


def mistakes_in(evaluation: Evaluation, source: str, build: BuildFolder, labels: LabelSet) -> Mistakes:
    """The mistakes of an evaluation, by the labels of the label file; `source` is what it is called."""
    counts: Counter[tuple[str, str]] = Counter()
    support: Counter[str] = Counter()
    names = [known.name if (known := labels.find(name)) else None for name in evaluation.confusion.labels]
    for truth, row in zip(names, evaluation.confusion.counts, strict=True):
        if truth is None:
            continue
        support[truth] += sum(row)
        for answer, count in zip(names, row, strict=False):  # the last column is of answers that are no label
            if answer not in (None, truth) and count:
                counts[truth, str(answer)] += count
    is_of_build = evaluation.content == build.manifest.content
    odd = tuple(trouble_lines(evaluation))
    return Mistakes(source, evaluation.date, is_of_build, dict(counts), dict(support), odd)


def _evaluations(build: BuildFolder) -> Iterator[tuple[Path, Evaluation]]:
    """Every evaluation beside the build's answers. Raises UserError for a damaged one."""
    paths = [*build.path.glob(f"{PAGE}*.json"), *build.runs.rglob(f"{PAGE}*.json")]
    for path in sorted(paths):
        try:
            yield path, Evaluation.model_validate_json(read_regular(path))
        except (OSError, ValidationError):
            raise UserError(
                f"{path} is no evaluation that can be read",
                remedy=f"Make it again with `datakit evaluate {build.path}`, or move it away.",
            ) from None
