"""What the records of a build ask, answer and show, as keys that are equal for what is the same."""

from __future__ import annotations

import polars as pl

from datakit.artifacts.build_folder import BuildFolder
from datakit.artifacts.measured_columns import measured
from datakit.core.chat_columns import ChatColumns
from datakit.core.compared import compared_keys
from datakit.core.record import TRAIN, VAL
from datakit.pages.figures import collect


def chat_keys(build: BuildFolder) -> pl.LazyFrame:
    """Columns `id` and those of core.compared.KEYS, of the task's own records.

    Of a build of an older version that does not say: by the columns `text` and `label`.
    """
    if build.compared is not None:
        return build.compared
    columns = ChatColumns(messages="never")
    names = [name for name in ("id", "images", *columns.names) if name in build.columns]
    return compared_keys(collect(build.main.select(names)), columns, build.labels).lazy()


def image_keys(build: BuildFolder) -> tuple[pl.LazyFrame, str]:
    """Columns `id` and `keys`, a number for each picture of a record, and what those are made of.

    By content wherever the build says it, whatever was emitted.
    """
    if build.image_digests is not None:
        return _by_digests(build, build.image_digests), "by content"
    if any(facts.pictures for facts in build.data_files.values()):
        frames = [_emitted(build, split) for split in (TRAIN, VAL)]
        return pl.concat(frames).unique("id"), "by content, from the emitted files"
    if measured(build.columns, "sha256"):
        known = build.main.drop_nulls("sha256")
        return known.select("id", keys=pl.concat_list(pl.col("sha256").hash())), "by content (sha256)"
    paths = build.main.select("id", keys=pl.col("images").list.eval(pl.element().hash()))
    return paths, "by file path alone"


def _by_digests(build: BuildFolder, digests: pl.LazyFrame) -> pl.LazyFrame:
    """The same by the sha256 of each picture; null where one was not there."""
    images = build.main.select("id", path="images").explode("path").drop_nulls("path")
    joined = images.join(digests, on="path", how="left", maintain_order="left")
    keys = joined.group_by("id", maintain_order=True).agg(keys=pl.col("sha256"))
    known = pl.col("keys").list.eval(pl.element().is_not_null()).list.all()
    return keys.filter(known).with_columns(pl.col("keys").list.eval(pl.element().hash()))


def _emitted(build: BuildFolder, split: str) -> pl.LazyFrame:
    """The same from the data files, whose picture names are made of their content, read as a stream."""
    line = pl.col("line")
    scans = [
        pl.scan_csv(
            build.path / facts.file,
            has_header=False,
            separator="\x01",
            quote_char=None,
            new_columns=["line"],
            schema={"line": pl.String},
        ).select(
            id=line.str.extract(r'^\{"id":("(?:[^"\\]|\\.)*")').str.json_decode(pl.String()),
            keys=line.str.extract(r'"images":\[([^\]]*)\]\},?$')
            .str.split(",")
            .list.eval(pl.element().hash()),
        )
        for facts in build.data_files.values()
        if facts.part == split and facts.pictures
    ]
    empty = pl.LazyFrame(schema={"id": pl.String, "keys": pl.List(pl.UInt64)})
    return pl.concat([empty, *scans]).drop_nulls()
