"""What differs between two builds: settings, records by column, labels, splits and classes."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import orjson
import polars as pl
from pydantic import BaseModel

from datakit.artifacts.build_folder import BuildFolder
from datakit.cards.changes import changes
from datakit.cards.inputs import inputs_of
from datakit.core.record import TRAIN
from datakit.pages.figures import collect

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


def diff(before: BuildFolder, after: BuildFolder) -> Diff:
    """The differences, records joined by id. Pictures are compared by their names."""
    ids_before, ids_after = (collect(build.records.select("id"))["id"] for build in (before, after))
    added = ids_after.filter(~ids_after.is_in(ids_before.implode()))
    removed = ids_before.filter(~ids_before.is_in(ids_after.implode()))
    names_before, names_after = _columns(before), _columns(after)
    common = [name for name in names_before if name in names_after]
    columns = {name: ids for name in common if len(ids := _differing(before, after, name))}
    chats = _chats(before, after)
    if chats:
        columns["messages"] = pl.Series(chats, dtype=pl.String)
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
    column_before, column_after = (_column(build, name) for build in (before, after))
    joined = column_before.join(column_after, on="id", suffix="_after", maintain_order="left")
    if column_before.collect_schema()[name] == column_after.collect_schema()[name]:
        different = pl.col(name).ne_missing(pl.col(f"{name}_after"))
        return collect(joined.filter(different).select("id"))["id"]
    rows = collect(joined.select("id", name, f"{name}_after")).rows()
    return pl.Series([id_ for id_, value, later in rows if value != later], dtype=pl.String)


def _column(build: BuildFolder, name: str) -> pl.LazyFrame:
    value = pl.col(name)
    if name == "images":
        value = value.list.eval(pl.element().str.split("/").list.last())
    return build.records.select("id", value.alias(name))


def _chats(before: BuildFolder, after: BuildFolder) -> list[str]:
    """Ids whose emitted chats differ, where both builds have emitted ones."""
    digests_before, digests_after = _emitted(before), _emitted(after)
    return [
        id_ for id_, digest in digests_before.items() if id_ in digests_after and digests_after[id_] != digest
    ]


def _emitted(build: BuildFolder) -> dict[str, bytes]:
    digests: dict[str, bytes] = {}
    for facts in build.data_files.values():
        for row in build.lines(facts.file):
            digests.setdefault(
                row["id"], hashlib.blake2b(orjson.dumps(row["messages"]), digest_size=8).digest()
            )
    return digests


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
