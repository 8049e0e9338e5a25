"""Which records of a build are to be looked at, in which order, and what makes each of them stand out."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from datakit.artifacts.build_folder import BuildFolder
from datakit.artifacts.originals import originals
from datakit.core.counted import counted
from datakit.core.errors import UserError, did_you_mean
from datakit.core.judged import canonical
from datakit.core.picture_faults import FAULTS, PICTURE_FAULTS, has_picture_faults, is_poor
from datakit.core.record import repeat_of
from datakit.core.regular_files import read_regular
from datakit.core.text_encoding import decoded
from datakit.verdict import records_of
from datakit.verdict.kinds import KINDS

SUSPECT, CONFLICT, LOW_OCR, MISTAKE = "suspect", "label_conflict", "low_ocr", "mistake"
POOR_PICTURE = "poor_picture"
_NOISE_SHARE = 0.1
"""Share of the records that curate.label_noise ranks which are suspects where no step joins the voices."""
_LOW_SCORE = 0.8
"""OCR lines score 0.95 and more on clear screens; a record's mean below this is worth a look."""


@dataclass(frozen=True)
class Choice:
    """What a reviewer asked for. Everything where nothing is named; else whatever one of them names."""

    suspects: bool = False
    conflicts: bool = False
    low_ocr: bool = False
    mistakes: bool = False
    """Records whose label the model's answer contradicts."""
    findings: tuple[str, ...] = ()
    """Kinds of the verdict."""
    ids: Path | None = None
    """A file of ids, one a line."""
    poor_pictures: bool = False
    """Records whose pictures annotate.image_quality calls poor."""

    @property
    def is_all(self) -> bool:
        flags = (self.suspects, self.conflicts, self.low_ocr, self.mistakes, self.poor_pictures)
        return not (any(flags) or self.findings or self.ids)


def chosen(
    build: BuildFolder, choice: Choice, answered: Mapping[str, str] | None = None
) -> tuple[pl.DataFrame, list[str]]:
    """The records with a column `@tags` (what each stands out by), suspects first, and what is to be told.

    `answered` is the label that a model gave, by id. Raises UserError for what the build has nothing of to
    choose by.
    """
    frame = originals(build).collect()
    tags: dict[str, set[str]] = {}
    notes: list[str] = []
    _tag(tags, SUSPECT, _suspects(frame, wanted=choice.suspects))
    _tag(tags, CONFLICT, _finding_ids(build, CONFLICT) | _reviewed(frame))
    _tag(tags, LOW_OCR, _low_ocr(frame, wanted=choice.low_ocr))
    _tag(tags, MISTAKE, _mistaken(build, frame, answered, wanted=choice.mistakes))
    for fault, ids in _poor(frame, wanted=choice.poor_pictures).items():
        _tag(tags, fault, ids)
    for kind in choice.findings:
        _tag(tags, kind, _finding_ids(build, kind))
    wanted: set[str] = set()
    for name, is_wanted in (
        (SUSPECT, choice.suspects),
        (CONFLICT, choice.conflicts),
        (LOW_OCR, choice.low_ocr),
        (MISTAKE, choice.mistakes),
        (POOR_PICTURE, choice.poor_pictures),
    ):
        wanted |= tags.get(name, set()) if is_wanted else set()
    for kind in choice.findings:
        wanted |= tags[kind]
    if choice.ids is not None:
        wanted |= _listed(choice.ids, frame["id"], notes)
    if not choice.is_all:
        frame = frame.filter(pl.col("id").is_in(list(wanted)))
    by_record = [[name for name, ids in tags.items() if id_ in ids] for id_ in frame["id"]]
    frame = frame.with_columns(pl.Series("@tags", by_record, dtype=pl.List(pl.String)))
    return _in_order(frame), notes


def _in_order(frame: pl.DataFrame) -> pl.DataFrame:
    """The most suspect first, the others as they stand in the build."""
    ranks = [name for name in ("suspect_rank", "noise_rank") if name in frame.columns]
    return frame.sort(ranks, nulls_last=True, maintain_order=True) if ranks else frame


def _tag(tags: dict[str, set[str]], name: str, ids: Iterable[str]) -> None:
    tags.setdefault(name, set()).update(ids)


