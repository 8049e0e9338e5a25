"""Which record is in which fold, read from the builds: each in one, or said why in none."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

import polars as pl

from datakit.artifacts.chat_contents import brought_of
from datakit.artifacts.image_contents import ImageContents
from datakit.artifacts.kfold import KfoldFolder, content_of
from datakit.artifacts.originals import originals
from datakit.core.errors import UserError
from datakit.core.judged import canonical
from datakit.core.labels import LabelSet
from datakit.core.record import TRAIN, VAL
from datakit.kfold.builds import SPLIT

EMITTER = "emit.llamafactory"
"""What writes the rows that a handoff asks about."""
SOURCE, PSEUDO = "label_source", "pseudo"
"""Column and value of curate.pseudo_labels."""
_LEFT_OUT = "left out by the emitter: {}"
_REJECTED = "rejected after the split: {}"


@dataclass
class FoldRecords:
    """The records of all folds."""

    fold_of: dict[str, int] = field(default_factory=dict)
    """Id -> the fold that it is validation of, from 1."""
    label_of: dict[str, str | None] = field(default_factory=dict)
    """Id -> label, in the label file's spelling."""
    shown: dict[int, Counter[str]] = field(default_factory=dict)
    """Fold -> label -> records that its training shows."""
    no_answer: dict[str, str] = field(default_factory=dict)
    """Id -> why its fold asks nothing about it."""
    labels: LabelSet | None = None
    """The label file of the builds."""
    contents: dict[str, str] = field(default_factory=dict)
    """Fold -> content hash of its build."""
    content: dict[str, str] = field(default_factory=dict)
    """Id -> `content_of` the record as its fold asks about it."""

    def unseen(self, id_: str) -> bool:
        """Whether the model that judges a record was never shown its label."""
        label = self.label_of.get(id_)
        return label is not None and not self.shown[self.fold_of[id_]][label]


def read_folds(folder: KfoldFolder, k: int) -> FoldRecords:
    """The records of the folds' builds. Raises UserError for builds that are no folds of the same records."""
    found = FoldRecords()
    everywhere: set[str] = set()
    rejected: dict[str, str] = {}
    twice: list[str] = []
    for number in range(1, k + 1):
        build = folder.build(number)
        given = originals(build)
        if SOURCE in build.columns:  # a predicted label is trained on in every fold, and judged in none
            given = given.filter(pl.col(SOURCE).fill_null("") != PSEUDO)
        found.labels = build.labels
        table = given.select("id", "label", "part", "images", "text").collect()
        rows = [
            (id_, canonical(label, build.labels), part)
            for id_, label, part in table.select("id", "label", "part").iter_rows()
        ]
        images, brought = ImageContents(build), brought_of(build)
        for id_, paths, text in table.filter(part=VAL).select("id", "images", "text").iter_rows():
            found.content[id_] = content_of(images.of(paths), text, brought.get(id_))
        found.contents[f"fold-{number}"] = build.manifest.content
        found.shown[number] = Counter(label for _, label, part in rows if part == TRAIN and label is not None)
        for id_, label, part in rows:
            everywhere.add(id_)
            if part != VAL:
                continue
            if id_ in found.fold_of:
                twice.append(id_)
            found.fold_of[id_] = number
            found.label_of[id_] = label
        for line in build.reject_lines():
            if line["name"] != EMITTER:
                rejected.setdefault(line["id"], line["reason"])
            elif found.fold_of.get(line["id"]) == number:
                found.no_answer[line["id"]] = _LEFT_OUT.format(line["reason"])
    for id_ in everywhere - found.fold_of.keys():
        reason = rejected.get(id_)
        found.no_answer[id_] = "" if reason is None else _REJECTED.format(reason)
    if twice or any(why == "" for why in found.no_answer.values()):
        torn = sorted([*twice, *(id_ for id_, why in found.no_answer.items() if not why)])
        raise UserError(
            f"the folds in {folder.path} are not of the same records: {len(torn):,} are in several folds or "
            f"in none, such as {', '.join(torn[:3])}",
            remedy="A source was edited between two builds. Run `datakit kfold` again: it makes them anew.",
        )
    return found


def before_split(folder: KfoldFolder) -> dict[str, int]:
    """Why records are in no fold at all -> how many; the same in each build."""
    counts: Counter[str] = Counter()
    for step in folder.build(1).report.steps:
        if step.name == SPLIT:
            break
        counts.update({reason: count for reason, count in step.rejected.items() if count})
    return dict(counts)


def own_validation(folder: KfoldFolder) -> int:
    """Records that the source itself has in validation, which are dealt into the folds like any other."""
    return int(folder.build(1).notes(SPLIT).get("given_val", 0))
