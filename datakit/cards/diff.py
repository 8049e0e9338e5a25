"""What differs between two builds: labels, records by column, settings, texts, splits, classes, lengths."""

from __future__ import annotations

from collections.abc import Sequence

import polars as pl
from pydantic import BaseModel, Field

from datakit.artifacts.build_folder import BuildFolder
from datakit.artifacts.ledger import Figure
from datakit.cards.changes import changes
from datakit.cards.chat_changes import ChatChanges, LengthShift, TextChange, chat_changes
from datakit.cards.inputs import inputs_of
from datakit.core.record import TRAIN
from datakit.pages.figures import collect

MOST_TEXTS = 3
"""Prompts, and answers, that are told word by word."""
NAMED = 5
"""Ids that are shown of each kind."""
_PLACES = {"source_file", "source_line"}
"""Columns that say where a record stands, not what it is."""
_COMPUTED = {"part", "rows"}


class Some(BaseModel):
    """How many records, and the first few."""

    count: int
    ids: list[str]


class Moved(BaseModel):
    """Records whose value went from one to another."""

    before: str | None
    after: str | None
    count: int
    ids: list[str]


class ClassShare(BaseModel):
    """A class's rows in training, with repeats."""

    label: str
    before: int
    after: int
    share_before: float
    share_after: float


class ScoreChange(BaseModel):
    """The first figure of a part's newest scores of both builds."""

    part: str
    metric: str
    before: Figure
    after: Figure
    model_before: str = ""
    model_after: str = ""
    difference: Figure | None = None
    """`after` less `before` with its 95% interval, paired over the records that both answered; null where the
    answers to single records are not kept."""
    p: float | None = None
    compared: int = 0
    """Records that both answered."""


class Diff(BaseModel):
    """Everything that `datakit diff --json` prints. `same` says that both train the same."""

    before: str
    after: str
    same: bool
    """Whether records and emitted rows are equal; settings may differ all the same."""
    settings: list[str]
    records_before: int
    records_after: int
    added: Some
    removed: Some
    changed: Some
    """Records of both whose columns or emitted chats differ."""
    columns: dict[str, Some]
    """Column -> records of both in which it differs; `messages` are the emitted chats."""
    columns_added: list[str]
    columns_removed: list[str]
    labels: list[Moved]
    splits: list[Moved]
    classes: list[ClassShare]
    """Classes whose rows in training differ, the largest change of share first."""
    prompts: Some | None = None
    """Records of both whose emitted prompts differ; null where one of the builds has emitted no chats."""
    answers: Some | None = None
    texts: list[TextChange] = Field(default_factory=list)
    """The prompts and answers that changed most, each kind of change once."""
    lengths: list[LengthShift] = Field(default_factory=list)
    """Of prompts and answers, in training."""
    scores: list[ScoreChange] = Field(default_factory=list)
    """Where both builds were evaluated on a part."""

    @property
    def records_in_both(self) -> int:
        return self.records_before - self.removed.count


def diff(before: BuildFolder, after: BuildFolder, *, texts: int = MOST_TEXTS, chats: bool = True) -> Diff:
    """The differences, records joined by id. Pictures are compared by what they held when they were built; by
    their names where a build does not say it.

    `texts` is how many changed prompts and answers are told word by word. Without `chats` the emitted rows
    are not read, which takes longer than all the rest.
    """
    ids_before, ids_after = (collect(build.records.select("id"))["id"] for build in (before, after))
    added = ids_after.filter(~ids_after.is_in(ids_before.implode()))
    removed = ids_before.filter(~ids_before.is_in(ids_after.implode()))
    names_before, names_after = _columns(before), _columns(after)
    common = [name for name in names_before if name in names_after]
    columns = {name: ids for name in common if len(ids := _differing(before, after, name))}
    emitted = chat_changes(before, after, texts) if chats else ChatChanges()
    if emitted.changed:
        columns["messages"] = pl.Series(emitted.changed, dtype=pl.String)
    changed = (
        pl.concat([ids.cast(pl.String) for ids in columns.values()]).unique(maintain_order=True)
        if columns
        else pl.Series([], dtype=pl.String)
    )
    lost_columns = _with_values(before, [name for name in names_before if name not in names_after])
    new_columns = _with_values(after, [name for name in names_after if name not in names_before])
    return Diff(
        before=before.report.name,
        after=after.report.name,
        same=not (len(added) or len(removed) or len(changed) or lost_columns or new_columns),
        settings=changes(inputs_of(before), inputs_of(after)),
        records_before=len(ids_before),
        records_after=len(ids_after),
        added=_some(added),
        removed=_some(removed),
        changed=_some(changed),
        columns={name: _some(ids) for name, ids in columns.items()},
        columns_added=new_columns,
        columns_removed=lost_columns,
        labels=_moves(before, after, "label"),
        splits=_moves(before, after, "part"),
        classes=_classes(before, after),
        prompts=None if emitted.prompts is None else _some(emitted.prompts),
        answers=None if emitted.answers is None else _some(emitted.answers),
        texts=emitted.texts,
        lengths=emitted.lengths,
    )


