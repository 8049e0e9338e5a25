"""read.build: the records of another build, with everything that its steps gave them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, ClassVar, Literal

import polars as pl

from datakit.artifacts.build_folder import BuildFolder
from datakit.artifacts.chat_contents import own_columns_of
from datakit.core.errors import UserError
from datakit.core.outcome import Batch
from datakit.core.record import BASE, COLUMNS, GENERAL
from datakit.core.regular_files import regular_path
from datakit.core.step_context import StepContext
from datakit.core.transform import Columns, Reader
from datakit.read._files import empty_source, missing
from datakit.read._parquet import not_parquet, parquet_schema


class Build(Reader):
    """The main records of a build, in its order, with every column that its steps gave, but no messages.

    Use it to go on from a build: its OCR, descriptions and corrected labels are there as they came out,
    and are not paid again. `split` and `repeat` come too; a later curate.split or balance.resample sets
    them anew. Left out are general records (mix them in again) and the notes of where each result came
    from. Pictures are the originals, not the build's own copies. `source_file` and `source_line` stay
    those of the first source.
    """

    example: ClassVar[dict[str, Any] | None] = {"path": "../build/ecom_v2"}

    path: str
    """The build's folder, such as `../build/ecom_v2`, from the recipe's folder."""
    split: Literal["train", "val"] | None = None
    """Only the records of this part; all when not given."""
    images: Literal["none"] | None = None
    """`none` for a build without pictures, so that steps for pictures may find none."""
    keep: tuple[str, ...] | None = None
    """Columns that the records keep besides those that every record has; all when not given."""

    def columns(self, context: StepContext) -> Columns:
        schema = parquet_schema(context.declared(self._records(context)))
        absent = [name for name in BASE if name not in schema]
        if absent:
            raise UserError(
                f"{self._records(context)} has no column `{absent[0]}`: it holds no records of a build",
                remedy="Name a folder that datakit build made.",
            )
        kept = [name for name in schema if name not in BASE and not name.startswith("@")]
        if self.keep is not None:
            strange = [name for name in self.keep if name not in kept]
            if strange:
                raise UserError(
                    f"the build has no column `{strange[0]}` (parameter `keep`)",
                    remedy=f"Columns there: {', '.join(kept)}.",
                )
            kept = [name for name in kept if name in self.keep]
        return {name: COLUMNS[name] for name in BASE} | {name: schema[name] for name in kept}

    def files(self, context: StepContext) -> list[Path]:
        return [self._records(context)]

    def read(self, context: StepContext) -> Iterator[Batch]:
        path, schema = context.declared(self._records(context)), dict(self.columns(context))
        size, count = context.run.batch_rows, 0
        try:
            chunks = (
                self._wanted(path).select(list(schema)).collect_batches(chunk_size=size, maintain_order=True)
            )
            for chunk in chunks:
                for frame in chunk.iter_slices(size):
                    count += frame.height
                    yield Batch(
                        frame.with_columns(pl.col(name).cast(dtype) for name, dtype in schema.items())
                    )
        except (pl.exceptions.PolarsError, OSError) as error:
            raise not_parquet(path, error) from None
        if not count:
            raise empty_source([path])

    def brought(self, context: StepContext) -> Mapping[str, tuple[str, str]] | None:
        """What the records of the build brought: a decision about them holds for what is made of it too."""
        return own_columns_of(BuildFolder(context.path(self.path)))

    def _wanted(self, path: Path) -> pl.LazyFrame:
        frame = pl.scan_parquet(regular_path(path), glob=False)
        have: dict[str, Any] = dict(frame.collect_schema())
        if "set" in have:
            frame = frame.filter(pl.col("set").fill_null("") != GENERAL)
        if self.split is not None:
            if "split" not in have:
                raise UserError(
                    f"the build {path.parent} was not split",
                    remedy="Leave out `split`, or use curate.split in it.",
                )
            frame = frame.filter(pl.col("split") == self.split)
        return frame

    def _records(self, context: StepContext) -> Path:
        folder = context.path(self.path)
        if not folder.is_dir():
            raise missing(folder)
        build = BuildFolder(folder)
        if not build.is_finished:
            raise UserError(
                f"{folder} is not a complete build", remedy="Build its recipe first: datakit build RECIPE"
            )
        return build.records_file