def _suspects(frame: pl.DataFrame, *, wanted: bool) -> set[str]:
    columns = frame.columns
    if "suspect_rank" in columns:
        return set(frame.filter(pl.col("suspect_rank").is_not_null())["id"])
    if "noise_rank" in columns:
        most = max(1, round(_NOISE_SHARE * frame["noise_rank"].drop_nulls().len()))
        doubted = pl.col("noise_rank") <= most
        if "noise_cluster" in columns:
            doubted = doubted | pl.col("noise_cluster").is_not_null()
        return set(frame.filter(doubted)["id"])
    if wanted:
        raise UserError(
            "the build ranks no suspects: it has neither `suspect_rank` nor `noise_rank`",
            remedy="Put curate.label_noise (and curate.suspects) into the recipe, or review --all.",
        )
    return set()


def _reviewed(frame: pl.DataFrame) -> set[str]:
    """Records whose label a look-alike contradicts (curate.duplicates)."""
    if frame.schema.get("review") != pl.String():
        return set()
    return set(frame.filter(pl.col("review").is_not_null())["id"])


def _finding_ids(build: BuildFolder, kind: str) -> set[str]:
    if kind not in KINDS:
        raise UserError(
            f"there is no finding `{kind}`",
            remedy=did_you_mean(kind, KINDS) or f"Kinds: {', '.join(KINDS)}.",
        )
    records = records_of(build, kind)[1]
    if records is None or "id" not in records.collect_schema():
        return set()
    return {repeat_of(id_)[0] for id_ in records.select("id").collect()["id"]}


def _mistaken(
    build: BuildFolder, frame: pl.DataFrame, answered: Mapping[str, str] | None, *, wanted: bool
) -> set[str]:
    """Records that a model answered with another label than theirs."""
    if not answered and wanted:
        raise UserError(
            f"nobody has answered about the records of {build.path}",
            remedy="Make answers with `datakit predict`, or name a file with --predictions.",
        )
    if not answered or frame.schema.get("label") != pl.String():
        return set()
    return {
        id_
        for id_, label in frame.select("id", "label").iter_rows()
        if label and answered.get(id_, label) not in (label, canonical(label, build.labels))
    }


def _low_ocr(frame: pl.DataFrame, *, wanted: bool) -> set[str]:
    """Records with pictures whose OCR read nothing, or with little confidence."""
    kind = frame.schema.get("ocr")
    if not isinstance(kind, pl.List) or not isinstance(kind.inner, pl.Struct):
        if wanted:
            raise UserError("the build has no OCR", remedy="Put annotate.ocr into the recipe.")
        return set()
    score = pl.col("ocr").list.eval(pl.element().struct.field("score")).list.mean()
    has_picture = pl.col("images").list.len().fill_null(0) > 0
    return set(frame.filter(has_picture & (score.is_null() | (score < _LOW_SCORE)))["id"])


def _poor(frame: pl.DataFrame, *, wanted: bool) -> dict[str, set[str]]:
    """Records with poor pictures, and those with each of the faults, by which the page filters."""
    if not has_picture_faults(frame.schema):
        if wanted:
            raise UserError(
                "the build has not looked at the quality of its pictures",
                remedy="Put `- annotate.image_quality: {}` into the recipe.",
            )
        return {}
    found = {POOR_PICTURE: set(frame.filter(is_poor())["id"])}
    for fault in PICTURE_FAULTS:
        found[fault] = set(frame.filter(pl.col(FAULTS).list.contains(fault).fill_null(False))["id"])
    return found


def _listed(path: Path, ids: Sequence[str] | pl.Series, notes: list[str]) -> set[str]:
    """The ids of a file. What names no record is told; raises UserError where none does."""
    try:
        text = decoded(read_regular(path), path, "the list of ids")
    except OSError as error:
        raise UserError(
            f"cannot read {path}: {error.strerror}",
            remedy="Name a text file with one id a line. Ids of a kind of the verdict: datakit verdict BUILD "
            "--kind KIND --limit 0 --json | jq -r '.records[].id'",
        ) from None
    named = {line.strip() for line in text.splitlines() if line.strip()}
    known = set(ids)
    strange = sorted(named - known)
    if strange:
        hint = did_you_mean(strange[0], known)
        of = f"{len(strange):,} of {counted(len(named), 'id')} in {path}"
        name = "names" if len(strange) == 1 else "name"
        notes.append(f"{of} {name} no record: {strange[0]}. {hint}".rstrip())
    if not named & known:
        raise UserError(f"no line of {path} is the id of a record", remedy="One id a line.")
    return named & known