def _columns(build: BuildFolder) -> list[str]:
    """The columns that say what a record is."""
    hidden = _PLACES | _COMPUTED
    return [
        name for name in build.columns if not name.startswith("@") and name not in hidden and name != "id"
    ]


def _with_values(build: BuildFolder, columns: list[str]) -> list[str]:
    """Those that say something of some record: a column of nulls is no difference."""
    if not columns:
        return []
    counts = collect(build.records.select(pl.col(columns).count())).row(0, named=True)
    return [name for name in columns if counts[name]]


def _differing(before: BuildFolder, after: BuildFolder, name: str) -> pl.Series:
    """Ids of the records of both in which a column differs."""
    known = [build.image_digests for build in (before, after)]
    if any(digests is None for digests in known):  # an older build does not say: both by name
        known = [None, None]
    columns = zip((before, after), known, strict=True)
    column_before, column_after = (_column(build, name, digests) for build, digests in columns)
    joined = column_before.join(column_after, on="id", suffix="_after", maintain_order="left")
    if column_before.collect_schema()[name] == column_after.collect_schema()[name]:
        different = pl.col(name).ne_missing(pl.col(f"{name}_after"))
        return collect(joined.filter(different).select("id"))["id"]
    rows = collect(joined.select("id", name, f"{name}_after")).rows()
    return pl.Series([id_ for id_, value, later in rows if value != later], dtype=pl.String)


def _column(build: BuildFolder, name: str, digests: pl.LazyFrame | None) -> pl.LazyFrame:
    value = pl.col(name)
    if name == "images":
        shown = pl.element().str.split("/").list.last()
        if digests is not None:
            known = collect(digests.drop_nulls())
            shown = pl.element().replace_strict(known["path"], known["sha256"], default=shown)
        value = value.list.eval(shown)
    return build.records.select("id", value.alias(name))


def _moves(before: BuildFolder, after: BuildFolder, name: str) -> list[Moved]:
    records_before, records_after = (
        build.records.select("id", pl.col(name).cast(pl.String)) for build in (before, after)
    )
    joined = records_before.join(records_after, on="id", suffix="_after", maintain_order="left")
    later = f"{name}_after"
    moved = collect(
        joined.filter(pl.col(name).ne_missing(pl.col(later)))
        .group_by(name, later)
        .agg(count=pl.len(), ids=pl.col("id").head(NAMED))
        .sort(["count", name, later], descending=[True, False, False])
    )
    return [
        Moved(before=row[name], after=row[later], count=row["count"], ids=row["ids"])
        for row in moved.iter_rows(named=True)
    ]


def _classes(before: BuildFolder, after: BuildFolder) -> list[ClassShare]:
    rows_before, rows_after = _rows(before), _rows(after)
    total_before, total_after = sum(rows_before.values()) or 1, sum(rows_after.values()) or 1
    shares = [
        ClassShare(
            label=label,
            before=rows_before.get(label, 0),
            after=rows_after.get(label, 0),
            share_before=rows_before.get(label, 0) / total_before,
            share_after=rows_after.get(label, 0) / total_after,
        )
        for label in dict.fromkeys([*rows_before, *rows_after])
        if rows_before.get(label, 0) != rows_after.get(label, 0)
    ]
    return sorted(shares, key=lambda share: (-abs(share.share_after - share.share_before), share.label))


def _rows(build: BuildFolder) -> dict[str, int]:
    """Label -> rows in training."""
    train = build.main.filter(pl.col("part") == TRAIN).drop_nulls("label")
    counted = train.group_by("label").agg(pl.col("rows").cast(pl.Int64).sum())
    return dict(collect(counted.sort("label")).iter_rows())


def _some(ids: pl.Series | Sequence[str]) -> Some:
    return Some(count=len(ids), ids=list(ids[:NAMED]))
