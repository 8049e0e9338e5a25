"""The check of data sets and their training configuration: every row, every setting, one report."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from datakit.checking.columns import NULL, ColumnTypes
from datakit.checking.data_set import DataSet, data_sets, load_index
from datakit.checking.finding import SEVERITIES, Finding, Findings
from datakit.checking.images import ImageFiles
from datakit.checking.marks import Marks
from datakit.checking.nulls import NullRule
from datakit.checking.proposal import Proposal, propose
from datakit.checking.purpose import FOREIGN
from datakit.checking.record import Checker, RecordCheck
from datakit.checking.rows import rows_of
from datakit.checking.schedule import check_schedule, steps_of
from datakit.checking.settings import check_settings
from datakit.checking.tally import Lengths, Tally
from datakit.checking.training import Training
from datakit.core.dataset_info import TAGS
from datakit.core.errors import UserError
from datakit.core.shown_path import show_path

_READ_BY_NAME = ("system", "tools", "images", "videos", "audios")
_ALPACA = ("input", "history")


@dataclass(frozen=True)
class Placed:
    """The account of a row, and where it stands."""

    data_set: str
    record: str
    where: str
    found: RecordCheck


@dataclass
class Report:
    """Everything that the check found."""

    findings: Findings = field(default_factory=Findings)
    tallies: list[Tally] = field(default_factory=list)
    proposal: Proposal | None = None
    steps: int | None = None
    settings: dict[str, Any] = field(default_factory=dict)
    """The values that the check went by."""

    @property
    def errors(self) -> int:
        return self.findings.count("error")

    def plain(self) -> dict[str, Any]:
        """For JSON."""
        return {
            **{f"{severity}s": self.findings.count(severity) for severity in SEVERITIES},
            "settings": self.settings,
            "steps": self.steps,
            "data_sets": [tally.plain() for tally in self.tallies],
            "proposal": self.proposal.plain() if self.proposal else None,
            "findings": [finding.plain() for group in self.findings.groups() for finding in group.findings],
        }


class Check:
    """A check of the data sets in one folder. `rows` does the work; `report` sums it up."""

    def __init__(
        self,
        training: Training,
        *,
        dataset_dir: Path | None = None,
        dataset: Sequence[str] = (),
        decode: bool = False,
        picture_task: bool | None = False,
    ) -> None:
        """`picture_task` is whether some row must have a picture, as the recipe of a build says. None: where
        the configuration trains a model that sees, or an entry of the index names a column of pictures."""
        self.training = training
        self._picture_task = picture_task
        self._names_pictures = False
        self._folder = training.data_folder(dataset_dir)
        self._remote = training.remote_folder if dataset_dir is None else ""
        media = training.media_folder(self._folder)
        self._splits = {"train": list(dataset) or training.names("dataset")}
        self._splits["eval"] = [] if dataset else training.names("eval_dataset")
        if training.file is None and not self._splits["train"] and not self._splits["eval"]:
            raise UserError("no data set is named", remedy="Name it: --dataset a,b")
        self._report = Report(settings=self._settings(media))
        self._checker = Checker(training.how(), ImageFiles(media, decode=decode))
        self._lengths, self._held_out = Lengths(), Lengths()

    def run(self) -> Report:
        """The whole report."""
        for _ in self.rows():
            pass
        return self.report()

    def rows(self) -> Iterator[Placed]:
        """The account of each row, in order."""
        findings, training = self._report.findings, self.training
        check_settings(training, findings)
        if training.purpose in FOREIGN:
            return
        if not self._splits["train"] and not self._splits["eval"]:
            words = f"a configuration for {'an ' * (training.purpose == 'export')}{training.purpose}"
            findings.add("no_data_set", words, where=training.where("dataset"))
            return
        if self._remote:
            findings.add("data_set_remote", _elsewhere(self._remote), where=training.where("dataset_dir"))
            return
        index = load_index(self._folder, findings)
        for split, names in self._splits.items() if index is not None else ():
            sets = data_sets(self._folder, index or {}, names, self._report.findings)
            rule = NullRule(self.training)
            for data_set in sets:
                self._names_pictures |= "images" in data_set.mapped()
                tally = Tally(data_set.name, split)
                self._report.tallies.append(tally)
                yield from self._data_set(data_set, tally, rule)
            for message, where in rule.broken():
                self._report.findings.add("null_before_value", message, where=where)

    def report(self) -> Report:
        """The report; whole once `rows` has ended."""
        report, training = self._report, self.training
        check_schedule(training, report.tallies, report.findings)
        train = [tally for tally in report.tallies if tally.part == "train"]
        report.steps = steps_of(training, train)
        report.proposal = propose(self._lengths, self._held_out, training)
        seeing = sum(tally.pictures > 0 for tally in train)
        kept = sum(tally.kept for tally in train)
        if self._is_picture_task and kept and not seeing:
            message = f"none of {kept:,} rows has a picture"
            report.findings.add("no_pictures", message, where=training.where("template"))
        return report

    @property
    def _is_picture_task(self) -> bool:
        """Whether some row must have a picture; known once all rows were looked at."""
        if self._picture_task is not None:
            return self._picture_task
        layout = self.training.layout
        sees = layout is not None and layout.family is not None
        # Rows that fall away are the fault to mend first: theirs may be the pictures.
        whole = all(tally.kept == tally.rows for tally in self._report.tallies)
        return sees and whole and (self.training.file is not None or self._names_pictures)

    def _settings(self, media: Path) -> dict[str, Any]:
        training = self.training
        path = show_path(training.file.path) if training.file else None
        if training.purpose in FOREIGN:
            named = ("dataset_dir", "media_dir", "template", "cutoff_len", "image_max_pixels")
            return {"train_yaml": path, **dict.fromkeys((*named, "image_min_pixels", "gpus"))}
        return {
            "train_yaml": path,
            "dataset_dir": self._remote or show_path(self._folder),
            "media_dir": show_path(media),
            "template": training.template,
            "cutoff_len": None if training.cutoff is None else training.cutoff + training.packed,
            "image_max_pixels": training.limits.max_pixels,
            "image_min_pixels": training.limits.min_pixels,
            "gpus": training.gpus,
        }

    def _data_set(self, data_set: DataSet, tally: Tally, rule: NullRule) -> Iterator[Placed]:
        findings = self._report.findings
        stage = str(self.training.keys.get("stage", "sft"))
        if (misfit := _misfit(data_set, stage)) is not None:
            findings.add(misfit, f"`{data_set.name}` in `stage: {stage}`", data_set=data_set.name)
            return
        if stage != "sft":
            findings.add("stage_unchecked", f"`stage: {stage}`", where=self.training.where("stage"))
            return
        rule.start(data_set)
        for path in data_set.files:
            report = partial(findings.add, data_set=data_set.name)
            begin = len(findings.all)
            types, marks = ColumnTypes(), Marks(data_set)
            yield from self._file(path, data_set, tally, (types, marks), rule)
            lacking = _lacking(types, data_set)
            if lacking and types.kinds:
                del findings.all[begin:]  # each row would tell the same
                for name in lacking:
                    report("column_missing", f"`{name}`", where=show_path(path))
            elif absent := list(_absent_tags(types, data_set)):
                del findings.all[begin:]
                for words in absent:
                    report("tags_unmatched", words, where=show_path(path))
            self._unread(path, types, data_set)
            for words in marks.ignored(types):
                report("marks_ignored", words, where=show_path(path))
        if data_set.files and not tally.rows:
            findings.add("no_rows", f"`{data_set.name}`", data_set=data_set.name)

    def _file(
        self, path: Path, data_set: DataSet, tally: Tally, seen: tuple[ColumnTypes, Marks], rule: NullRule
    ) -> Iterator[Placed]:
        types, marks = seen
        report = partial(self._report.findings.add, data_set=data_set.name)
        shown, place, mixed, last_chunk = show_path(path), "", False, 0
        for line, chunk, row in rows_of(path, report):
            number = tally.rows + 1
            place = f"{shown}:{line}" if line else shown
            if not isinstance(row, dict):
                report("row_not_object", f"row {number} is a {type(row).__name__}", where=place)
                tally.rows += 1
                continue
            if chunk and not last_chunk:
                types.end_first_chunk()
                last_chunk = chunk
            marks.add(row)
            if not mixed and (message := types.add(row)) is not None:
                mixed = True
                report("mixed_column", message, where=place, record=_name(row, number))
            if chunk and (name := types.outgrown()) is not None:
                message = f"`{name}` is null in the first 10 MiB of the file"
                report("null_before_value", message, where=place, record=_name(row, number))
                types.end_first_chunk()
            yield self._row(row, number, place, data_set, tally, rule)

    def _row(
        self, row: dict[str, Any], number: int, place: str, data_set: DataSet, tally: Tally, rule: NullRule
    ) -> Placed:
        account = self._checker.check(row, data_set)
        tally.add(account)
        rule.add(row, kept=account.verdict == "kept", where=place)
        record = _name(row, number)
        for code, words in account.faults:
            finding = Finding(code, words, where=place, data_set=data_set.name, record=record)
            self._report.findings.all.append(finding)
        if account.verdict == "kept":
            (self._lengths if tally.part == "train" else self._held_out).add(account)
        return Placed(data_set.name, record, place, account)

    def _unread(self, path: Path, types: ColumnTypes, data_set: DataSet) -> None:
        """Columns of the rows that mean something elsewhere and that this entry does not name."""
        mapped = set(data_set.mapped().values())
        names = _READ_BY_NAME + (_ALPACA if data_set.formatting == "alpaca" else ())
        compared = [(data_set.columns.get(key) or key) for key in ("chosen", "rejected")]
        if all(name in types.kinds for name in compared):
            message = f"`{data_set.name}` has `{compared[0]}` and `{compared[1]}`, without `ranking: true`"
            self._report.findings.add(
                "preference_ignored", message, where=show_path(path), data_set=data_set.name
            )
        for name in names:
            kind = types.kinds.get(name, NULL)
            if name in mapped or kind in (NULL, ("list", NULL)):
                continue
            code = "pictures_without_column" if name == "images" else "columns_partial"
            message = f"`{data_set.name}` does not name the column `{name}`"
            self._report.findings.add(code, message, where=show_path(path), data_set=data_set.name)


def _misfit(data_set: DataSet, stage: str) -> str | None:
    """Code of what keeps a whole data set from a stage."""
    if stage in ("rm", "dpo") and not data_set.ranking:
        return "not_ranked"
    if data_set.ranking and stage not in ("rm", "dpo"):
        return "ranked"
    return "not_marked" if stage == "kto" and not data_set.columns.get("kto_tag") else None


def _elsewhere(folder: str) -> str:
    if folder == "ONLINE":
        return "`dataset_dir: ONLINE`: each name is that of a data set at the hub"
    return f"`dataset_dir: {folder}`: the index and the data lie at the hub"


def _lacking(types: ColumnTypes, data_set: DataSet) -> Iterable[str]:
    lenient = ("system", "tools") if data_set.formatting == "openai" else ()
    return [name for key, name in data_set.mapped().items() if name not in types.kinds and key not in lenient]


def _absent_tags(types: ColumnTypes, data_set: DataSet) -> Iterator[str]:
    """The tags whose key no turn of the file has: the trainer's KeyError."""
    kind = types.kinds.get(data_set.columns.get("messages") or "", NULL)
    turns = kind[1] if data_set.formatting != "alpaca" and kind[0] == "list" else NULL
    keys = turns[1] if turns[0] == "object" else {}
    names = ", ".join(f"`{key}`" for key in keys)
    for tag in ("role_tag", "content_tag") if keys else ():
        if (name := data_set.tags[tag]) not in keys:
            own = "" if data_set.tags != TAGS else ", which holds where the entry has no `tags`"
            yield f"`{tag}` is `{name}`{own}; the turns have {names}"


def _name(row: dict[str, Any], number: int) -> str:
    own = row.get("id")
    return str(own) if isinstance(own, str | int) and own != "" else f"row {number}"
