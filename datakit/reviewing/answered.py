"""What a trained model answered about the records of a build, for the page beside their labels."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from datakit.artifacts import predictions
from datakit.artifacts.build_folder import BuildFolder
from datakit.artifacts.kfold import KfoldFolder, edit_of
from datakit.artifacts.originals import originals
from datakit.artifacts.predictions import NOT_ANSWERED, Prediction
from datakit.core.errors import UserError, did_you_mean
from datakit.core.judged import canonical
from datakit.core.record import TRAIN, VAL, digest


@dataclass(frozen=True)
class Answers:
    """One answer a record, of the file that says most about it."""

    by_id: Mapping[str, Prediction] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    """Which files were read, and what does not fit the build."""
    edited: tuple[str, ...] = ()
    """Files of out-of-fold predictions that somebody edited since they were joined."""

    @property
    def digest(self) -> str:
        """Of all that is shown of them: a page of other answers is another page."""
        return digest([self.by_id[id_].model_dump_json() for id_ in sorted(self.by_id)]).hex()

    def labels(self, build: BuildFolder) -> dict[str, str]:
        """Id -> the label that was answered, as the label file spells it."""
        labels = {id_: canonical(one.predicted, build.labels) for id_, one in self.by_id.items()}
        return {id_: label for id_, label in labels.items() if label is not None}


def answers(build: BuildFolder, files: Sequence[Path] = ()) -> Answers:
    """What the files say of a build's records; without files what lies in its runs.

    An earlier file goes before a later one. In the runs these are answers to validation, those out of fold
    (`datakit kfold`), and answers to records that the model was trained on, the newest of each first. Raises
    UserError for a damaged file, and for one that is given and knows none of the records.
    """
    known = set(originals(build).select("id").collect()["id"])
    found: dict[str, Prediction] = {}
    notes, edited = [], []
    for path in files or _of_runs(build):
        own = [one for one in predictions.read(path) if one.problem != NOT_ANSWERED]
        fitting = {one.id: one for one in own if one.id in known}
        if files and not fitting:
            hint = did_you_mean(own[0].id, known) if own else ""
            raise UserError(
                f"no answer of {path} is about a record of {build.path}",
                remedy=f"Is it of another build? {hint}".strip(),
            )
        fresh = {id_: one for id_, one in fitting.items() if id_ not in found}
        found |= fresh
        name = build.place(str(path.absolute()))
        notes += [_told(name, own, fitting, fresh)] if own else []
        if edit := edit_of(path):
            notes.append(f"{name} {edit}: its predictions may be no model's")
            edited.append(name)
    return Answers(found, tuple(notes), tuple(edited))


def _of_runs(build: BuildFolder) -> Iterator[Path]:
    """The files of answers that belong to a build, those to be believed first."""
    out_of_fold = KfoldFolder(build.path.with_name(f"{build.path.name}.kfold")).predictions_file
    every = [
        *_newest_first(build.answer_files(VAL)),
        *([out_of_fold] if out_of_fold.is_file() else ()),
        *_newest_first(build.answer_files(TRAIN)),
    ]
    yield from dict.fromkeys(every)


def _newest_first(paths: Sequence[Path]) -> list[Path]:
    return sorted(paths, key=lambda path: path.stat().st_mtime, reverse=True)


def _told(
    name: str,
    own: Sequence[Prediction],
    fitting: Mapping[str, Prediction],
    fresh: Mapping[str, Prediction],
) -> str:
    records = "record" if len(fresh) == 1 else "records"
    words = f"predictions of {len(fresh):,} {records} are shown from {name}"
    if len(fitting) > len(fresh):
        words += f"; of {len(fitting) - len(fresh):,} more another file was taken"
    strange = [one.id for one in own if one.id not in fitting]
    if strange:
        words += f"; {len(strange):,} of no record of the build are left out, such as {strange[0]}"
    return words
