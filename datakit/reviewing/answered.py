"""What a trained model answered about the records of a build, for the page beside their labels."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from datakit.artifacts import predictions
from datakit.artifacts.build_folder import BuildFolder
from datakit.artifacts.chat_contents import brought_of, chats_of
from datakit.artifacts.checked_predictions import Checked, known, once
from datakit.artifacts.image_contents import ImageContents
from datakit.artifacts.kfold import KfoldFolder, asked_of, content_of, edit_of
from datakit.artifacts.odd_overrides import shown_ids
from datakit.artifacts.originals import originals
from datakit.artifacts.predictions import NOT_ANSWERED, Prediction
from datakit.core.counted import counted
from datakit.core.errors import UserError, did_you_mean
from datakit.core.judged import canonical
from datakit.core.record import TRAIN, VAL, digest
from datakit.core.visible import visible


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


@dataclass(frozen=True)
class _File:
    """What a file of answers says of the records of a build."""

    name: str
    own: Sequence[Prediction]
    """Each record once."""
    fitting: Mapping[str, Prediction]
    """Id -> the answer, of records that are in the build as they were when it was asked."""
    changed: Sequence[str]
    """Records with other pictures or another text than the model was asked about."""
    checked: Checked


def answers(build: BuildFolder, files: Sequence[Path] = ()) -> Answers:
    """What the files say of a build's records; without files what lies in its runs.

    An earlier file goes before a later one. In the runs these are answers to validation, those out of fold
    (`datakit kfold`), and answers to records that the model was trained on, the newest of each first. Where a
    file says two things of a record neither is shown, and no prediction out of fold of what the record is no
    longer. Raises UserError for a damaged file, and for one that is given and knows none of the records.
    """
    found: dict[str, Prediction] = {}
    notes, edited = [], []
    content = _Contents(build)
    for path in files or _of_runs(build):
        file = _read(path, build, content, is_given=bool(files))
        fresh = {id_: one for id_, one in file.fitting.items() if id_ not in found}
        found |= fresh
        notes += [_told(file, fresh, content)] if file.own else []
        notes += _odd(file)
        if edit := edit_of(path):
            notes.append(f"{file.name} {edit}: its predictions may be no model's")
            edited.append(file.name)
    return Answers(found, tuple(notes), tuple(edited))


class _Contents:
    """What the records of a build show and say, as a join of folds keeps it."""

    def __init__(self, build: BuildFolder) -> None:
        table = originals(build).select("id", "images", "text").collect()
        self.records = {id_: (paths, text) for id_, paths, text in table.iter_rows()}
        self._build = build

    @cached_property
    def _images(self) -> ImageContents:
        return ImageContents(self._build)

    @cached_property
    def _brought(self) -> dict[str, str]:
        return brought_of(self._build)

    @cached_property
    def _chats(self) -> dict[str, str]:
        return chats_of(self._build)

    def is_other(self, id_: str, asked: str | None) -> bool:
        """Whether a record is another than was asked about, where that is known."""
        if asked is None:
            return False
        paths, text = self.records[id_]
        pictures = self._images.of(paths)
        return all(content_of(pictures, text, of.get(id_)) != asked for of in (self._brought, self._chats))


def _read(path: Path, build: BuildFolder, content: _Contents, *, is_given: bool) -> _File:
    """The answers of a file. Raises UserError for one that is given and knows none of the records."""
    checked = Checked()
    read = [one for one in predictions.read(path) if one.problem != NOT_ANSWERED]
    if is_given and not any(one.id in content.records for one in read):
        hint = did_you_mean(read[0].id, content.records) if read else ""
        raise UserError(
            f"no answer of {path} is about a record of {build.path}",
            remedy=f"Is it of another build? {hint}".strip(),
        )
    own = once(read, build.labels, checked)
    asked = asked_of(path)
    here = [one for one in own if one.id in content.records]
    changed = [one.id for one in here if content.is_other(one.id, asked.get(one.id))]
    old = set(changed)
    fitting = {one.id: known(one, build.labels, checked) for one in here if one.id not in old}
    return _File(build.place(str(path.absolute())), own, fitting, changed, checked)


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


def _told(file: _File, fresh: Mapping[str, Prediction], content: _Contents) -> str:
    records = "record" if len(fresh) == 1 else "records"
    words = f"predictions of {len(fresh):,} {records} are shown from {file.name}"
    if len(file.fitting) > len(fresh):
        words += f"; of {len(file.fitting) - len(fresh):,} more another file was taken"
    strange = [one.id for one in file.own if one.id not in content.records]
    if strange:
        are = "is" if len(strange) == 1 else "are"
        words += f"; {len(strange):,} of no record of the build {are} left out, such as {visible(strange[0])}"
    return words


def _odd(file: _File) -> Iterator[str]:
    """What is odd about the answers, counted and named."""
    checked = file.checked
    for ids, words in (
        (list(checked.contradicted), "predicted to be different things, none of which is shown"),
        (checked.doubled, "predicted more than once: the last prediction is shown"),
        (file.changed, "with other pictures or another text than the model was asked about: not shown"),
        (list(checked.no_label), "predicted to be what is no label of the label file"),
    ):
        if ids:
            yield f"{file.name}: {counted(len(ids), 'record')} {words} ({shown_ids(ids)})"
